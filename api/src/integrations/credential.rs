//! `auth_config`: checked against the manifest, its secrets put into the vault, and only then named in
//! the log (vault first, log second).

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use wharf_domain::{
    credentials::{AUTH_FIELD, CredentialCommand, CredentialEvent},
    kernel::{IntegrationId, Position, Secret, StreamId, decode_all},
    platforms::Auth,
    ports::{Context, Scope, SecretRef},
};

use crate::{
    auth::Granted,
    problem::{Code, Error, internal},
    state::App,
};

/// Longest secret field; a private key in PEM fits.
const MAX_FIELD_BYTES: usize = 16 * 1024;
/// Commits of a credential's stream read at once.
const PAGE: usize = 256;

/// A checked `auth_config`.
pub(super) struct Credential {
    auth_type: String,
    fields: BTreeSet<String>,
    secret: Secret<Vec<u8>>,
}

/// Whether a platform can be used without a credential.
pub(super) fn is_optional(auth: &Auth) -> bool {
    auth.auth_type == "none"
}

/// Checks `auth_config` against what the platform takes.
///
/// # Errors
/// `F42304`; messages name fields, never values.
pub(super) fn check(auth: &Auth, given: &Map<String, Value>) -> Result<Credential, Error> {
    let refused = |field: &str, message: String| {
        Error::new(Code::ConfigurationInvalid)
            .detail("auth_config is not what the platform takes")
            .and_field(format!("/auth_config/{field}"), message)
    };
    if is_optional(auth) {
        return Err(Error::new(Code::ConfigurationInvalid)
            .detail("this platform takes no credential; leave auth_config out")
            .and_field("/auth_config", "not taken"));
    }
    match given.get("auth_type").and_then(Value::as_str) {
        Some(auth_type) if auth_type == auth.auth_type => {}
        Some(_) | None => {
            return Err(refused("auth_type", format!("expected {}", auth.auth_type)));
        }
    }
    for field in auth.secrets.keys() {
        let value = given.get(field).and_then(Value::as_str);
        if !value.is_some_and(|value| (1..=MAX_FIELD_BYTES).contains(&value.len())) {
            return Err(refused(
                field,
                format!("required: a string of at most {MAX_FIELD_BYTES} bytes"),
            ));
        }
    }
    if let Some(unknown) = given
        .keys()
        .find(|name| *name != "auth_type" && !auth.secrets.contains_key(*name))
    {
        let unknown: String = unknown.chars().take(64).collect();
        let known: Vec<_> = auth.secrets.keys().map(String::as_str).collect();
        return Err(refused(
            &unknown,
            format!("unknown; known here are auth_type, {}", known.join(", ")),
        ));
    }
    let secrets: Map<_, _> = given
        .iter()
        .filter(|(name, _)| *name != "auth_type")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Ok(Credential {
        auth_type: auth.auth_type.clone(),
        fields: secrets.keys().cloned().collect(),
        secret: Secret::new(serde_json::to_vec(&secrets).map_err(internal)?),
    })
}

/// Makes `credential` generation `generation` of the integration's: vault, then log. Hold the turn of
/// the integration's credential, so that no other request fills the same generation.
///
/// # Errors
/// Those of the vault and of dispatch.
pub(super) async fn store<G>(
    app: &App,
    by: &Granted<G>,
    id: IntegrationId,
    generation: u64,
    credential: Credential,
    context: Context,
) -> Result<Position, Error> {
    let at = SecretRef {
        scope: Scope::Integration(by.project().clone(), id),
        field: AUTH_FIELD,
        generation,
    };
    app.api.vault.put(&at, &credential.secret).await?;
    let command = CredentialCommand::Store {
        auth_type: credential.auth_type,
        generation,
        fields: credential.fields,
    };
    let receipt = app
        .api
        .dispatch
        .credential(by.project(), id, command, context)
        .await?;
    Ok(receipt.position)
}

/// The current generation as the log has it; 0 without a credential.
///
/// # Errors
/// Those of the log.
pub(super) async fn generation<G>(
    app: &App,
    by: &Granted<G>,
    id: IntegrationId,
) -> Result<u64, Error> {
    let stream = StreamId::credential(by.project(), id);
    let mut generation = 0;
    let mut after = Position::START;
    loop {
        let commits = app.api.log.read_stream(&stream, after, PAGE).await?;
        for commit in &commits {
            for recorded in decode_all::<CredentialEvent>(commit).map_err(internal)? {
                match recorded.event {
                    CredentialEvent::Stored(stored) => generation = stored.generation,
                    CredentialEvent::Erased(_) => generation = 0,
                }
            }
            after = commit.position;
        }
        if commits.len() < PAGE {
            return Ok(generation);
        }
    }
}
