//! The stream: made if there is none, refused if it cannot keep what the log promises.
//!
//! Runs once, at the start. A server that is too old stores a write that should have been a conflict,
//! and a stream that may forget is no log: better not to start.

use std::{cmp::Ordering, collections::HashMap, time::Duration};

use async_nats::{
    ServerInfo,
    jetstream::{
        Error as ApiError, ErrorCode,
        stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
    },
};
use tokio::time::Instant;
use wharf_domain::{
    kernel::{MAX_BODY_BYTES, MAX_HEADER_BYTES},
    ports::LogError,
};

use super::{
    api::Api,
    names::{Names, PARTS},
    options::JetStreamOptions,
};
use crate::error::Error;

/// The oldest server that is accepted: those before it lost commits of replicated streams.
const NEEDED: ([u32; 3], &str) = ([2, 12, 3], "2.12.3");
/// Bytes of the largest message: body, headers as hashed, and what repeats them.
const MAX_MESSAGE_BYTES: usize = MAX_BODY_BYTES + MAX_HEADER_BYTES + 32 * 1024;
/// How long servers may take to agree on a leader.
const AGREED: Duration = Duration::from_secs(20);
/// What lies between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// Keys of the stream's metadata.
const FORMAT_KEY: &str = "wharf-format";
const PARTS_KEY: &str = "wharf-parts";
/// The shape of messages and subjects. A change needs an ADR: a log is kept for ever.
const FORMAT: &str = "1";
/// The shortest duplicate window: shorter ones would end before an append's deadline does.
const SHORTEST_WINDOW: Duration = Duration::from_mins(2);

/// Refuses settings that no stream can have.
pub(super) fn check_options(options: &JetStreamOptions) -> Result<Names, Error> {
    if ![1, 3, 5].contains(&options.replicas) {
        return Err(Error::Setting("a stream has 1, 3 or 5 replicas"));
    }
    if options.duplicate_window < SHORTEST_WINDOW.max(options.deadline) {
        return Err(Error::Setting(
            "the duplicate window is at least two minutes, and longer than an append's deadline",
        ));
    }
    Names::new(&options.prefix).ok_or(Error::Setting(
        "a prefix is at most 64 letters, digits and -",
    ))
}

/// Refuses a server that cannot keep the promises.
pub(super) fn check_server(server: &ServerInfo) -> Result<(), Error> {
    let (needed, shown) = NEEDED;
    if version(&server.version).is_none_or(|found| found < needed) {
        return Err(Error::ServerTooOld {
            found: server.version.clone(),
            needed: shown,
        });
    }
    if server.max_payload < MAX_MESSAGE_BYTES {
        return Err(Error::Setting(
            "the NATS server takes messages that are too small; set its max_payload to 1MB",
        ));
    }
    Ok(())
}

/// `2.12.3`, `v2.12.3-beta.1`: a pre-release counts as its release.
fn version(text: &str) -> Option<[u32; 3]> {
    let release = text.strip_prefix('v').unwrap_or(text);
    let release = release.split(['-', '+']).next()?;
    let mut parts = release.split('.').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some([next()?, next()?, next()?])
}

/// Makes the log's stream if there is none, and refuses one that is not as the log needs it.
pub(super) async fn provision(api: &Api, options: &JetStreamOptions) -> Result<Info, Error> {
    let info = make(api, wanted(&api.names, options)).await?;
    let wanted = wanted(&api.names, options);
    if let Some(what) = difference(&wanted, &info.config) {
        return Err(Error::StreamDiffers {
            stream: wanted.name,
            what,
        });
    }
    check_holes(&info)?;
    Ok(info)
}

/// Makes the stream of the marks if there is none.
pub(super) async fn provision_marks(api: &Api, options: &JetStreamOptions) -> Result<(), Error> {
    make(api, marks(&api.names, options)).await.map(|_| ())
}

async fn make(api: &Api, config: Config) -> Result<Info, Error> {
    let name = config.name.clone();
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Stream {
        stream: name.clone(),
        source,
    };
    let found = find(api, &name).await;
    match found.map_err(|error| failed(error.into()))? {
        Ok(found) => return Ok(found),
        Err(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
        Err(error) => return Err(failed(error.into())),
    }
    let created = api.context.create_stream(config).await;
    match created {
        Ok(created) => Ok(created.cached_info().clone()),
        // Another node was faster.
        Err(created) => match api.ask::<Info>(format!("STREAM.INFO.{name}")).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) | Err(_) => Err(failed(created.into())),
        },
    }
}

/// Asks for the stream. Servers that were started a moment ago, all of them after a power cut for example,
/// have to agree on a leader first: until then it is asked again.
pub(super) async fn find(api: &Api, name: &str) -> Result<Result<Info, ApiError>, LogError> {
    let deadline = Instant::now() + AGREED;
    loop {
        let found = api.ask::<Info>(format!("STREAM.INFO.{name}")).await;
        let waits = match &found {
            Ok(Ok(_)) => false,
            Ok(Err(error)) => error.error_code() == ErrorCode::CLUSTER_NOT_AVAILABLE,
            Err(_) => true,
        };
        if !waits || Instant::now() > deadline {
            return found;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The log's stream as it has to be.
fn wanted(names: &Names, options: &JetStreamOptions) -> Config {
    Config {
        description: Some("the event log of Wharfinger".to_owned()),
        metadata: HashMap::from([
            (FORMAT_KEY.to_owned(), FORMAT.to_owned()),
            (PARTS_KEY.to_owned(), PARTS.to_string()),
        ]),
        max_message_size: i32::try_from(MAX_MESSAGE_BYTES).unwrap_or(i32::MAX),
        duplicate_window: options.duplicate_window,
        deny_purge: true,
        ..kept(names.stream.clone(), names.all(), options.replicas)
    }
}

fn marks(names: &Names, options: &JetStreamOptions) -> Config {
    Config {
        description: Some("who ever was a consumer of the event log".to_owned()),
        ..kept(names.marks.clone(), names.all_marks(), options.replicas)
    }
}

/// A stream that forgets nothing.
fn kept(name: String, subjects: String, num_replicas: usize) -> Config {
    Config {
        name,
        subjects: vec![subjects],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        num_replicas,
        deny_delete: true,
        allow_direct: true,
        ..Config::default()
    }
}

/// The first thing in which `found` is not what the log needs.
fn difference(wanted: &Config, found: &Config) -> Option<String> {
    let unlimited = |limit: i64| limit <= 0;
    let checks = [
        (found.subjects == wanted.subjects, "its subjects are others"),
        (
            found.num_replicas == wanted.num_replicas,
            "it has another number of replicas",
        ),
        (
            found.retention == RetentionPolicy::Limits,
            "it forgets what was consumed",
        ),
        (found.storage == StorageType::File, "it is kept in memory"),
        (
            unlimited(found.max_messages)
                && unlimited(found.max_bytes)
                && unlimited(found.max_messages_per_subject)
                && found.max_age.is_zero(),
            "it has a limit of messages, bytes or age",
        ),
        (found.deny_delete, "it lets messages be deleted"),
        (found.deny_purge, "it lets itself be purged"),
        (!found.allow_rollup, "it takes roll-ups"),
        (!found.no_ack, "it does not acknowledge"),
        (!found.sealed, "it is sealed"),
        (
            found.mirror.is_none() && found.sources.as_ref().is_none_or(Vec::is_empty),
            "it takes messages from another stream",
        ),
        (found.subject_transform.is_none(), "it renames subjects"),
        (
            found.duplicate_window >= wanted.duplicate_window,
            "its duplicate window is too short",
        ),
        (
            found.max_message_size <= 0 || found.max_message_size >= wanted.max_message_size,
            "its messages are too small",
        ),
        (
            [FORMAT_KEY, PARTS_KEY]
                .iter()
                .all(|&key| found.metadata.get(key) == wanted.metadata.get(key)),
            "its metadata says another format",
        ),
    ];
    let different = checks.iter().find(|(same, _)| !same)?;
    Some(different.1.to_owned())
}

/// Nothing is ever deleted, so there are as many messages as positions, from 1.
fn check_holes(info: &Info) -> Result<(), Error> {
    let state = &info.state;
    let whole = match state.messages.cmp(&0) {
        Ordering::Greater => state.first_sequence == 1 && state.last_sequence == state.messages,
        Ordering::Equal | Ordering::Less => state.last_sequence == 0,
    };
    if whole {
        return Ok(());
    }
    Err(Error::StreamHoles {
        stream: info.config.name.clone(),
        messages: state.messages,
        first: state.first_sequence,
        last: state.last_sequence,
    })
}
