//! Clocks that are set back and forth by hours: what is under way goes on, what is due comes when the clock says
//! so, and of several nodes one holds a lease.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::SignedDuration;
use serde_json::json;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::sync::watch;
use wharf_adapters::catalogue;
use wharf_domain::{
    kernel::{MessageId, ProjectId, Secret, WebhookId},
    ports::{
        Clock, Context, Dispatch as _, EventLog, Http, HttpError, HttpRequest, HttpResponse,
        Ids as _, NoSnapshots, TrustClass, Vault,
    },
    webhooks::{NewMessage, RetryConfig},
};
use wharf_eventlog::MemoryLog;
use wharf_projections::Views;
use wharf_runtime::{
    Hub, Parts,
    clock::{SystemClock, SystemIds, sleep},
    spool::FileSpool,
};
use wharf_tests::{client::PATIENCE, clock::JumpingClock, parts, postgres::Database};

/// What the clocks jump.
const HOURS: SignedDuration = SignedDuration::from_hours(3);
/// Until a failed attempt is repeated.
const RETRY_SECONDS: u32 = 60;

const WEBHOOK: WebhookId = WebhookId(uuid::Uuid::from_u128(1));
static PROJECT: LazyLock<ProjectId> = LazyLock::new(|| "p".parse().unwrap());

fn context() -> Context {
    Context::system("test", "test", "test")
}

/// Answers as told, then 204; keeps which messages it got.
#[derive(Default)]
struct Receiver {
    answers: Mutex<VecDeque<u16>>,
    got: watch::Sender<Vec<String>>,
}

impl Receiver {
    fn refuses_the_next(&self) {
        self.answers.lock().unwrap().push_back(503);
    }

    /// Waits until it got `message` so often.
    async fn got(&self, message: MessageId, times: usize) {
        let id = message.to_string();
        let mut got = self.got.subscribe();
        let enough =
            got.wait_for(|got| got.iter().filter(|got| got.contains(&id)).count() >= times);
        let enough = tokio::time::timeout(PATIENCE, enough).await;
        assert!(
            enough.is_ok(),
            "{id} did not come {times} times: {:?}",
            *self.got.borrow()
        );
    }
}

#[async_trait]
impl Http for Receiver {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let id = request
            .headers
            .iter()
            .find(|(name, _)| name == "webhook-id");
        let id = id.expect("it has an id").1.clone();
        let status = self.answers.lock().unwrap().pop_front().unwrap_or(204);
        self.got.send_modify(|got| got.push(id));
        Ok(HttpResponse {
            status,
            headers: vec![],
            body: Bytes::new(),
            truncated: false,
        })
    }

    fn check(&self, _: &str, _: TrustClass) -> Result<(), HttpError> {
        Ok(())
    }
}

/// A hub by this clock. With a data base it shares that with others, under this name.
async fn hub(
    dir: &Path,
    name: &str,
    database: Option<&Database>,
    log: &Arc<dyn EventLog>,
    vault: &Arc<dyn Vault>,
    http: Arc<dyn Http>,
    clock: Arc<JumpingClock>,
) -> Hub {
    let views = match database {
        Some(database) => Views::postgres(&Secret::new(database.url()), vault.clone()).await,
        None => Views::open(&dir.join("views"), vault.clone()).await,
    };
    let views = views.expect("views");
    let spool = FileSpool::open(dir.join(name), 1 << 20).expect("a spool");
    Hub::start(Parts {
        log: log.clone(),
        snapshots: Arc::new(NoSnapshots),
        leases: views.leases(name),
        views,
        vault: vault.clone(),
        http,
        spool: Arc::new(spool),
        clock,
        ids: Arc::new(SystemIds),
        connectors: catalogue::connectors(catalogue::Options {
            sandbox_base_url: "http://127.0.0.1:1".to_owned(),
        }),
        grace: Duration::ZERO,
        deliveries: 16,
    })
}

/// A message that the hub accepts.
async fn accept(hub: &Hub, clock: &JumpingClock) -> MessageId {
    let id = MessageId(SystemIds.uuid());
    let message = NewMessage {
        id,
        topic: "task.created".to_owned(),
        data: json!({}),
        time: clock.now(),
        only: None,
    };
    let accepted = hub.dispatch.messages(&PROJECT, vec![message], context());
    accepted.await.unwrap();
    id
}

#[tokio::test]
async fn who_rests_for_a_moment_does_not_rest_for_hours_when_the_clock_is_set_back() {
    let clock = JumpingClock::default();
    let began = Instant::now();
    let deadline = clock.now() + SignedDuration::from_millis(300);
    let jumping = async {
        tokio::task::yield_now().await;
        clock.jump(-HOURS);
    };
    let resting = tokio::time::timeout(PATIENCE, sleep(|| clock.now(), deadline));
    let (rested, ()) = tokio::join!(resting, jumping);
    assert!(rested.is_ok() && clock.now() < deadline);
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "no sooner than without it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_holds_up_no_delivery_and_retries_come_when_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let vault = parts::vault(dir.path()).await;
    let clock = Arc::new(JumpingClock::default());
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(clock.clone()));
    let receiver = Arc::new(Receiver::default());
    let http: Arc<dyn Http> = receiver.clone();
    let hub = hub(dir.path(), "alone", None, &log, &vault, http, clock.clone()).await;
    let retries = RetryConfig {
        max_retries: 3,
        retry_delay: RETRY_SECONDS,
    };
    parts::webhook(&hub.dispatch, &vault, &PROJECT, WEBHOOK, Some(retries)).await;

    // Forward: what is due by then comes at once.
    receiver.refuses_the_next();
    let early = accept(&hub, &clock).await;
    receiver.got(early, 1).await;
    recorded(&log, 1).await;
    clock.jump(HOURS);
    receiver.got(early, 2).await;

    // Back: what is new is delivered all the same; what waits does so until the clock is there.
    receiver.refuses_the_next();
    let waiting = accept(&hub, &clock).await;
    receiver.got(waiting, 1).await;
    recorded(&log, 2).await;
    clock.jump(-HOURS);
    let late = accept(&hub, &clock).await;
    receiver.got(late, 1).await;
    // What fails after the jump is repeated by the clock as it is now.
    receiver.refuses_the_next();
    let failing = accept(&hub, &clock).await;
    receiver.got(failing, 1).await;
    recorded(&log, 3).await;
    clock.jump(SignedDuration::from_secs(2 * i64::from(RETRY_SECONDS)));
    receiver.got(failing, 2).await;
    clock.jump(HOURS);
    receiver.got(waiting, 2).await;
    hub.shut_down().await.unwrap();
}

/// Waits until the log knows of so many failed attempts.
async fn recorded(log: &Arc<dyn EventLog>, failures: usize) {
    let recording = async {
        let mut after = wharf_domain::kernel::Position::START;
        let mut seen = 0;
        while seen < failures {
            let commits = log.follow(after, 100).await.unwrap();
            after = commits.last().unwrap().position;
            let failed = |headers: &str| headers.contains("delivery.attempt_failed");
            seen += commits
                .iter()
                .filter(|commit| failed(&commit.headers))
                .count();
        }
    };
    let recorded = tokio::time::timeout(PATIENCE, recording).await;
    assert!(
        recorded.is_ok(),
        "the log never knows of {failures} failed attempts"
    );
}

/// Who holds which lease under which fence, and until when.
type Leases = BTreeMap<(String, i64), (String, String)>;

/// Looks at the leases until `done`; no fence may ever be two nodes'.
async fn watch_leases(
    connection: &mut PgConnection,
    seen: &mut Leases,
    mut done: impl FnMut(&Leases) -> bool,
) {
    let looking = async {
        loop {
            let sql =
                "select name, holder, fence, expires_at::text as until from wharf_views.lease";
            for row in sqlx::query(sql).fetch_all(&mut *connection).await.unwrap() {
                let lease = (row.get("name"), row.get("fence"));
                let holder: String = row.get("holder");
                let held = seen.insert(lease.clone(), (holder.clone(), row.get("until")));
                if let Some((before, _)) = held {
                    assert_eq!(before, holder, "two nodes had {lease:?}");
                }
            }
            if done(seen) {
                return;
            }
            // The data base tells nobody.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let looked = tokio::time::timeout(PATIENCE, looking).await;
    assert!(looked.is_ok(), "the leases stay as they are: {seen:?}");
}

/// The newest fence of the lease to tick, who holds it, and until when.
fn newest(seen: &Leases) -> Option<(i64, String, String)> {
    let held = seen.iter().filter(|((name, _), _)| name == "tick");
    held.map(|((_, fence), (holder, until))| (*fence, holder.clone(), until.clone()))
        .max()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_whose_clocks_differ_and_jump_hold_no_lease_together_and_lose_none() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::new().await;
    let vault = parts::vault(dir.path()).await;
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    let clocks = [
        Arc::new(JumpingClock::default()),
        Arc::new(JumpingClock::default()),
    ];
    clocks[1].jump(HOURS);
    let mut hubs = vec![];
    for (name, clock) in ["one", "another"].into_iter().zip(&clocks) {
        let http = Arc::new(Receiver::default());
        let (dir, clock) = (dir.path(), clock.clone());
        hubs.push(hub(dir, name, Some(&database), &log, &vault, http, clock).await);
        if name == "one" {
            // It is the first to take what there is to be taken.
            let mut connection = PgConnection::connect(&database.url()).await.unwrap();
            let mut seen = Leases::new();
            watch_leases(&mut connection, &mut seen, |seen| newest(seen).is_some()).await;
        }
    }
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let mut seen = Leases::new();
    watch_leases(&mut connection, &mut seen, |seen| newest(seen).is_some()).await;
    let (fence, holder, _) = newest(&seen).unwrap();
    assert_eq!(holder, "one");
    for jump in [-HOURS, HOURS, HOURS, -HOURS] {
        clocks[0].jump(jump);
        clocks[1].jump(-jump);
        // Renewed thrice since: as often as it takes for it to end otherwise.
        for _ in 0..3 {
            let (_, _, before) = newest(&seen).unwrap();
            let renewed = |seen: &Leases| newest(seen).is_some_and(|(.., until)| until != before);
            watch_leases(&mut connection, &mut seen, renewed).await;
        }
        let (now, holder, _) = newest(&seen).unwrap();
        assert_eq!((now, &*holder), (fence, "one"), "after {jump}");
    }
    // It goes, and the other takes over, whatever its clock says.
    let other = hubs.pop().unwrap();
    hubs.pop().unwrap().shut_down().await.unwrap();
    let taken = |seen: &Leases| newest(seen).is_some_and(|(_, holder, _)| holder == "another");
    watch_leases(&mut connection, &mut seen, taken).await;
    assert!(newest(&seen).unwrap().0 > fence);
    other.shut_down().await.unwrap();
}
