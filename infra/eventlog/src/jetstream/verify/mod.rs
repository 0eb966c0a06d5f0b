//! Verification of what the servers keep: every server's copy of the stream, all of it and in order,
//! compared with a mirror.
//!
//! A server that finds a message broken leaves it out without a word, and its counters go on counting
//! it. So the stream is not asked whether it is well: every commit of it is asked for, and one that does
//! not come, or comes otherwise than the mirror has it, is a fault. A consumer that has one copy reads
//! where it lies; one on each server tells which of them is damaged.
//!
//! Called by `wharf log verify` and by `repair`. It reads and never repairs.

use std::{collections::VecDeque, time::Duration};

use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::Info,
};
use futures::StreamExt as _;
use wharf_domain::{
    kernel::{Position, StoredCommit, StreamId},
    ports::{EventLog as _, LogError},
};

use super::{
    api::{Api, unavailable},
    log::connect,
    message::decode,
    options::JetStreamOptions,
    stream::{check_options, find},
};
use crate::{
    error::Error,
    sqlite::SqliteLog,
    verify::{Progress, Report, Verifier},
};

/// Commits that are asked for, compared and judged at a time.
const GROUP: usize = 256;
/// Faults of one copy that are named; the others are counted.
const NAMED: usize = 100;
/// How often a server says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// After so long a server that is there has nothing more to send.
const QUIET: Duration = Duration::from_secs(5);
/// How long a server keeps a consumer that nobody asks.
const FORGET: Duration = Duration::from_secs(60);
/// Consumers that are made, one after the other, until one comes to lie on the server that is meant: the
/// servers choose at random.
const TRIES: usize = 40;
/// What lies between two tries if the servers made none.
const PAUSE: Duration = Duration::from_millis(250);

/// What the servers keep of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServersReport {
    /// Name of the stream.
    pub stream: String,
    /// Where it ends, as its leader says.
    pub tail: Position,
    /// The copies that were read.
    pub copies: Vec<ServerCopy>,
    /// Servers that keep a copy and could not be asked for it.
    pub unread: Vec<String>,
}

/// One server's copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCopy {
    /// The server's name.
    pub server: String,
    /// What was proven; `None` if there is a fault.
    pub report: Option<Report>,
    /// The first faults, in order.
    pub faults: Vec<Fault>,
    /// How many there are, those that are not named included.
    pub faulty: u64,
}

/// Something that is wrong with a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub position: Position,
    /// Whose commit belongs there; `None` if neither the server nor a mirror can tell.
    pub stream: Option<StreamId>,
    /// What.
    pub what: Wrong,
}

/// What can be wrong with a commit on a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The server does not have it.
    #[error("there is no commit")]
    Missing,
    /// It is no commit.
    #[error("{0}")]
    Unreadable(&'static str),
    /// It was changed.
    #[error("its bytes are not those that were hashed")]
    Changed,
    /// It is whole, but not what the mirror has.
    #[error("it is another commit than this node's mirror has there")]
    Another,
    /// It is whole, but contradicts what comes before it.
    #[error("{0}")]
    Broken(String),
}

/// Reads every copy that the servers of `options` keep, up to where the stream ends when this is called.
/// With a `mirror`, which must be whole, each commit is compared with it, and all that it has must be
/// there. `progress` hears the server's name. The folder of the mirror in `options` is left alone.
///
/// # Errors
/// No server answers, or one stopped answering. What is wrong with a copy is no error.
pub async fn verify_servers(
    options: &JetStreamOptions,
    mirror: Option<&SqliteLog>,
    progress: &mut (dyn FnMut(&str, Progress) + Send),
) -> Result<ServersReport, Error> {
    let api = connect(options, check_options(options)?).await?;
    let failed = |source: LogError| Error::Stream {
        stream: api.names.stream.clone(),
        source: source.into(),
    };
    // In this order: the stream is never behind a mirror of it.
    let mirror = Mirrored::new(mirror).await.map_err(failed)?;
    let found = find(&api, &api.names.stream).await.map_err(failed)?;
    let info = found.map_err(|error| failed(unavailable(error)))?;
    inspect(&api, &info, &mirror, progress)
        .await
        .map_err(failed)
}

/// What a mirror has, read in order.
#[derive(Debug)]
pub(super) struct Mirrored<'a> {
    log: Option<&'a SqliteLog>,
    pub(super) tail: Position,
}

impl<'a> Mirrored<'a> {
    pub(super) async fn new(log: Option<&'a SqliteLog>) -> Result<Self, LogError> {
        let tail = match log {
            Some(log) => log.tail().await?,
            None => Position::START,
        };
        Ok(Self { log, tail })
    }
}

/// Reads every copy of the stream that `info` describes.
pub(super) async fn inspect(
    api: &Api,
    info: &Info,
    mirror: &Mirrored<'_>,
    progress: &mut (dyn FnMut(&str, Progress) + Send),
) -> Result<ServersReport, LogError> {
    let tail = Position(info.state.last_sequence);
    let mut report = ServersReport {
        stream: api.names.stream.clone(),
        tail,
        copies: Vec::new(),
        unread: Vec::new(),
    };
    for keeper in keepers(api, info) {
        let Some(consumer) = consumer_on(api, &keeper).await? else {
            report.unread.push(keeper.name);
            continue;
        };
        let reading = Reading {
            api,
            mirror,
            ahead: VecDeque::new(),
            verdict: Verdict::default(),
        };
        let mut tell = |done| progress(&keeper.name, Progress { done, tail });
        let read = reading.read(&consumer, tail, &mut tell).await;
        forget(api, &consumer).await;
        report.copies.push(read?.of(keeper.name));
    }
    Ok(report)
}

/// A server that keeps a copy.
struct Keeper {
    name: String,
    /// Others keep one as well.
    among_others: bool,
    offline: bool,
}

fn keepers(api: &Api, info: &Info) -> Vec<Keeper> {
    let leader = info.cluster.as_ref().and_then(|it| it.leader.clone());
    let replicas = info.cluster.as_ref().map_or(&[][..], |it| &it.replicas);
    let first = Keeper {
        name: leader.unwrap_or_else(|| api.client.server_info().server_name),
        among_others: !replicas.is_empty(),
        offline: false,
    };
    let others = replicas.iter().map(|replica| Keeper {
        name: replica.name.clone(),
        among_others: true,
        offline: replica.offline,
    });
    std::iter::once(first).chain(others).collect()
}

/// A consumer of the whole stream that reads on this server; `None`: the servers made none there.
async fn consumer_on(api: &Api, keeper: &Keeper) -> Result<Option<PullConsumer>, LogError> {
    if keeper.offline {
        return Ok(None);
    }
    let mut failed = None;
    for _ in 0..TRIES {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            description: Some("verifies the event log".to_owned()),
            inactive_threshold: FORGET,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let made = api
            .context
            .create_consumer_on_stream(config, api.names.stream.as_str());
        let consumer = match made.await {
            Ok(consumer) => consumer,
            // They may be about to agree on a leader.
            Err(error) => {
                failed = Some(unavailable(error));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let cluster = consumer.cached_info().cluster.as_ref();
        let lies_on = cluster.and_then(|cluster| cluster.leader.as_deref());
        if !keeper.among_others || lies_on == Some(&*keeper.name) {
            return Ok(Some(consumer));
        }
        forget(api, &consumer).await;
    }
    failed.map_or(Ok(None), Err)
}

/// The server would forget it as well, later.
async fn forget(api: &Api, consumer: &PullConsumer) {
    let name = consumer.cached_info().name.as_str();
    let stream = api.names.stream.as_str();
    if let Err(error) = api.context.delete_consumer_from_stream(name, stream).await {
        tracing::debug!(%error, "a consumer that verified was left to the server");
    }
}

/// What a server has at a position.
type Found = (Position, Result<StoredCommit, Wrong>);

/// One copy, while it is read.
struct Reading<'a> {
    api: &'a Api,
    mirror: &'a Mirrored<'a>,
    /// What was read of the mirror and not compared yet.
    ahead: VecDeque<StoredCommit>,
    verdict: Verdict,
}

impl Reading<'_> {
    /// Reads up to `tail`, and on as far as the mirror goes.
    async fn read(
        mut self,
        consumer: &PullConsumer,
        tail: Position,
        tell: &mut (dyn FnMut(Position) + Send),
    ) -> Result<Verdict, LogError> {
        let messages = consumer
            .stream()
            .max_messages_per_batch(GROUP)
            .heartbeat(HEARTBEAT)
            .messages();
        let mut messages = messages.await.map_err(unavailable)?;
        let mut next = Position::START.next();
        let mut found: Vec<Found> = Vec::with_capacity(GROUP);
        while next <= tail && !self.verdict.stopped {
            let message = match tokio::time::timeout(QUIET, messages.next()).await {
                Ok(Some(message)) => Some(message.map_err(unavailable)?),
                Ok(None) => return Err(unavailable("the server ended the subscription")),
                // It is there and sends nothing: this is all that it has.
                Err(_) => None,
            };
            let at = match &message {
                Some(message) => {
                    let described = message.info().map_err(unavailable)?;
                    Position(described.stream_sequence)
                }
                None => tail.next(),
            };
            while next < at.min(tail.next()) {
                found.push((next, Err(Wrong::Missing)));
                next = next.next();
                if found.len() >= GROUP {
                    self.judge(&mut found).await?;
                }
            }
            if let Some(message) = message
                && at == next
                && at <= tail
            {
                found.push((at, self.decode(at, &message)));
                next = at.next();
            }
            if found.len() >= GROUP {
                self.judge(&mut found).await?;
                tell(self.verdict.verifier.done());
            }
        }
        while next <= self.mirror.tail && !self.verdict.stopped {
            found.push((next, Err(Wrong::Missing)));
            next = next.next();
            if found.len() >= GROUP {
                self.judge(&mut found).await?;
            }
        }
        self.judge(&mut found).await?;
        Ok(self.verdict)
    }

    fn decode(&self, at: Position, message: &Message) -> Result<StoredCommit, Wrong> {
        let (headers, body) = (message.headers.as_ref(), message.payload.clone());
        decode(at, &message.subject, headers, body, &self.api.names).map_err(Wrong::Unreadable)
    }

    /// Compares what was found with the mirror.
    async fn judge(&mut self, found: &mut Vec<Found>) -> Result<(), LogError> {
        let mut compared = Vec::with_capacity(found.len());
        for (position, commit) in found.drain(..) {
            compared.push((position, commit, self.mirrored(position).await?));
        }
        let mut verdict = std::mem::take(&mut self.verdict);
        // Hashing and parsing takes too long for the runtime's threads.
        let judged = tokio::task::spawn_blocking(move || {
            for (position, found, mirrored) in compared {
                verdict.judge(position, found, mirrored);
            }
            verdict
        });
        self.verdict = judged.await.map_err(unavailable)?;
        Ok(())
    }

    /// What the mirror has at `position`; positions are asked for in order.
    async fn mirrored(&mut self, position: Position) -> Result<Option<StoredCommit>, LogError> {
        let Some(log) = self.mirror.log.filter(|_| position <= self.mirror.tail) else {
            return Ok(None);
        };
        if self.ahead.is_empty() {
            let before = Position(position.0.saturating_sub(1));
            self.ahead = log.read_all(before, GROUP).await?.into();
        }
        Ok(self.ahead.pop_front())
    }
}

/// What is known of a copy so far.
#[derive(Debug, Default)]
struct Verdict {
    verifier: Verifier,
    faults: Vec<Fault>,
    faulty: u64,
    /// What belongs at a position is unknown: nothing after it can be proven.
    stopped: bool,
}

impl Verdict {
    /// Judges what was found at the next position.
    fn judge(
        &mut self,
        position: Position,
        found: Result<StoredCommit, Wrong>,
        mirrored: Option<StoredCommit>,
    ) {
        if self.stopped {
            return;
        }
        let wrong = match (&found, &mirrored) {
            (Err(wrong), _) => Some(wrong.clone()),
            (Ok(found), _) if !found.is_intact() => Some(Wrong::Changed),
            (Ok(found), Some(mirrored)) if found.hash != mirrored.hash => Some(Wrong::Another),
            (Ok(_), _) => None,
        };
        let found = found.ok();
        if let Some(wrong) = wrong {
            let known = mirrored.as_ref().or(found.as_ref());
            self.fault(position, known.map(|commit| commit.stream.clone()), wrong);
            // The mirror tells what belongs there, and so what may follow it.
            match mirrored {
                Some(mirrored) => self.follow(&mirrored),
                None => self.stopped = true,
            }
        } else if let Some(found) = found {
            self.follow(&found);
        }
    }

    fn follow(&mut self, commit: &StoredCommit) {
        if let Err(error) = self.verifier.check(commit) {
            let what = match error {
                LogError::Damaged { what, .. } => what,
                error @ (LogError::Unavailable(_) | LogError::CheckpointLost(_)) => {
                    error.to_string()
                }
            };
            let stream = Some(commit.stream.clone());
            self.fault(commit.position, stream, Wrong::Broken(what));
            self.stopped = true;
        }
    }

    fn fault(&mut self, position: Position, stream: Option<StreamId>, what: Wrong) {
        self.faulty += 1;
        // Commits that nobody else has are never among those that are only counted.
        if self.faults.len() < NAMED || what == Wrong::Another {
            self.faults.push(Fault {
                position,
                stream,
                what,
            });
        }
    }

    fn of(self, server: String) -> ServerCopy {
        ServerCopy {
            server,
            report: (self.faulty == 0).then(|| self.verifier.report()),
            faults: self.faults,
            faulty: self.faulty,
        }
    }
}

#[cfg(test)]
mod tests;
