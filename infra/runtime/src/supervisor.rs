//! The supervisor: owner of every loop. A loop that ends by itself, fails or panics stops the hub;
//! half a hub would look alive and lose work.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharf_domain::kernel::with_causes;

/// Why a loop ended although nobody asked it to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {name} loop stopped: {why}")]
pub struct Stopped {
    /// Which loop.
    pub name: &'static str,
    /// Why.
    pub why: String,
}

/// Starts loops and stops them together.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    tasks: TaskTracker,
    stop: CancellationToken,
    first: Arc<OnceLock<Stopped>>,
}

impl Supervisor {
    /// Cancelled once the hub is to stop; every loop selects on it.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs `work` until it ends; it should end soon after the stop token is cancelled.
    pub fn spawn<F, E>(&self, name: &'static str, work: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error,
    {
        let (stop, first) = (self.stop.clone(), self.first.clone());
        #[expect(clippy::disallowed_methods, reason = "this is the supervisor")]
        let _handle = tokio::spawn(self.tasks.track_future(async move {
            let why = match std::panic::AssertUnwindSafe(work).catch_unwind().await {
                Ok(Ok(())) if stop.is_cancelled() => return,
                Ok(Ok(())) => "it returned".to_owned(),
                Ok(Err(error)) => with_causes(&error),
                Err(_) => "it panicked".to_owned(),
            };
            tracing::error!(loop_name = name, %why, "a loop stopped; the hub stops with it");
            let _ = first.set(Stopped { name, why });
            stop.cancel();
        }));
    }

    /// Runs something that may end at any time, such as one connection; it too should end soon after
    /// the stop token is cancelled.
    pub fn spawn_once<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        #[expect(clippy::disallowed_methods, reason = "this is the supervisor")]
        let _handle = tokio::spawn(self.tasks.track_future(work));
    }

    /// Waits until something stops the hub.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Asks every loop to stop and waits for them, at most `grace`. Answers what went wrong, if a loop
    /// stopped by itself or does not stop.
    ///
    /// # Errors
    /// [`Stopped`] with the first failure.
    pub async fn shut_down(&self, grace: Duration) -> Result<(), Stopped> {
        self.stop.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(grace, self.tasks.wait()).await;
        match (self.first.get(), drained) {
            (Some(stopped), _) => Err(stopped.clone()),
            (None, Ok(())) => Ok(()),
            (None, Err(_)) => Err(Stopped {
                name: "supervisor",
                why: format!("a loop did not stop within {} s", grace.as_secs()),
            }),
        }
    }
}
