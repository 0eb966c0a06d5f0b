//! What a request does.
//!
//! | | |
//! |---|---|
//! | `GET /sandbox/v1` | the account: items, change sequence |
//! | `GET /sandbox/v1/items?limit=&page_token=` | the items, by pages |
//! | `POST /sandbox/v1/items` | a new item |
//! | `GET`, `PATCH`, `DELETE /sandbox/v1/items/{id}` | one item |
//! | `GET /sandbox/v1/changes?since=&limit=` | what changed, deletions too; 410 if too long ago |
//! | `POST /sandbox/v1/advance` `{"steps": n}` | lets items come, change and go by themselves |
//! | `PUT /sandbox/v1/faults` `{"kind", "count"}` | makes the next `count` answers fail; 0 takes back |
//! | `GET /sandbox/v1/faults` | the faults that wait |
//!
//! Every call needs a bearer token that begins with `sandbox_`. The last two rows and `advance` are
//! for whoever tests: they are not limited and never fail on demand.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    Answer, World,
    account::{Account, Draft, FaultKind, Refusal},
};

const BASE: &str = "/sandbox/v1";
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 100;
const STEPS_MAX: u32 = 1000;
const FAULTS_MAX: u32 = 1000;
const TOKEN_BYTES: usize = 128;

/// What a route refuses with.
struct Problem {
    status: StatusCode,
    error: &'static str,
    message: String,
}

impl Problem {
    fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            error,
            message: message.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, error) = match refusal {
            Refusal::NoSuchItem => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::Full => (StatusCode::CONFLICT, "account_full"),
            Refusal::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_item"),
            Refusal::Forgotten(_) => (StatusCode::GONE, "changes_forgotten"),
        };
        Self::new(status, error, refusal.to_string())
    }
}

pub(super) fn answer(world: &mut World, request: &Request<Bytes>, now: Timestamp) -> Answer {
    let at_once = |response| (response, Duration::ZERO);
    let Some(token) = token(request) else {
        return at_once(problem(&unauthorized()));
    };
    let seed = request.headers().get("x-sandbox-seed");
    let seed = seed.and_then(|seed| seed.to_str().ok()?.parse().ok());
    let slow = world.options.slow;
    let burst = world.options.burst;
    let account = world.account(token, seed, now);
    let path = request
        .uri()
        .path()
        .strip_prefix(BASE)
        .unwrap_or_default()
        .trim_end_matches('/');
    if matches!(path, "/advance" | "/faults") {
        return at_once(control(account, path, request, now).unwrap_or_else(|p| problem(&p)));
    }
    let remaining = match account.take(now) {
        Ok(remaining) => remaining,
        Err(wait_ms) => return at_once(limited(wait_ms.div_ceil(1000), burst)),
    };
    let fault = account.fault();
    let mut response = match fault {
        Some(FaultKind::ServerError) => problem(&Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "you asked for it",
        )),
        Some(FaultKind::RateLimit) => return at_once(limited(1, burst)),
        Some(FaultKind::Unauthorized) => problem(&unauthorized()),
        None | Some(FaultKind::Malformed | FaultKind::Slow | FaultKind::DropPage) => route(
            account,
            path,
            request,
            fault == Some(FaultKind::DropPage),
            now,
        )
        .unwrap_or_else(|p| problem(&p)),
    };
    if fault == Some(FaultKind::Malformed) {
        let body = response.body();
        *response.body_mut() = body.slice(..body.len() / 2);
    }
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", burst.into());
    headers.insert("x-ratelimit-remaining", remaining.into());
    (
        response,
        if fault == Some(FaultKind::Slow) {
            slow
        } else {
            Duration::ZERO
        },
    )
}

fn token(request: &Request<Bytes>) -> Option<&str> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let token = value.strip_prefix("Bearer ")?;
    (token.starts_with("sandbox_") && token.len() <= TOKEN_BYTES).then_some(token)
}

fn unauthorized() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "send a bearer token that begins with sandbox_",
    )
}

fn control(
    account: &mut Account,
    path: &str,
    request: &Request<Bytes>,
    now: Timestamp,
) -> Result<Response<Bytes>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Advance {
        steps: u32,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fault {
        kind: FaultKind,
        count: u32,
    }
    match (path, request.method()) {
        ("/advance", &Method::POST) => {
            let Advance { steps } = body(request)?;
            account.advance(most(steps, STEPS_MAX)?, now);
            Ok(summary(account))
        }
        ("/faults", &Method::PUT) => {
            let Fault { kind, count } = body(request)?;
            account.add_fault(kind, most(count, FAULTS_MAX)?);
            Ok(faults(account))
        }
        ("/faults", &Method::GET) => Ok(faults(account)),
        _ => Err(not_allowed()),
    }
}

fn route(
    account: &mut Account,
    path: &str,
    request: &Request<Bytes>,
    drop_page: bool,
    now: Timestamp,
) -> Result<Response<Bytes>, Problem> {
    let method = request.method();
    match path {
        "" if method == Method::GET => Ok(summary(account)),
        "/items" if method == Method::GET => {
            let [limit, token] = query(request, ["limit", "page_token"])?;
            let after = match token {
                Some(token) => token.strip_prefix("after_").and_then(|n| n.parse().ok()),
                None => Some(0),
            };
            let after = after.ok_or_else(|| bad_parameter("page_token"))?;
            let mut page = account.page(after, page_limit(limit)?);
            if drop_page {
                page.items.clear();
            }
            Ok(json(StatusCode::OK, &page))
        }
        "/items" if method == Method::POST => {
            let draft: Draft = body(request)?;
            Ok(json(StatusCode::CREATED, account.create(draft, now)?))
        }
        "/changes" if method == Method::GET => {
            let [since, limit] = query(request, ["since", "limit"])?;
            let since = since
                .map_or(Ok(0), str::parse)
                .map_err(|_| bad_parameter("since"))?;
            let mut page = account.changes(since, page_limit(limit)?)?;
            if drop_page {
                page.changes.clear();
            }
            Ok(json(StatusCode::OK, &page))
        }
        "" | "/items" | "/changes" => Err(not_allowed()),
        _ => {
            let number = path
                .strip_prefix("/items/itm_")
                .and_then(|n| n.parse().ok());
            let number = number
                .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not_found", "nothing here"))?;
            match *method {
                Method::GET => Ok(json(StatusCode::OK, account.get(number)?)),
                Method::PATCH => {
                    let draft: Draft = body(request)?;
                    Ok(json(StatusCode::OK, account.update(number, draft, now)?))
                }
                Method::DELETE => {
                    account.delete(number)?;
                    let mut gone = Response::new(Bytes::new());
                    *gone.status_mut() = StatusCode::NO_CONTENT;
                    Ok(gone)
                }
                _ => Err(not_allowed()),
            }
        }
    }
}

fn summary(account: &Account) -> Response<Bytes> {
    let (items, change_seq) = account.size();
    json(
        StatusCode::OK,
        &json!({ "items": items, "change_seq": change_seq }),
    )
}

fn faults(account: &Account) -> Response<Bytes> {
    let waiting: Vec<_> = account
        .faults()
        .map(|(kind, count)| json!({ "kind": kind, "count": count }))
        .collect();
    json(StatusCode::OK, &json!({ "faults": waiting }))
}

/// The named parameters of the query; any other is refused.
fn query<'r, const N: usize>(
    request: &'r Request<Bytes>,
    names: [&'static str; N],
) -> Result<[Option<&'r str>; N], Problem> {
    let mut values = [None; N];
    let pairs = request.uri().query().unwrap_or_default().split('&');
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = names
            .iter()
            .zip(&mut values)
            .find(|(known, _)| **known == name);
        let Some((_, slot)) = known else {
            let message = format!(
                "there is no parameter of this name; there are {}",
                names.join(", ")
            );
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "unknown_parameter",
                message,
            ));
        };
        *slot = Some(value);
    }
    Ok(values)
}

fn page_limit(text: Option<&str>) -> Result<usize, Problem> {
    let limit = text
        .map_or(Ok(LIMIT_DEFAULT), str::parse)
        .map_err(|_| bad_parameter("limit"))?;
    if (1..=LIMIT_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(bad_parameter("limit"))
    }
}

fn bad_parameter(name: &str) -> Problem {
    let message = match name {
        "limit" => format!("limit is 1 to {LIMIT_MAX}"),
        "since" => "since is the change_seq or next_since of an answer".to_owned(),
        _ => "page_token is the next_page_token of an answer".to_owned(),
    };
    Problem::new(StatusCode::BAD_REQUEST, "bad_parameter", message)
}

fn most(value: u32, max: u32) -> Result<u32, Problem> {
    if value <= max {
        return Ok(value);
    }
    let message = format!("at most {max} at a time");
    Err(Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "too_many",
        message,
    ))
}

fn body<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Problem> {
    serde_json::from_slice(request.body()).map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_body",
            error.to_string(),
        )
    })
}

fn not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "no such method here",
    )
}

fn limited(retry_after_s: u64, burst: u32) -> Response<Bytes> {
    let message = format!("wait {retry_after_s} s");
    let mut response = problem(&Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        message,
    ));
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, retry_after_s.into());
    headers.insert("x-ratelimit-limit", burst.into());
    headers.insert("x-ratelimit-remaining", 0_u32.into());
    response
}

fn problem(problem: &Problem) -> Response<Bytes> {
    json(
        problem.status,
        &json!({ "error": problem.error, "message": problem.message }),
    )
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    // Nothing of ours has no JSON form.
    let mut response = Response::new(serde_json::to_vec(body).unwrap_or_default().into());
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
