//! The spans of what the runtime does: a dispatched command, an append, a run, a page, an attempt. Opened
//! where the work is done; what the server makes of them is its own affair.
//!
//! What happens in the background has no request around it: its trace is that of the correlation, which is
//! therefore in every span. No span carries a name, a URL, a body or a secret.

use std::future::Future;

use tracing::{Instrument as _, Span, debug_span, field::Empty};
use wharf_domain::{
    kernel::Category,
    ports::{Append, DispatchError, HttpError, HttpResponse, Receipt},
};

/// Spans with this target are for a collector. No event has it, and no other span.
pub const TARGET: &str = "wharf::trace";

/// A command of `category`, until its caller has the answer.
pub(crate) async fn dispatch<R: std::error::Error + 'static>(
    category: Category,
    correlation: &str,
    command: impl Future<Output = Result<Receipt, DispatchError<R>>>,
) -> Result<Receipt, DispatchError<R>> {
    let category = category.as_str();
    let span = debug_span!(target: TARGET, "dispatch", correlation, category, outcome = Empty);
    let answer = command.instrument(span.clone()).await;
    let outcome = match &answer {
        Ok(receipt) if receipt.duplicate => "duplicate",
        Ok(_) => "carried_out",
        Err(DispatchError::Refused(_)) => "refused",
        Err(DispatchError::Contended(_)) => "contended",
        Err(DispatchError::InDoubt) => "in_doubt",
        Err(DispatchError::Log(_)) => "log",
        Err(DispatchError::Unavailable(_)) => "unavailable",
    };
    span.record("outcome", outcome);
    answer
}

/// A commit of a stream of `category`, until it is durable or known not to be.
pub(crate) async fn append(
    category: Category,
    correlation: &str,
    append: impl Future<Output = Append>,
) -> Append {
    let category = category.as_str();
    let span = debug_span!(target: TARGET, "append", correlation, category, outcome = Empty);
    let answer = append.instrument(span.clone()).await;
    let outcome = match &answer {
        Append::Committed(_) => "committed",
        Append::Conflict { .. } => "conflict",
        Append::InDoubt { .. } => "in_doubt",
        Append::Refused(_) => "refused",
    };
    span.record("outcome", outcome);
    answer
}

/// A run, for as long as this node works on it; see [`ended`].
pub(crate) fn run(correlation: &str) -> Span {
    debug_span!(target: TARGET, parent: None, "run", correlation, outcome = Empty)
}

/// Says how the run whose span is the current one ended: `completed` or `failed`.
pub(crate) fn ended(outcome: &'static str) {
    Span::current().record("outcome", outcome);
}

/// A page of the run whose span is the current one, until it is durable.
pub(crate) fn page(correlation: &str) -> Span {
    debug_span!(target: TARGET, "page", correlation)
}

/// One POST to a webhook. Of an error only its kind: its text may name an address.
pub(crate) async fn attempt(
    correlation: &str,
    post: impl Future<Output = Result<HttpResponse, HttpError>>,
) -> Result<HttpResponse, HttpError> {
    let span = debug_span!(
        target: TARGET, parent: None, "attempt", correlation, status = Empty, outcome = Empty
    );
    let answer = post.instrument(span.clone()).await;
    match &answer {
        Ok(response) => span.record("status", response.status),
        Err(HttpError::Blocked(_)) => span.record("outcome", "blocked"),
        Err(HttpError::BadUrl(_)) => span.record("outcome", "bad_url"),
        Err(HttpError::Connect(_)) => span.record("outcome", "connect"),
        Err(HttpError::Timeout) => span.record("outcome", "timeout"),
        Err(HttpError::Broken(_)) => span.record("outcome", "broken"),
    };
    answer
}
