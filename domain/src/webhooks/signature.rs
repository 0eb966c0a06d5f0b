//! The shape of a signed message (Standard Webhooks 1.0.0). The HMAC itself is the worker's.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::kernel::{MessageId, Secret};

/// What is signed: `id.timestamp.body`, the body's bytes exactly as sent.
#[must_use]
pub fn signed_content(id: MessageId, timestamp: i64, body: &[u8]) -> Vec<u8> {
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    content
}

/// The HMAC key in a secret: what `whsec_` + base64 encodes, or, for a secret of the customer's own
/// making, its bytes.
#[must_use]
pub fn key(secret: &Secret<Vec<u8>>) -> Secret<Vec<u8>> {
    let bytes = secret.expose();
    let decoded = bytes
        .strip_prefix(b"whsec_")
        .and_then(|text| STANDARD.decode(text).ok())
        .filter(|key| !key.is_empty());
    Secret::new(decoded.unwrap_or_else(|| bytes.clone()))
}

/// A secret as it is shown once: `whsec_` + base64 of 32 random bytes.
#[must_use]
pub fn render_secret(key: &[u8]) -> Secret<String> {
    Secret::new(format!("whsec_{}", STANDARD.encode(key)))
}
