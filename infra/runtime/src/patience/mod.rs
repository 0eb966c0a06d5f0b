//! Waiting for a log that cannot be reached just now. The loops ask through this: an outage of its servers
//! holds them up and must not end the hub. What needs somebody to act still does.

#[cfg(test)]
mod tests;

use std::future::Future;

use wharf_domain::ports::{Clock, LogError};

use crate::{
    journal::{REST, rest},
    supervisor::chain,
};

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
                tracing::warn!(error = %chain(&error), "a loop waits for the log");
                rest(clock, REST).await;
            }
            answer => return answer,
        }
    }
}
