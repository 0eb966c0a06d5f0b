//! A webhook's secrets: the signing secret and the header values. They go to the vault, and come back
//! only as masks.

use std::collections::{BTreeMap, HashSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue};
use wharf_domain::{
    kernel::{ProjectId, Secret, WebhookId},
    ports::{Scope, SecretRef, VaultError},
    webhooks::{HEADERS_FIELD, SECRET_FIELD, signature},
};

use crate::{
    problem::{Error, internal},
    state::App,
};

/// What is shown of a header value.
pub(super) const MASK: &str = "***";
/// Shortest signing secret of a caller's own making.
const MIN_SECRET_BYTES: usize = 12;
/// Longest one.
const MAX_SECRET_BYTES: usize = 256;
/// Most extra headers.
const MAX_HEADERS: usize = 20;
/// Longest value of one.
const MAX_VALUE_BYTES: usize = 4096;
/// Headers that belong to the delivery itself or to the connection.
const RESERVED: [&str; 13] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "proxy-authorization",
    "proxy-connection",
];

/// Extra headers by name.
pub(super) type Headers = BTreeMap<String, String>;

/// What is shown of a signing secret.
pub(super) fn masked(hint: &str) -> String {
    format!("whsec_…{hint}")
}

/// The last four characters of a secret, to recognise it by.
pub(super) fn hint(secret: &str) -> String {
    let skipped = secret.chars().count().saturating_sub(4);
    secret.chars().skip(skipped).collect()
}

/// Checks a signing secret of a caller's own making.
///
/// # Errors
/// `F40022`.
pub(super) fn check_secret(secret: &str) -> Result<(), Error> {
    if !(MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&secret.len()) {
        return Err(Error::field(
            "secret",
            format!(
                "expected {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes; leave it out to have one made"
            ),
        ));
    }
    match secret.strip_prefix("whsec_") {
        Some(key) if STANDARD.decode(key).map_or(0, |key| key.len()) < MIN_SECRET_BYTES => {
            Err(Error::field(
                "secret",
                format!("after whsec_ expected base64 of at least {MIN_SECRET_BYTES} bytes"),
            ))
        }
        Some(_) | None => Ok(()),
    }
}

/// A new signing secret.
pub(super) fn generate(app: &App) -> Secret<String> {
    let mut key = [0; 32];
    app.api.ids.fill(&mut key);
    signature::render_secret(Secret::new(key).expose())
}

/// Checks extra headers; names keep their spelling.
///
/// # Errors
/// `F40022` names the header, never its value.
pub(super) fn check_headers(headers: Headers) -> Result<Headers, Error> {
    if headers.len() > MAX_HEADERS {
        return Err(Error::field("headers", format!("at most {MAX_HEADERS}")));
    }
    let mut names = HashSet::new();
    for (given, value) in &headers {
        let shown: String = given.chars().take(64).collect();
        let refused = |message: &str| Error::field(format!("headers.{shown}"), message);
        let name =
            HeaderName::try_from(given.as_str()).map_err(|_| refused("not a header name"))?;
        if RESERVED.contains(&name.as_str()) || name.as_str().starts_with("webhook-") {
            return Err(refused("set by the delivery itself; choose another name"));
        }
        if value.len() > MAX_VALUE_BYTES || HeaderValue::try_from(value.as_str()).is_err() {
            return Err(refused("not a header value of at most 4096 bytes"));
        }
        if !names.insert(name) {
            return Err(refused("given twice in different spelling"));
        }
    }
    Ok(headers)
}

/// Checks the prefix of the extra signature headers.
///
/// # Errors
/// `F40022`.
pub(super) fn check_prefix(prefix: &str) -> Result<(), Error> {
    let sane = (1..=40).contains(&prefix.len())
        && prefix.starts_with(|c: char| c.is_ascii_alphabetic())
        && !prefix.ends_with('-')
        && prefix
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !prefix.eq_ignore_ascii_case("webhook");
    if sane {
        Ok(())
    } else {
        Err(Error::field(
            "compat_prefix",
            "expected 1 to 40 letters, digits and dashes such as X-DietTracker",
        ))
    }
}

fn at(project: &ProjectId, id: WebhookId, field: &'static str, generation: u64) -> SecretRef {
    SecretRef {
        scope: Scope::Webhook(project.clone(), id),
        field,
        generation,
    }
}

/// Stores a signing secret durably.
///
/// # Errors
/// Those of the vault.
pub(super) async fn put_secret(
    app: &App,
    project: &ProjectId,
    id: WebhookId,
    generation: u64,
    secret: &str,
) -> Result<(), Error> {
    let secret = Secret::new(secret.as_bytes().to_vec());
    let at = at(project, id, SECRET_FIELD, generation);
    Ok(app.api.vault.put(&at, &secret).await?)
}

/// The first signing secret of `id`, if an earlier try of the same request made one.
///
/// # Errors
/// Those of the vault.
pub(super) async fn first_secret(
    app: &App,
    project: &ProjectId,
    id: WebhookId,
) -> Result<Option<Secret<String>>, Error> {
    match app.api.vault.get(&at(project, id, SECRET_FIELD, 1)).await {
        Ok(secret) => Ok(String::from_utf8(secret.expose().clone())
            .ok()
            .map(Secret::new)),
        Err(VaultError::Absent) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Stores header values durably.
///
/// # Errors
/// Those of the vault.
pub(super) async fn put_headers(
    app: &App,
    project: &ProjectId,
    id: WebhookId,
    generation: u64,
    headers: &Headers,
) -> Result<(), Error> {
    let secret = Secret::new(serde_json::to_vec(headers).map_err(internal)?);
    let at = at(project, id, HEADERS_FIELD, generation);
    Ok(app.api.vault.put(&at, &secret).await?)
}

/// Header values of a generation; none for generation 0.
///
/// # Errors
/// Those of the vault.
pub(super) async fn headers(
    app: &App,
    project: &ProjectId,
    id: WebhookId,
    generation: u64,
) -> Result<Headers, Error> {
    if generation == 0 {
        return Ok(Headers::new());
    }
    let at = at(project, id, HEADERS_FIELD, generation);
    let secret = app.api.vault.get(&at).await?;
    serde_json::from_slice(secret.expose()).map_err(internal)
}

/// Merges a change into header values; a value that comes back masked stays.
pub(super) fn merge(headers: &mut Headers, patch: Option<BTreeMap<String, Option<String>>>) {
    let Some(patch) = patch else {
        headers.clear();
        return;
    };
    for (name, value) in patch {
        let known = headers
            .keys()
            .find(|known| known.eq_ignore_ascii_case(&name))
            .cloned();
        match value {
            Some(value) if value == MASK && known.is_some() => {}
            value => {
                if let Some(known) = known {
                    headers.remove(&known);
                }
                if let Some(value) = value {
                    headers.insert(name, value);
                }
            }
        }
    }
}
