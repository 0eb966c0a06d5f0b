//! Given leases that answer as told, on a clock that the test moves.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;
use wharf_domain::ports::LeaseError;

use super::*;

/// Moves to whatever anybody waits for, so nobody ever waits.
struct Hasty(watch::Sender<Timestamp>);

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        // Others get their turn first, as they would while time passes.
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        self.0.send_modify(|now| *now = (*now).max(deadline));
    }
}

enum Says {
    Yes,
    No,
    Nothing,
}

/// Answers in this order; then yes.
#[derive(Default)]
struct Told {
    takes: Mutex<VecDeque<Says>>,
    renewals: Mutex<VecDeque<Says>>,
    renewed: AtomicUsize,
    given_back: AtomicUsize,
}

fn answer(says: &Mutex<VecDeque<Says>>) -> Result<bool, LeaseError> {
    match says.lock().unwrap().pop_front() {
        Some(Says::No) => Ok(false),
        Some(Says::Nothing) => Err(LeaseError::Unavailable("it is down".into())),
        Some(Says::Yes) | None => Ok(true),
    }
}

#[async_trait]
impl Leases for Told {
    async fn take(&self, name: &str) -> Result<Option<Lease>, LeaseError> {
        Ok(answer(&self.takes)?.then(|| Lease {
            name: name.to_owned(),
            fence: 7,
            holds_for: Duration::from_secs(3),
        }))
    }

    async fn renew(&self, _: &Lease) -> Result<bool, LeaseError> {
        self.renewed.fetch_add(1, Ordering::Relaxed);
        answer(&self.renewals)
    }

    async fn give_back(&self, _: &Lease) -> Result<(), LeaseError> {
        self.given_back.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn keeper(told: &Arc<Told>) -> Keeper {
    Keeper {
        leases: told.clone(),
        clock: Arc::new(Hasty(watch::Sender::new(Timestamp::UNIX_EPOCH))),
    }
}

#[tokio::test]
async fn a_lease_is_asked_for_each_second_until_it_is_free() {
    let told = Arc::<Told>::default();
    *told.takes.lock().unwrap() = [Says::No, Says::Nothing, Says::No].into();
    let keeper = keeper(&told);
    let held = keeper.take("tick").await;
    assert_eq!(held.fence(), 7);
    assert_eq!(keeper.clock.now().as_second(), 3);
    // From when it was asked for, not from when the answer came.
    assert_eq!(held.until.as_second(), 6);
}

#[tokio::test]
async fn what_ends_gives_its_lease_back() {
    let told = Arc::<Told>::default();
    let keeper = keeper(&told);
    let held = keeper.take("tick").await;
    assert_eq!(keeper.under(held, async { "done" }).await, Some("done"));
    assert_eq!(told.given_back.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_lost_a_lease_is_stopped_wherever_it_is() {
    let told = Arc::<Told>::default();
    *told.renewals.lock().unwrap() = [Says::Yes, Says::Yes, Says::No].into();
    let keeper = keeper(&told);
    let held = keeper.take("tick").await;
    let never = std::future::pending::<()>();
    assert_eq!(keeper.under(held, never).await, None);
    assert_eq!(keeper.clock.now().as_second(), 3, "a renewal each second");
    let given_back = told.given_back.load(Ordering::Relaxed);
    assert_eq!(given_back, 0, "it is another's by now");
}

#[tokio::test]
async fn a_lease_survives_answers_that_do_not_come_for_less_than_its_time() {
    let told = Arc::<Told>::default();
    *told.renewals.lock().unwrap() = [
        Says::Nothing,
        Says::Nothing,
        Says::Yes,
        Says::Nothing,
        Says::Nothing,
        Says::Nothing,
    ]
    .into();
    let keeper = keeper(&told);
    let held = keeper.take("tick").await;
    let never = std::future::pending::<()>();
    assert_eq!(keeper.under(held, never).await, None);
    assert_eq!(told.renewed.load(Ordering::Relaxed), 6);
    assert_eq!(keeper.clock.now().as_second(), 6);
}
