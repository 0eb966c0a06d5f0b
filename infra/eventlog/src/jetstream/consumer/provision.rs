//! The server's side of a consumer: made once, marked for ever, missed when it is gone.

use std::time::Duration;

use async_nats::jetstream::{
    Error as ApiError, ErrorCode,
    consumer::{AckPolicy, DeliverPolicy, Info, pull},
    stream::{ConsumerCreateStrictErrorKind, RawMessageErrorKind},
};
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
