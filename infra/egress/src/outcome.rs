//! How a request ended: the client's errors as the port's, and what is counted.
//!
//! No message contains a URL, a header or a body. Labels are of a fixed, small set.

use std::{error::Error as StdError, time::Duration};

use wharf_domain::ports::{HttpError, HttpResponse, TrustClass};

use crate::guard::Refused;

/// Longest cause in a message; parts of it may come from the other side (a certificate's names).
const MAX_CAUSE_CHARS: usize = 160;

/// What the client's error means to our caller.
pub(crate) fn error_of(error: &reqwest::Error) -> HttpError {
    if let Some(refused) = refused(error) {
        return match refused {
            Refused::NotPublic | Refused::NotLoopback => HttpError::Blocked(refused.to_string()),
            Refused::Unknown | Refused::Slow => HttpError::Connect(refused.to_string()),
        };
    }
    if error.is_builder() {
        return HttpError::BadUrl("it cannot be sent".to_owned());
    }
    if error.is_connect() {
        return HttpError::Connect(if error.is_timeout() {
            "no connection within the time limit".to_owned()
        } else {
            cause(error)
        });
    }
    if error.is_timeout() {
        return HttpError::Timeout;
    }
    HttpError::Broken(cause(error))
}

/// Our own resolver's refusal, if that is what the client ran into.
fn refused(error: &reqwest::Error) -> Option<Refused> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(*refused);
        }
        source = error.source();
    }
    None
}

/// The innermost error: the client's own ones around it name the URL, this one does not.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: Option<&dyn StdError> = error.source();
    while let Some(source) = innermost.and_then(StdError::source) {
        innermost = Some(source);
    }
    innermost.map_or_else(
        || "for an unknown reason".to_owned(),
        |error| {
            error
                .to_string()
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_CAUSE_CHARS)
                .collect()
        },
    )
}

/// Counts one request.
pub(crate) fn count(
    trust: TrustClass,
    result: &Result<HttpResponse, HttpError>,
    duration: Duration,
) {
    let trust = match trust {
        TrustClass::Caller => "caller",
        TrustClass::Hub => "hub",
    };
    let outcome = label(result);
    metrics::counter!("wharf_egress_requests_total", "trust" => trust, "outcome" => outcome)
        .increment(1);
    metrics::histogram!("wharf_egress_request_seconds", "trust" => trust, "outcome" => outcome)
        .record(duration.as_secs_f64());
}

/// The outcome's class.
pub(crate) fn label(result: &Result<HttpResponse, HttpError>) -> &'static str {
    match result {
        Ok(response) => match response.status {
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => "other",
        },
        Err(HttpError::Blocked(_)) => "blocked",
        Err(HttpError::BadUrl(_)) => "bad_url",
        Err(HttpError::Connect(_)) => "connect",
        Err(HttpError::Timeout) => "timeout",
        Err(HttpError::Broken(_)) => "broken",
    }
}
