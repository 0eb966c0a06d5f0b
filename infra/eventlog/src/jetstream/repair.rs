//! Repair: what the servers lost or changed comes back from a mirror.
//!
//! A stream is append-only, so nothing in it can be put right: a new one is made beside it under another
//! prefix, with every commit at its position, and the consumers go on where they were. The damaged one
//! stays as it is. Called by `wharf log repair`, while no hub runs.

use std::{path::PathBuf, sync::Arc};

use async_nats::jetstream::{ErrorCode, stream::Info};
use async_trait::async_trait;
use wharf_domain::{
    kernel::Position,
    ports::{Clock, EventLog, LogError},
};

use super::{
    api::{Api, unavailable},
    consumer,
    log::{JetStreamLog, connect},
    mirror,
    options::JetStreamOptions,
    stream::{self, check_options, check_server},
    transfer::checkpoints,
    verify::{Mirrored, ServerCopy, ServersReport, Wrong, inspect},
};
use crate::{
    error::Error,
    sqlite::{self, SqliteLog, schema},
    transfer::{ConsumerCheckpoint, Moved, Origin, TransferError, transfer},
    verify::{Progress, Report},
};

/// Beside the mirror: the one of the new stream, while it is made.
const SCRATCH: &str = "repair";

/// What a repair is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepairStep {
    /// Verifying the mirror.
    Mirror(Progress),
    /// Comparing what this server has with it.
    Server(String, Progress),
    /// Copying it into the new stream.
    Copy(Moved),
}

/// What a repair made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Prefix of the new stream: `log.nats_prefix` from now on.
    pub prefix: String,
    /// What is in it, proven.
    pub report: Report,
    /// What was wrong with the old one; `None` if it was gone altogether.
    pub servers: Option<ServersReport>,
    /// Consumers that go on where they were.
    pub consumers: Vec<String>,
    /// Consumers whose checkpoints the servers lost as well: they look at the whole log again.
    pub lost: Vec<String>,
}

/// What becomes of commits that the servers took after they had lost others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// Somebody may have been told of them: nothing is repaired.
    Refuse,
    /// They stay in the damaged stream.
    LeaveOut,
}

/// Why there is nothing to go on with. Whatever the reason, the old stream and the mirror are as before.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The servers or a folder cannot be used.
    #[error(transparent)]
    Open(#[from] Error),
    /// The servers could not be asked any more.
    #[error("the servers cannot be read")]
    Servers(#[source] LogError),
    /// The mirror itself is damaged.
    #[error("this node's mirror is damaged, too; repair from the mirror of another node")]
    Mirror(#[source] LogError),
    /// There is nothing to repair.
    #[error("every copy of the stream is whole; there is nothing to repair")]
    Whole,
    /// A hub is at work.
    #[error("a node takes work from the consumer {0}; stop every node, then begin again")]
    Running(String),
    /// The stream has more than the mirror.
    #[error(
        "the servers have taken commits up to position {servers}, this node's mirror has them up to \
         {mirror}: they would be lost; repair from the mirror of a node that has them"
    )]
    Shorter {
        /// Where the stream ends.
        servers: Position,
        /// Where the mirror ends.
        mirror: Position,
    },
    /// The stream has something else than the mirror.
    #[error(
        "at position {0} the servers have another commit than this node's mirror: they took it after they \
         had lost what was there; `wharf log verify` names all of those, `wharf log repair --leave-out` \
         repairs the log without them"
    )]
    Diverged(Position),
    /// The copy failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

/// Makes the stream of `options` anew under `prefix`, from the mirror in `options`, which becomes the
/// mirror of the new one. Cut off and begun again it goes on.
///
/// # Errors
/// [`RepairError`]: whenever a commit that the servers acknowledged might be left behind.
pub async fn repair(
    options: &JetStreamOptions,
    prefix: &str,
    strangers: Strangers,
    clock: Arc<dyn Clock>,
    progress: &mut (dyn FnMut(RepairStep) + Send),
) -> Result<Repaired, RepairError> {
    let names = check_options(options)?;
    let new = JetStreamOptions {
        prefix: prefix.to_owned(),
        mirror: scratch(options),
        ..options.clone()
    };
    if check_options(&new)?.stream == names.stream {
        return Err(
            Error::Setting("the new stream needs a prefix that the damaged one has not").into(),
        );
    }
    // Held to the end: no hub of this node starts meanwhile.
    let write_lock = schema::lock(&options.mirror)?;
    mirror::check_owner(&options.mirror, &names.stream)?;
    let mirrored =
        SqliteLog::open_read_only(&options.mirror, sqlite::Options::default(), clock.clone())?;
    mirrored
        .verify(&mut |done| progress(RepairStep::Mirror(done)))
        .await
        .map_err(RepairError::Mirror)?;

    let api = connect(options, names).await?;
    check_server(&api.client.server_info())?;
    let found = find(&api).await.map_err(RepairError::Servers)?;
    let servers = match &found {
        Some(info) => Some(admit(&api, info, &mirrored, strangers, progress).await?),
        None => None,
    };
    let (mut checkpoints, lost) = match &found {
        Some(_) => carried(&api).await.map_err(RepairError::Servers)?,
        None => (Vec::new(), Vec::new()),
    };
    let consumers = checkpoints.iter().map(|one| one.name.clone()).collect();
    // Who starts a repair wants a hub that starts; workers leave alone what has its outcome in the log.
    checkpoints.extend(lost.iter().map(|name| ConsumerCheckpoint {
        name: name.clone(),
        floor: Position::START,
        upto: Position::START,
        outstanding: Vec::new(),
    }));

    let log = JetStreamLog::open(new.clone(), clock).await?;
    let origin = Salvage {
        log: mirrored,
        checkpoints,
    };
    let copied = transfer(&origin, &log, &mut |moved| {
        progress(RepairStep::Copy(moved))
    })
    .await;
    let created = log.api().info().await.map_err(RepairError::Servers);
    log.close().await;
    let report = copied?;
    still(&api, found.as_ref(), &origin).await?;
    let created = created?.created.to_string();
    mirror::give_to(&options.mirror, &log.api().names.stream, &created)?;
    drop(write_lock);
    remove(new.mirror).await?;
    Ok(Repaired {
        prefix: prefix.to_owned(),
        report,
        servers,
        consumers,
        lost,
    })
}

/// A prefix for what is made anew from a stream with this one: `wharf`, `wharf-r1`, `wharf-r2`, …
#[must_use]
pub fn next_prefix(prefix: &str) -> String {
    let (name, number) = match prefix.rsplit_once('r') {
        Some((name, number)) if name.is_empty() || name.ends_with('-') => {
            (name, number.parse().ok())
        }
        Some(_) | None => ("", None::<u32>),
    };
    match (number, prefix) {
        (Some(number), _) => format!("{name}r{}", number.saturating_add(1)),
        (None, "") => "r1".to_owned(),
        (None, prefix) => format!("{prefix}-r1"),
    }
}

fn scratch(options: &JetStreamOptions) -> PathBuf {
    options.mirror.with_extension(SCRATCH)
}

/// A mirror, and the checkpoints that its servers have.
struct Salvage {
    log: SqliteLog,
    checkpoints: Vec<ConsumerCheckpoint>,
}

#[async_trait]
impl Origin for Salvage {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }

    async fn checkpoints(&self) -> Result<Vec<ConsumerCheckpoint>, LogError> {
        Ok(self.checkpoints.clone())
    }
}

/// What the servers say of the stream; `None`: they have none.
async fn find(api: &Api) -> Result<Option<Info>, LogError> {
    match stream::find(api, &api.names.stream).await? {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

/// Refuses a stream that is whole, in use, or has what the mirror has not.
async fn admit(
    api: &Api,
    info: &Info,
    mirrored: &SqliteLog,
    strangers: Strangers,
    progress: &mut (dyn FnMut(RepairStep) + Send),
) -> Result<ServersReport, RepairError> {
    if let Some(name) = consumer::in_use(api).await.map_err(RepairError::Servers)? {
        return Err(RepairError::Running(name));
    }
    let mirror = Mirrored::new(Some(mirrored)).await;
    let mirror = mirror.map_err(RepairError::Mirror)?;
    let report = inspect(api, info, &mirror, &mut |server, done| {
        progress(RepairStep::Server(server.to_owned(), done));
    })
    .await
    .map_err(RepairError::Servers)?;
    let mut faults = report.copies.iter().flat_map(|copy| &copy.faults);
    let stranger = faults.find(|fault| fault.what == Wrong::Another);
    match (stranger, strangers) {
        (Some(stranger), Strangers::Refuse) => {
            return Err(RepairError::Diverged(stranger.position));
        }
        // What lies beyond the mirror was taken in the place of what was lost, too.
        (Some(_), Strangers::LeaveOut) => {}
        (None, _) if report.tail > mirror.tail => {
            return Err(RepairError::Shorter {
                servers: report.tail,
                mirror: mirror.tail,
            });
        }
        (None, _) => {}
    }
    let whole = |copy: &ServerCopy| copy.faulty == 0;
    if report.unread.is_empty() && report.copies.iter().all(whole) {
        return Err(RepairError::Whole);
    }
    Ok(report)
}

/// The checkpoints that the servers have, and who was a consumer once and has none.
async fn carried(api: &Api) -> Result<(Vec<ConsumerCheckpoint>, Vec<String>), LogError> {
    let kept = checkpoints(api).await?;
    let mut lost = consumer::marked(api).await?;
    lost.retain(|name| kept.iter().all(|checkpoint| checkpoint.name != *name));
    Ok((kept, lost))
}

/// Nobody wrote the old stream meanwhile.
async fn still(api: &Api, before: Option<&Info>, origin: &Salvage) -> Result<(), RepairError> {
    let now = find(api).await.map_err(RepairError::Servers)?;
    let last = |info: Option<&Info>| info.map_or(0, |info| info.state.last_sequence);
    if last(now.as_ref()) == last(before) {
        return Ok(());
    }
    let mirror = origin.log.tail().await.map_err(RepairError::Mirror)?;
    Err(RepairError::Shorter {
        servers: Position(last(now.as_ref())),
        mirror,
    })
}

async fn remove(dir: PathBuf) -> Result<(), Error> {
    let unusable = |source| Error::Directory {
        dir: dir.clone(),
        source,
    };
    tokio::fs::remove_dir_all(&dir).await.map_err(unusable)
}
