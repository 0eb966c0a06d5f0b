//! Checks of what happened since: the end of the log, how far everything behind it is, the clock.

use jiff::{SignedDuration, Timestamp};
use wharf_domain::{
    kernel::{Position, StoredCommit, with_causes},
    ports::{Clock as _, EventLog, LogError},
};
use wharf_eventlog::{Origin as _, SqliteLog};
use wharf_projections::Views;
use wharf_runtime::clock::SystemClock;

use super::{Verdict, bad, good, warn};
use crate::{admin::Status, config::Config, storage};

/// Commits at the log's end whose bytes are checked; `wharf log verify` checks all.
const LOOKED_AT: u64 = 1000;
/// More than this behind, the views are reported as lagging.
const LAG: u64 = 10_000;
/// A message that waits longer is stuck.
const STUCK: SignedDuration = SignedDuration::from_mins(10);
/// The consumer of the delivery worker.
const DELIVER: &str = "deliver";

type Log = Result<SqliteLog, wharf_eventlog::Error>;

/// The log opens, has no holes, and its last commits are the bytes that were hashed.
pub(super) async fn log(log: &Log) -> Verdict {
    let restore = "stop the hub, keep a copy of the data folder, restore a backup (wharf restore)";
    let log = match log {
        Ok(log) => log,
        Err(error) => return bad(with_causes(error), restore),
    };
    match intact_end(log).await {
        Ok((tail, looked_at)) => good(format!(
            "position {tail}, no holes, the last {looked_at} commits intact; wharf log verify checks all"
        )),
        Err(error) => bad(with_causes(&error), restore),
    }
}

async fn intact_end(log: &SqliteLog) -> Result<(Position, u64), LogError> {
    let tail = log.tail().await?;
    let mut at = Position(tail.0.saturating_sub(LOOKED_AT));
    let looked_at = tail.0 - at.0;
    while at < tail {
        let commits = log
            .read_all(at, usize::try_from(LOOKED_AT).unwrap_or(usize::MAX))
            .await?;
        for commit in commits.iter().filter(|commit| commit.position <= tail) {
            let next = at.next();
            if commit.position != next || !commit.is_intact() {
                return Err(LogError::Damaged {
                    position: next,
                    what: "its bytes are not those that were hashed".to_owned(),
                });
            }
            at = next;
        }
        if commits.is_empty() {
            break;
        }
    }
    Ok((tail, looked_at))
}

/// The views are near the log's end, and every event was read.
pub(super) async fn views(config: &Config, log: &Log, hub: Option<&Status>) -> Verdict {
    let tail = match log {
        Ok(log) => log.tail().await.unwrap_or_default(),
        Err(_) => Position::START,
    };
    let peeked = match storage::database(config) {
        Some(url) => Views::peek_postgres(&url).await,
        None => Views::peek(&storage::views_dir(config)).await,
    };
    let at = match peeked {
        Ok(at) => at.unwrap_or_default(),
        Err(error) => return bad(with_causes(&error), "wharf views rebuild"),
    };
    let what = format!("position {at} of {tail}");
    let lag = tail.0.saturating_sub(at.0);
    match hub {
        Some(hub) if hub.parked > 0 => bad(
            format!("{what}, {} events could not be read", hub.parked),
            "they were written by a newer version, or are damaged: look for \"parked\" in the server's \
             log, update wharf, then wharf views rebuild",
        ),
        Some(_) if lag > LAG => warn(what, "let it catch up; if it does not, look into its log"),
        None if lag > 0 => good(format!("{what}; the rest is caught up at the next start")),
        Some(_) | None => good(what),
    }
}

/// No message waits for its delivery for long, no retry is overdue.
pub(super) async fn webhooks(log: &Log, hub: Option<&Status>) -> Verdict {
    let waiting = match log {
        Ok(log) => oldest_waiting(log).await,
        Err(_) => Ok(None),
    };
    let since = match waiting {
        Ok(since) => since,
        Err(error) => return warn(with_causes(&error), "see the event log above"),
    };
    let now = SystemClock.now();
    let age = since.map_or(SignedDuration::ZERO, |since| now.duration_since(since));
    let Some(hub) = hub else {
        return good(match since {
            Some(since) => format!("messages wait since {since} for the next start"),
            None => "no message waits".to_owned(),
        });
    };
    if age > STUCK {
        return warn(
            format!("messages wait since {} min", age.as_mins()),
            "look for \"a message waits\" in the server's log; receivers that are slow hold only their own",
        );
    }
    if hub.overdue_timers > 0 {
        return warn(
            format!("{} retries and schedules are overdue", hub.overdue_timers),
            "the hub is overloaded or was stopped for long; watch wharf_timers_overdue fall",
        );
    }
    good("no message waits for long, no retry is overdue")
}

/// When the oldest commit that the delivery worker has not acknowledged was made, as last saved.
async fn oldest_waiting(log: &SqliteLog) -> Result<Option<Timestamp>, LogError> {
    let checkpoints = log.checkpoints().await?;
    let deliver = checkpoints.iter().find(|consumer| consumer.name == DELIVER);
    let Some(&waiting) = deliver.and_then(|deliver| deliver.outstanding.first()) else {
        return Ok(None);
    };
    let commits = log
        .read_all(Position(waiting.0.saturating_sub(1)), 1)
        .await?;
    Ok(commits.first().and_then(made_at))
}

/// The clock must not be behind the last event: it was set back, and timers would wait.
pub(super) async fn clock(log: &Log) -> Verdict {
    let now = SystemClock.now();
    let last = match log {
        Ok(log) => last_event(log).await.unwrap_or_default(),
        Err(_) => None,
    };
    match last {
        Some(last) if last > now => bad(
            format!("the last event is of {last}, but it is {now}"),
            "set the machine's clock by NTP",
        ),
        Some(_) | None => good(format!("{now}")),
    }
}

async fn last_event(log: &SqliteLog) -> Result<Option<Timestamp>, LogError> {
    let tail = log.tail().await?;
    let commits = log.read_all(Position(tail.0.saturating_sub(1)), 1).await?;
    Ok(commits.first().and_then(made_at))
}

fn made_at(commit: &StoredCommit) -> Option<Timestamp> {
    commit.meta().ok().map(|meta| meta.time)
}
