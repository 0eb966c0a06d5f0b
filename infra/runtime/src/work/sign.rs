//! Signing messages: Standard Webhooks 1.0.0 `v1`, HMAC-SHA256.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wharf_domain::{
    kernel::{MessageId, Secret},
    webhooks::signature,
};

/// The `webhook-signature` of a message sent at `timestamp` (Unix seconds).
#[must_use]
pub fn v1(secret: &Secret<Vec<u8>>, id: MessageId, timestamp: i64, body: &[u8]) -> String {
    let content = signature::signed_content(id, timestamp, body);
    format!(
        "v1,{}",
        STANDARD.encode(mac(signature::key(secret).expose(), &content))
    )
}

/// Hexadecimal HMAC-SHA256 over the body alone, keyed by the secret's own bytes: the compatible header
/// `<prefix>-Signature`.
#[must_use]
pub fn compat(secret: &Secret<Vec<u8>>, body: &[u8]) -> String {
    hex::encode(mac(secret.expose(), body))
}

fn mac(key: &[u8], content: &[u8]) -> Vec<u8> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(content);
            mac.finalize().into_bytes().to_vec()
        }
        // HMAC has no wrong key length (RFC 2104 §2).
        Err(_) => Vec::new(),
    }
}
