//! The follower: the thread that copies the stream into the mirror, in order, without holes.
//!
//! It has a small runtime of its own, so that it may block on the disk without holding up anybody. It
//! takes whatever has arrived as one group. What cannot be a continuation of what it has is damage: it
//! stops there for good and says where. Whatever else fails is tried again for ever.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use async_nats::jetstream::{
    Message,
    consumer::{
        AckPolicy, DeliverPolicy,
        pull::{self, MessagesError},
    },
};
use futures::{FutureExt as _, StreamExt as _};
use rusqlite::Connection;
use tokio::{sync::watch, time::Instant};
use wharf_domain::{
    kernel::{Position, StoredCommit},
    ports::LogError,
};

use super::{End, Reached, identity::end};
use crate::{
    jetstream::{
        api::{Api, damaged, unavailable},
        message::decode,
    },
    measure,
    sqlite::{Ledger, Unindexed, Unwritten, schema::WriteLock},
};

/// Most commits that are written in one transaction, and that are asked for at a time.
const GROUP: usize = 256;
/// Bytes of bodies after which a group is closed.
const GROUP_BYTES: usize = 8 << 20;
/// From a commit in so little time on they come thick.
const RUSH: Duration = Duration::from_micros(200);
/// How long a group then waits for more. Nobody notices: an append under such a load takes as long.
const LINGER: Duration = Duration::from_millis(3);
/// How often the server says that it is still there; twice nothing, and it is asked again.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// After so long without a message the stream is asked whether there are none.
const QUIET: Duration = Duration::from_secs(1);
/// What lies between two tries to follow.
const PAUSE: Duration = Duration::from_millis(200);
/// How long servers that were down may take to find what they had.
const REGAIN: Duration = Duration::from_secs(10);
/// How long the server keeps a consumer that nobody asks.
const FORGET: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Follower {
    pub(super) conn: Connection,
    /// Held until the file is at rest.
    pub(super) write_lock: WriteLock,
    pub(super) unindexed: Arc<Unindexed>,
    pub(super) api: Api,
    pub(super) reach: watch::Sender<Reached>,
    /// Closed when it is to stop.
    pub(super) stopped: watch::Receiver<()>,
}

/// What a subscription gives.
type Next = Option<Result<Message, MessagesError>>;

/// A message that was taken, and how many more there are behind it.
struct Taken {
    commit: StoredCommit,
    behind: u64,
}

impl Follower {
    /// Starts the thread.
    pub(super) fn start(self) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        std::thread::Builder::new()
            .name("wharf-mirror".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(run(&self)) {
                    tracing::error!(%error, "the mirror of the event log stopped");
                }
                // In this order: whoever gets the lock next must find the file at rest.
                let Self {
                    conn,
                    write_lock,
                    reach,
                    ..
                } = self;
                drop(conn);
                drop(write_lock);
                reach.send_modify(|reached| {
                    reached.behind = None;
                    reached.end.get_or_insert(End::Closed);
                });
            })
    }
}

async fn run(follower: &Follower) -> rusqlite::Result<()> {
    let mut ledger = Ledger::open(&follower.conn, Arc::clone(&follower.unindexed))?;
    let mut stopped = follower.stopped.clone();
    loop {
        let failed = tokio::select! {
            // Nothing is ever sent: it changes when its sender goes.
            _ = stopped.changed() => break,
            failed = follow(follower, &mut ledger) => failed,
        };
        follower.reach.send_modify(|reached| reached.behind = None);
        match failed {
            LogError::Damaged { position, what } => {
                tracing::error!(%position, what, "the event log is damaged");
                let end = End::Damaged { position, what };
                follower
                    .reach
                    .send_modify(|reached| reached.end = Some(end));
                let _ = stopped.changed().await;
                break;
            }
            error @ (LogError::Unavailable(_) | LogError::CheckpointLost(_)) => {
                let error = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(error, "the event log cannot be followed; trying again");
            }
        }
        tokio::select! {
            _ = stopped.changed() => break,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    // What is not indexed: the next start has nothing to read.
    if let Err(unwritten) = ledger.write(true, |_| Ok(())) {
        tracing::warn!(error = %unwritten.error(), "the mirror was not put in order at its end");
    }
    Ok(())
}

/// Follows the stream from where the mirror ends; ends with what went wrong.
async fn follow(follower: &Follower, ledger: &mut Ledger<'_>) -> LogError {
    match try_follow(follower, ledger).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn try_follow(
    follower: &Follower,
    ledger: &mut Ledger<'_>,
) -> Result<std::convert::Infallible, LogError> {
    let api = &follower.api;
    still_there(follower, ledger.last()).await?;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: ledger.last().next().0,
        },
        ack_policy: AckPolicy::None,
        description: Some("a node's mirror".to_owned()),
        inactive_threshold: FORGET,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let made = api
        .context
        .create_consumer_on_stream(config, api.names.stream.as_str());
    let consumer = made.await.map_err(unavailable)?;
    let behind = consumer.cached_info().num_pending;
    follower
        .reach
        .send_modify(|reached| reached.behind = Some(behind));
    let messages = consumer
        .stream()
        .max_messages_per_batch(GROUP)
        .heartbeat(HEARTBEAT)
        .messages();
    let mut messages = messages.await.map_err(unavailable)?;
    let mut group = Vec::with_capacity(GROUP);
    let mut begun = Instant::now();
    loop {
        let first = first(api, &mut messages, ledger.last()).await?;
        // A transaction costs as much as some ten commits: when they come thick, it waits for more.
        let rush = begun.elapsed() < RUSH.saturating_mul(u32::try_from(group.len()).unwrap_or(1));
        begun = Instant::now();
        let full_by = rush.then(|| begun + LINGER);
        group.clear();
        let failed = gather(
            api,
            &mut messages,
            first,
            full_by,
            ledger.last(),
            &mut group,
        )
        .await;
        write(follower, ledger, &group)?;
        if let Err(error) = failed {
            return Err(confirm(api, error).await);
        }
    }
}

/// The stream has to have what the mirror has: servers that lost commits give their positions to others.
async fn still_there(follower: &Follower, last: Position) -> Result<(), LogError> {
    let Some(end) = end(&follower.conn).map_err(unavailable)? else {
        return Ok(());
    };
    let api = &follower.api;
    let deadline = Instant::now() + REGAIN;
    loop {
        let there = Position(api.info().await?.state.last_sequence);
        if there >= last {
            break;
        }
        if Instant::now() > deadline {
            return Err(damaged(there.next(), "the servers have lost it"));
        }
        tokio::time::sleep(PAUSE).await;
    }
    match api.at(last).await? {
        Some(commit) if (commit.id, commit.hash) == (end.id, end.hash) => Ok(()),
        Some(_) => Err(damaged(last, "the servers have another commit there")),
        None => Err(damaged(last, "there is no commit")),
    }
}

/// Takes `first` into `group`, and what is there after it: now, or, if it may wait, at `full_by`.
async fn gather(
    api: &Api,
    messages: &mut pull::Stream,
    first: Next,
    full_by: Option<Instant>,
    last: Position,
    group: &mut Vec<Taken>,
) -> Result<(), LogError> {
    // It does not listen meanwhile: to be woken for each message costs more than to take it.
    if let Some(full_by) = full_by {
        tokio::time::sleep_until(full_by).await;
    }
    let mut next = first;
    let mut bytes = 0;
    loop {
        let message = next.ok_or_else(|| unavailable("the server ended the subscription"))?;
        let taken = take(api, &message.map_err(unavailable)?, group, last)?;
        bytes += taken.commit.body.len();
        group.push(taken);
        if group.len() >= GROUP || bytes >= GROUP_BYTES {
            return Ok(());
        }
        match messages.next().now_or_never() {
            Some(there) => next = there,
            None => return Ok(()),
        }
    }
}

/// Waits for the next message. What is lost on its way, with a connection for example, the server does
/// not send again: when it is quiet, the stream is asked whether it really is at its end.
async fn first(api: &Api, messages: &mut pull::Stream, last: Position) -> Result<Next, LogError> {
    loop {
        if let Ok(next) = tokio::time::timeout(QUIET, messages.next()).await {
            return Ok(next);
        }
        if api.info().await?.state.last_sequence > last.0 {
            let next = tokio::time::timeout(HEARTBEAT, messages.next()).await;
            return next.map_err(|_| unavailable("commits were lost on their way"));
        }
    }
}

/// The commit of a message, if it is the one after the last.
fn take(api: &Api, message: &Message, group: &[Taken], last: Position) -> Result<Taken, LogError> {
    let next = group
        .last()
        .map_or(last, |taken| taken.commit.position)
        .next();
    let described = message.info().map_err(unavailable)?;
    let position = Position(described.stream_sequence);
    if position != next {
        return Err(damaged(next, "there is no commit"));
    }
    let (headers, body) = (message.headers.as_ref(), message.payload.clone());
    let commit = decode(position, &message.subject, headers, body, &api.names)
        .map_err(|what| damaged(position, what))?;
    if !commit.is_intact() {
        return Err(damaged(
            position,
            "its bytes are not those that were hashed",
        ));
    }
    Ok(Taken {
        commit,
        behind: described.pending,
    })
}

/// Writes a group and tells everybody. What does not continue its stream is damage; what came before it
/// is written.
fn write(follower: &Follower, ledger: &mut Ledger<'_>, group: &[Taken]) -> Result<(), LogError> {
    let Some(behind) = group.last().map(|taken| taken.behind) else {
        return Ok(());
    };
    let mut broken = None;
    let written = ledger.write(false, |ledger| {
        for taken in group {
            if !ledger.mirror(&taken.commit)? {
                broken = Some(taken.commit.position);
                break;
            }
        }
        Ok(())
    });
    written.map_err(|unwritten: Unwritten| unwritten.as_log_error())?;
    let position = ledger.durable();
    follower.reach.send_modify(|reached| {
        reached.position = position;
        reached.behind = Some(behind);
    });
    measure::mirrored(position, behind);
    match broken {
        Some(position) => Err(damaged(
            position,
            "it does not follow the commit before it in its stream",
        )),
        None => Ok(()),
    }
}

/// A hole is one only if the leader has nothing there either: what was delivered may have skipped it.
async fn confirm(api: &Api, error: LogError) -> LogError {
    let LogError::Damaged { position, .. } = error else {
        return error;
    };
    match api.at(position).await {
        Ok(Some(commit)) if commit.is_intact() => unavailable("the server skipped a commit"),
        Ok(Some(_) | None) => error,
        Err(failed) => failed,
    }
}
