//! A webhook receiver on a bad day: one request in ten is answered 503, two in ten take their time. What
//! it answers 204 it has heard.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use tokio::sync::watch;
use wharf_tests::client::PATIENCE;

use super::Dice;

/// The receiver; it goes on until the test ends.
pub(super) struct Shaky {
    pub(super) url: String,
    dice: Mutex<Dice>,
    /// How often it heard each message.
    heard: Mutex<BTreeMap<String, u32>>,
    changed: watch::Sender<()>,
}

impl Shaky {
    pub(super) async fn start(dice: Dice) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shaky = Arc::new(Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            dice: Mutex::new(dice),
            heard: Mutex::default(),
            changed: watch::Sender::default(),
        });
        let router = Router::new().fallback(take).with_state(shaky.clone());
        #[expect(clippy::disallowed_methods, reason = "tests have no supervisor")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        shaky
    }

    /// How often it heard each message so far.
    pub(super) fn heard(&self) -> BTreeMap<String, u32> {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until `done` says so of what it heard.
    pub(super) async fn until(&self, done: impl Fn(&BTreeMap<String, u32>) -> bool) -> bool {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            while !done(&self.heard()) {
                changed.changed().await.expect("it is still there");
            }
        };
        tokio::time::timeout(4 * PATIENCE, waiting).await.is_ok()
    }
}

async fn take(State(shaky): State<Arc<Shaky>>, headers: HeaderMap) -> StatusCode {
    let (mood, pause) = {
        let mut dice = shaky.dice.lock().unwrap_or_else(PoisonError::into_inner);
        (
            dice.between(0, 10),
            Duration::from_millis(dice.between(50, 500)),
        )
    };
    match mood {
        0 => return StatusCode::SERVICE_UNAVAILABLE,
        // Dropped in the middle if the hub dies meanwhile, as a real one would be.
        1 | 2 => tokio::time::sleep(pause).await,
        _ => {}
    }
    let id = headers["webhook-id"].to_str().expect("an id").to_owned();
    {
        let mut heard = shaky.heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard.entry(id).or_default() += 1;
    }
    shaky.changed.send_replace(());
    StatusCode::NO_CONTENT
}
