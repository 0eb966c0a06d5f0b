//! Keys: what of a JWK set (RFC 7517) can verify our tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use ring::hmac;
use serde::Deserialize;
use serde_json::Value;

/// Why keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// RFC 7518 §3.2.
    #[error("an HS256 secret has at least 32 bytes; make one with `wharf keygen`")]
    ShortSecret,
    /// Not `{"keys": [...]}`.
    #[error("not a JWK set; give the document of the issuer's jwks_uri")]
    NotASet,
    /// Nothing in it for us.
    #[error("the JWK set has no RS256, ES256 or EdDSA (Ed25519) signing key")]
    NoneUsable,
}

/// A key, and its name if it has one.
#[derive(Clone, Debug)]
pub(super) struct NamedKey {
    pub(super) kid: Option<String>,
    pub(super) key: PublicKey,
}

/// A key for exactly one algorithm.
#[derive(Clone)]
pub(super) enum PublicKey {
    /// HS256.
    Hmac(hmac::Key),
    /// RS256; modulus and exponent, big endian.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// ES256; the uncompressed point.
    P256(Vec<u8>),
    /// `EdDSA`; the 32 bytes.
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// The only `alg` that it accepts.
    pub(super) const fn algorithm(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "HS256",
            Self::Rsa { .. } => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.algorithm())
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Every usable key of `set`. A symmetric key in a published set would let everyone sign: passed over.
pub(super) fn read_set(set: &Value) -> Result<Vec<NamedKey>, InvalidKeys> {
    let set = Set::deserialize(set).map_err(|_| InvalidKeys::NotASet)?;
    let keys: Vec<_> = set
        .keys
        .iter()
        .filter_map(|key| Jwk::deserialize(key).ok()?.read())
        .collect();
    if keys.is_empty() {
        return Err(InvalidKeys::NoneUsable);
    }
    Ok(keys)
}

impl Jwk {
    fn read(self) -> Option<NamedKey> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let part = |text: &Option<String>| BASE64URL.decode(text.as_ref()?).ok();
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => PublicKey::Rsa {
                n: part(&self.n)?,
                e: part(&self.e)?,
            },
            ("EC", Some("P-256")) => {
                let (x, y) = (part(&self.x)?, part(&self.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                PublicKey::P256([&[4][..], &x, &y].concat())
            }
            ("OKP", Some("Ed25519")) => {
                PublicKey::Ed25519(part(&self.x).filter(|x| x.len() == 32)?)
            }
            _ => return None,
        };
        if self.alg.is_some_and(|alg| alg != key.algorithm()) {
            return None;
        }
        Some(NamedKey { kid: self.kid, key })
    }
}
