//! A platform's HTTP answer, as what the engine does about it. Called by every connector that pulls.
//! Messages never repeat an answer's body: it may hold what must not reach a log.

use std::time::Duration;

use jiff::{Timestamp, civil, fmt::rfc2822, tz::TimeZone};
use serde::de::DeserializeOwned;
use wharf_domain::ports::{ConnectorError, HttpError, HttpResponse};

/// The answer, if it is a success; otherwise what its status means.
///
/// 401 asks for a new credential. 429, and 403 or 503 that say when to come back, limit the rate. 408,
/// 425 and other 5xx pass. Everything else, redirects too, needs someone to change something.
///
/// # Errors
/// [`ConnectorError`].
pub fn success(
    answer: Result<HttpResponse, HttpError>,
    now: Timestamp,
) -> Result<HttpResponse, ConnectorError> {
    let answer = answer.map_err(failure)?;
    let status = answer.status;
    let retry_after = retry_after(&answer, now);
    match status {
        200..=299 => Ok(answer),
        401 => Err(ConnectorError::Unauthorized),
        429 => Err(ConnectorError::RateLimited { retry_after }),
        403 | 503 if retry_after.is_some() => Err(ConnectorError::RateLimited { retry_after }),
        408 | 425 | 500..=599 => Err(ConnectorError::Transient(format!("it answered {status}"))),
        _ => Err(ConnectorError::Permanent(format!("it answered {status}"))),
    }
}

/// What it means that there is no answer.
#[must_use]
pub fn failure(error: HttpError) -> ConnectorError {
    match error {
        HttpError::Blocked(_) | HttpError::BadUrl(_) => {
            ConnectorError::Permanent(error.to_string())
        }
        HttpError::Connect(_) | HttpError::Timeout | HttpError::Broken(_) => {
            ConnectorError::Transient(error.to_string())
        }
    }
}

/// The body of a success, read as JSON.
///
/// # Errors
/// [`ConnectorError::Malformed`]: cut off, no JSON, or of another shape.
pub fn json<T: DeserializeOwned>(answer: &HttpResponse) -> Result<T, ConnectorError> {
    if answer.truncated {
        return Err(ConnectorError::Malformed(
            "the answer is longer than we read".to_owned(),
        ));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        let kind = match error.classify() {
            serde_json::error::Category::Eof => "the answer breaks off",
            serde_json::error::Category::Data => "the answer has another shape than documented",
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => {
                "the answer is no JSON"
            }
        };
        ConnectorError::Malformed(format!(
            "{kind} (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3 and its three forms of §5.6.7) of which we take
/// the distance from now.
#[must_use]
pub fn retry_after(answer: &HttpResponse, now: Timestamp) -> Option<Duration> {
    let text = answer.header("retry-after")?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let wait = http_date(text)?.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or_default())
}

fn http_date(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = rfc2822::DateTimeParser::new().parse_timestamp(text) {
        return Some(timestamp);
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .into_iter()
        .find_map(|form| {
            let local = civil::DateTime::strptime(form, text).ok()?;
            local
                .to_zoned(TimeZone::UTC)
                .ok()
                .map(|zoned| zoned.timestamp())
        })
}

#[cfg(test)]
mod tests;
