//! The server's side of a consumer: made once, marked for ever, missed when it is gone.

use std::time::Duration;

use async_nats::jetstream::{
    Error as ApiError, ErrorCode,
    consumer::{AckPolicy, DeliverPolicy, Info, pull},
    context::{GetStreamError, GetStreamErrorKind},
    stream::{ConsumerCreateStrictErrorKind, RawMessageErrorKind},
};
use futures::TryStreamExt as _;
use wharf_domain::{
    kernel::Position,
    ports::{ConsumerSpec, LogError, StartAt},
};

use crate::jetstream::api::{Api, unavailable};

/// What is neither acknowledged nor renewed for so long is given to another node.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(30);

/// Finds the consumer, or makes it if it never was. What it is to be it becomes.
pub(super) async fn open(api: &Api, spec: &ConsumerSpec) -> Result<Info, LogError> {
    let found = info(api, spec.name).await?;
    let info = match found {
        Ok(found) => adapt(api, spec, found).await?,
        Err(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND => {
            if is_marked(api, spec.name).await? {
                return Err(LogError::CheckpointLost(spec.name.to_owned()));
            }
            make(api, spec).await?
        }
        Err(error) => return Err(unavailable(error)),
    };
    // In this order: a consumer without a mark has done nothing yet, a mark without a consumer is a loss.
    mark(api, spec.name).await?;
    Ok(info)
}

/// What the server says about the consumer.
pub(super) async fn info(api: &Api, name: &str) -> Result<Result<Info, ApiError>, LogError> {
    api.ask(format!("CONSUMER.INFO.{}.{name}", api.names.stream))
        .await
}

/// Whether the server says that there is no such consumer.
pub(super) async fn is_gone(api: &Api, name: &str) -> bool {
    match info(api, name).await {
        Ok(Err(error)) => error.error_code() == ErrorCode::CONSUMER_NOT_FOUND,
        Ok(Ok(_)) | Err(_) => false,
    }
}

/// The durable consumers of the stream, as the server describes them.
pub(in crate::jetstream) async fn all(api: &Api) -> Result<Vec<Info>, LogError> {
    let stream = api.context.get_stream(&api.names.stream).await;
    let stream = stream.map_err(unavailable)?;
    let mut all: Vec<Info> = stream
        .consumers()
        .try_collect()
        .await
        .map_err(unavailable)?;
    all.retain(|info| info.config.durable_name.is_some());
    Ok(all)
}

/// A durable consumer that somebody waits for just now.
pub(in crate::jetstream) async fn in_use(api: &Api) -> Result<Option<String>, LogError> {
    let mut all = all(api).await?.into_iter();
    Ok(all.find(|info| info.num_waiting > 0).map(|info| info.name))
}

/// Who ever was a durable consumer, by name; nobody if the servers lost that, too.
pub(in crate::jetstream) async fn marked(api: &Api) -> Result<Vec<String>, LogError> {
    let marks = match api.context.get_stream(&api.names.marks).await {
        Ok(marks) => marks,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(unavailable(error)),
    };
    let subjects = marks.info_with_subjects(api.names.all_marks()).await;
    let subjects: Vec<(String, usize)> = subjects
        .map_err(unavailable)?
        .try_collect()
        .await
        .map_err(unavailable)?;
    let mut names: Vec<_> = subjects
        .iter()
        .filter_map(|(subject, _)| Some(subject.rsplit_once('.')?.1.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn is_missing(error: &GetStreamError) -> bool {
    match error.kind() {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        GetStreamErrorKind::EmptyName
        | GetStreamErrorKind::Request
        | GetStreamErrorKind::InvalidStreamName => false,
    }
}

async fn make(api: &Api, spec: &ConsumerSpec) -> Result<Info, LogError> {
    let after = match spec.from {
        StartAt::First => Position::START,
        StartAt::Now => api.last(api.patience).await?,
    };
    let config = pull::Config {
        durable_name: Some(spec.name.to_owned()),
        name: Some(spec.name.to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: after.next().0,
        },
        ..wanted(api, spec)
    };
    let stream = api.names.stream.as_str();
    let made = api.context.create_consumer_strict_on_stream(config, stream);
    match made.await {
        Ok(made) => Ok(made.cached_info().clone()),
        // Another node was faster.
        Err(error) if error.kind() == ConsumerCreateStrictErrorKind::AlreadyExists => {
            info(api, spec.name).await?.map_err(unavailable)
        }
        Err(error) => Err(unavailable(error)),
    }
}

/// What a consumer has to be, wherever it began.
fn wanted(api: &Api, spec: &ConsumerSpec) -> pull::Config {
    let filters = spec.categories.iter();
    pull::Config {
        filter_subjects: filters
            .map(|&category| api.names.category(category))
            .collect(),
        max_ack_pending: i64::try_from(spec.max_in_flight.max(1)).unwrap_or(i64::MAX),
        ..any()
    }
}

/// What every consumer is.
fn any() -> pull::Config {
    pull::Config {
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: -1,
        headers_only: true,
        ..pull::Config::default()
    }
}

/// Takes over a checkpoint of another log with the same commits: the consumer goes on after `floor`, or
/// stays where it is if it is there already. Whoever opens it says what it filters.
pub(in crate::jetstream) async fn carry(
    api: &Api,
    name: &str,
    floor: Position,
) -> Result<(), LogError> {
    let config = pull::Config {
        durable_name: Some(name.to_owned()),
        name: Some(name.to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: floor.next().0,
        },
        ..any()
    };
    let stream = api.names.stream.as_str();
    let made = api.context.create_consumer_strict_on_stream(config, stream);
    match made.await {
        Ok(_) => {}
        Err(error) if error.kind() == ConsumerCreateStrictErrorKind::AlreadyExists => {}
        Err(error) => return Err(unavailable(error)),
    }
    mark(api, name).await
}

/// Changes what another version of this program wanted otherwise.
async fn adapt(api: &Api, spec: &ConsumerSpec, found: Info) -> Result<Info, LogError> {
    let wanted = wanted(api, spec);
    let is = &found.config;
    let mut filters = is.filter_subjects.clone();
    if !is.filter_subject.is_empty() {
        filters.push(is.filter_subject.clone());
    }
    filters.sort_unstable();
    let mut wanted_filters = wanted.filter_subjects.clone();
    wanted_filters.sort_unstable();
    if filters == wanted_filters && is.max_ack_pending == wanted.max_ack_pending {
        return Ok(found);
    }
    let config = pull::Config {
        durable_name: Some(spec.name.to_owned()),
        name: Some(spec.name.to_owned()),
        deliver_policy: is.deliver_policy,
        ..wanted
    };
    let stream = api.names.stream.as_str();
    let changed = api.context.update_consumer_on_stream(config, stream).await;
    Ok(changed.map_err(unavailable)?.cached_info().clone())
}

async fn is_marked(api: &Api, name: &str) -> Result<bool, LogError> {
    let marks = api.context.get_stream_no_info(&api.names.marks).await;
    let marks = marks.map_err(unavailable)?;
    let mark = marks
        .raw_message_builder()
        .last_by_subject(api.names.consumer_mark(name));
    match mark.send().await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(false),
        Err(error) => Err(unavailable(error)),
    }
}

async fn mark(api: &Api, name: &str) -> Result<(), LogError> {
    if is_marked(api, name).await? {
        return Ok(());
    }
    let sent = api
        .context
        .publish(api.names.consumer_mark(name), name.to_owned().into());
    let stored = sent.await.map_err(unavailable)?;
    stored.await.map(|_| ()).map_err(unavailable)
}
