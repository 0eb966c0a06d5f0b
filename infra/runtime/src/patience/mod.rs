//! Waiting for a log that cannot be reached just now. The loops ask through this: an outage of its servers
//! holds them up and must not end the hub. What needs somebody to act still does.

#[cfg(test)]
mod tests;

use std::{future::Future, time::Duration};

use wharf_domain::{
    kernel::with_causes,
    ports::{Clock, Consumer, LogError},
};

use crate::journal::{REST, rest};

/// The longest that a loop which stops waits for the log to learn what is done.
const FAREWELL: Duration = Duration::from_secs(3);

/// Makes durable what `consumer` acknowledged, before its loop ends. A log that cannot be reached keeps nobody
/// from stopping: what it did not learn comes again, and is found done.
pub(crate) async fn farewell(clock: &dyn Clock, consumer: &dyn Consumer) -> Result<(), LogError> {
    let flushed = tokio::select! {
        biased;
        flushed = consumer.flush() => flushed,
        () = rest(clock, FAREWELL) => Err(LogError::Unavailable("it did not answer in time".into())),
    };
    match flushed {
        Err(error @ LogError::Unavailable(_)) => {
            tracing::warn!(
                error = %with_causes(&error),
                "stopping without the log: some of what is done comes again at the next start"
            );
            Ok(())
        }
        flushed => flushed,
    }
}

/// Asks again, after a rest, while the log cannot be reached. Dropping it while it rests loses nothing.
pub(crate) async fn patient<T, F>(
    clock: &dyn Clock,
    mut ask: impl FnMut() -> F,
) -> Result<T, LogError>
where
    F: Future<Output = Result<T, LogError>>,
{
    loop {
        match ask().await {
            Err(error @ LogError::Unavailable(_)) => {
                tracing::warn!(error = %with_causes(&error), "a loop waits for the log");
                rest(clock, REST).await;
            }
            answer => return answer,
        }
    }
}
