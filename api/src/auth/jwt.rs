//! Tokens: compact JWS, verified and minted on `ring`. No key ever accepts more than one algorithm, so
//! there is nothing to confuse; `none` is no algorithm of any key.
//!
//! Called by the `Granted` extractor and by `wharf token`. Never asks the machine's clock.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use ring::{hmac, signature};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_domain::{
    access::{Caller, Role},
    kernel::{ProjectId, Secret, Timestamp},
};

use super::jwk::{InvalidKeys, NamedKey, PublicKey, read_set};

/// Tokens longer than this are refused unread.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// RFC 7518 §3.2: an HS256 key has at least the size of the hash.
const MIN_SECRET_BYTES: usize = 32;

/// What a token must say besides being signed.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// `iss` must be this.
    pub issuer: Option<String>,
    /// `aud` must be, or contain, this.
    pub audience: Option<String>,
    /// How far the clocks of issuer and hub may differ.
    pub leeway: Duration,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(60),
        }
    }
}

/// Who signed the tokens that we accept, and what these must say.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: std::sync::Arc<Vec<NamedKey>>,
    rules: TokenRules,
}

/// A token that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who it speaks for.
    pub caller: Caller,
    /// Its `exp`.
    pub expires_at: Timestamp,
}

/// Why a token is none for us. Never says what it contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// None was sent.
    #[error("no bearer token was sent; send one in the Authorization header")]
    Missing,
    /// Not a compact JWS.
    #[error("the token is no JSON Web Token; send the three-part compact form")]
    Malformed,
    /// Signed by an algorithm that none of our keys uses, or by none.
    #[error("the token's algorithm is not accepted; sign it as the hub's keys do")]
    Algorithm,
    /// Its `kid` is none of ours.
    #[error("the token's key is not known; sign it with a key of the configured set")]
    UnknownKey,
    /// Forged, or signed by someone else.
    #[error("the token's signature is wrong; get a new one from the configured issuer")]
    Signature,
    /// Its time is over.
    #[error("the token has expired; get a new one")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet; check the issuer's clock")]
    NotYetValid,
    /// From someone else.
    #[error("the token's iss is not accepted; use the configured issuer")]
    Issuer,
    /// For someone else.
    #[error("the token's aud is not this hub; ask the issuer for one that is")]
    Audience,
    /// A claim that we need is missing or wrong.
    #[error("the token's claim {0} is missing or wrong; have the issuer set it")]
    Claim(&'static str),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct ReadClaims {
    sub: Option<String>,
    project: Option<String>,
    roles: Option<Vec<String>>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Value>,
}

impl Verifier {
    /// Accepts HS256 tokens signed with `secret`.
    ///
    /// # Errors
    /// [`InvalidKeys::ShortSecret`] below 32 bytes.
    pub fn hs256(secret: &Secret<Vec<u8>>, rules: TokenRules) -> Result<Self, InvalidKeys> {
        Ok(Self::of(
            vec![NamedKey {
                kid: None,
                key: PublicKey::Hmac(hmac_key(secret)?),
            }],
            rules,
        ))
    }

    /// Accepts tokens signed by a key of a JWK set (RFC 7517): RS256, ES256 or `EdDSA` with Ed25519.
    /// Keys of other kinds, or for other uses, are passed over.
    ///
    /// # Errors
    /// [`InvalidKeys`] if it is no set, or none of its keys can be used.
    pub fn jwks(set: &Value, rules: TokenRules) -> Result<Self, InvalidKeys> {
        Ok(Self::of(read_set(set)?, rules))
    }

    fn of(keys: Vec<NamedKey>, rules: TokenRules) -> Self {
        Self {
            keys: std::sync::Arc::new(keys),
            rules,
        }
    }

    /// Checks a token as of `now`.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = decode(header)?;
        let signature = BASE64URL
            .decode(signature)
            .map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            // RFC 7515 §4.1.11: extensions that we do not know must be refused.
            return Err(TokenError::Malformed);
        }
        self.check_signature(&header, signed.as_bytes(), &signature)?;
        self.check_claims(decode(claims)?, now)
    }

    fn check_signature(
        &self,
        header: &Header,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let mut candidates = self
            .keys
            .iter()
            .filter(|named| named.key.algorithm() == header.alg)
            .peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::Algorithm);
        }
        let mut candidates = candidates
            .filter(|named| match (&header.kid, &named.kid) {
                (Some(wanted), Some(kid)) => wanted == kid,
                (None, _) | (_, None) => true,
            })
            .peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        if candidates.any(|named| named.key.verifies(signed, signature)) {
            Ok(())
        } else {
            Err(TokenError::Signature)
        }
    }

    fn check_claims(&self, claims: ReadClaims, now: Timestamp) -> Result<Verified, TokenError> {
        let seconds = now.as_millisecond() as f64 / 1000.0;
        let leeway = self.rules.leeway.as_secs_f64();
        let exp = claims.exp.ok_or(TokenError::Claim("exp"))?;
        if seconds >= exp + leeway {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| seconds + leeway < nbf) {
            return Err(TokenError::NotYetValid);
        }
        if self.rules.issuer.is_some() && claims.iss != self.rules.issuer {
            return Err(TokenError::Issuer);
        }
        if let Some(audience) = &self.rules.audience
            && !is_for(claims.aud.as_ref(), audience)
        {
            return Err(TokenError::Audience);
        }
        let project: ProjectId = claims
            .project
            .and_then(|text| text.parse().ok())
            .ok_or(TokenError::Claim("project"))?;
        let subject = claims
            .sub
            .filter(|sub| (1..=255).contains(&sub.len()) && !sub.chars().any(char::is_control))
            .ok_or(TokenError::Claim("sub"))?;
        // A role that a newer hub knows gives nothing here.
        let role = claims
            .roles
            .unwrap_or_default()
            .iter()
            .filter_map(|role| role.parse().ok())
            .max()
            .unwrap_or(Role::Viewer);
        Ok(Verified {
            caller: Caller {
                project,
                subject,
                role,
            },
            expires_at: Timestamp::from_second(exp.min(MAX_SECONDS) as i64)
                .unwrap_or(Timestamp::MAX),
        })
    }
}

/// Later than any instant that we can name.
const MAX_SECONDS: f64 = 1e12;

fn is_for(aud: Option<&Value>, audience: &str) -> bool {
    match aud {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    let bytes = BASE64URL.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

fn hmac_key(secret: &Secret<Vec<u8>>) -> Result<hmac::Key, InvalidKeys> {
    if secret.expose().len() < MIN_SECRET_BYTES {
        return Err(InvalidKeys::ShortSecret);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
}

/// What a minted token says.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Who.
    pub subject: String,
    /// In which project.
    pub project: ProjectId,
    /// With which roles.
    pub roles: BTreeSet<Role>,
    /// Since when.
    pub issued_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// `iss`, if the hub asks for one.
    pub issuer: Option<String>,
    /// `aud`, if the hub asks for one.
    pub audience: Option<String>,
}

#[derive(Serialize)]
struct WrittenClaims<'a> {
    sub: &'a str,
    project: &'a ProjectId,
    roles: &'a BTreeSet<Role>,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Signs `claims` with HS256: `wharf token`, `wharf demo` and tests. Production tokens come from the
/// operator's own issuer.
///
/// # Errors
/// [`InvalidKeys::ShortSecret`].
pub fn mint(secret: &Secret<Vec<u8>>, claims: &Claims) -> Result<String, InvalidKeys> {
    let key = hmac_key(secret)?;
    let written = WrittenClaims {
        sub: &claims.subject,
        project: &claims.project,
        roles: &claims.roles,
        iat: claims.issued_at.as_second(),
        exp: claims.expires_at.as_second(),
        iss: claims.issuer.as_deref(),
        aud: claims.audience.as_deref(),
    };
    // Strings and numbers: they always have a JSON form.
    let claims = serde_json::to_vec(&written).unwrap_or_default();
    let signed = format!(
        "{}.{}",
        BASE64URL.encode(br#"{"alg":"HS256","typ":"JWT"}"#),
        BASE64URL.encode(claims)
    );
    let tag = hmac::sign(&key, signed.as_bytes());
    Ok(format!("{signed}.{}", BASE64URL.encode(tag)))
}

impl PublicKey {
    /// Whether `signature` is this key's over `signed`.
    fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, signed, signature).is_ok(),
            Self::Rsa { n, e } => signature::RsaPublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok(),
            Self::P256(point) => {
                signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(signed, signature)
                    .is_ok()
            }
            Self::Ed25519(key) => signature::UnparsedPublicKey::new(&signature::ED25519, key)
                .verify(signed, signature)
                .is_ok(),
        }
    }
}
