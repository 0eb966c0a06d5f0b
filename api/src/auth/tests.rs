//! Tokens that are believed, and those that are not.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use wharf_domain::{
    access::Role,
    kernel::{Secret, Timestamp},
};

use super::{Claims, InvalidKeys, TokenError, TokenRules, Verified, Verifier, mint};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// 2026-01-31T12:00:00Z.
const NOW: i64 = 1_769_860_800;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn verifier() -> Verifier {
    Verifier::hs256(&Secret::new(SECRET.to_vec()), TokenRules::default()).unwrap()
}

fn part(value: &Value) -> String {
    BASE64URL.encode(value.to_string())
}

/// A token with any header and claims, signed with HS256 by `secret`.
fn signed(secret: &[u8], header: &Value, claims: &Value) -> String {
    let content = format!("{}.{}", part(header), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let tag = ring::hmac::sign(&key, content.as_bytes());
    format!("{content}.{}", BASE64URL.encode(tag))
}

fn claims() -> Value {
    json!({"sub": "alice", "project": "project123", "roles": ["member"], "exp": NOW + 60})
}

fn verify(claims: &Value) -> Result<Verified, TokenError> {
    let token = signed(SECRET, &json!({"alg": "HS256"}), claims);
    verifier().verify(&token, now())
}

/// The claims with one of them changed, or removed by null.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

#[test]
fn a_good_token_names_project_subject_and_role() {
    let verified = verify(&claims()).unwrap();
    assert_eq!(verified.caller.project.as_str(), "project123");
    assert_eq!(verified.caller.subject, "alice");
    assert_eq!(verified.caller.role, Role::Member);
    assert_eq!(verified.expires_at.as_second(), NOW + 60);
}

#[test]
fn the_highest_known_role_counts_and_none_is_a_viewer() {
    let role = |roles: Value| verify(&with("roles", roles)).unwrap().caller.role;
    assert_eq!(role(json!(["viewer", "admin", "member"])), Role::Admin);
    assert_eq!(role(json!(["emperor"])), Role::Viewer);
    assert_eq!(role(Value::Null), Role::Viewer);
}

#[test]
fn a_token_expires_a_minute_after_exp_by_our_clock() {
    assert!(verify(&with("exp", json!(NOW - 59))).is_ok());
    assert_eq!(
        verify(&with("exp", json!(NOW - 60))),
        Err(TokenError::Expired)
    );
}

#[test]
fn a_token_without_exp_is_refused() {
    assert_eq!(
        verify(&with("exp", Value::Null)),
        Err(TokenError::Claim("exp"))
    );
}

#[test]
fn a_token_is_not_good_before_nbf() {
    assert!(verify(&with("nbf", json!(NOW + 60))).is_ok());
    assert_eq!(
        verify(&with("nbf", json!(NOW + 61))),
        Err(TokenError::NotYetValid)
    );
}

#[test]
fn sub_and_project_must_be_there_and_sane() {
    for bad in [Value::Null, json!(""), json!("a\nb")] {
        assert_eq!(verify(&with("sub", bad)), Err(TokenError::Claim("sub")));
    }
    for bad in [Value::Null, json!("a.b"), json!("*")] {
        assert_eq!(
            verify(&with("project", bad)),
            Err(TokenError::Claim("project"))
        );
    }
}

#[test]
fn issuer_and_audience_are_asked_for_if_configured() {
    let rules = TokenRules {
        issuer: Some("https://issuer".to_owned()),
        audience: Some("wharf".to_owned()),
        ..TokenRules::default()
    };
    let strict = Verifier::hs256(&Secret::new(SECRET.to_vec()), rules).unwrap();
    let verify = |iss: Value, aud: Value| {
        let mut claims = claims();
        claims["iss"] = iss;
        claims["aud"] = aud;
        strict.verify(&signed(SECRET, &json!({"alg": "HS256"}), &claims), now())
    };
    assert!(verify(json!("https://issuer"), json!("wharf")).is_ok());
    assert!(verify(json!("https://issuer"), json!(["other", "wharf"])).is_ok());
    assert_eq!(
        verify(json!("https://else"), json!("wharf")),
        Err(TokenError::Issuer)
    );
    assert_eq!(verify(Value::Null, json!("wharf")), Err(TokenError::Issuer));
    assert_eq!(
        verify(json!("https://issuer"), json!(["other"])),
        Err(TokenError::Audience)
    );
}

#[test]
fn a_foreign_key_does_not_sign_for_us() {
    let token = signed(&[7; 32], &json!({"alg": "HS256"}), &claims());
    assert_eq!(verifier().verify(&token, now()), Err(TokenError::Signature));
}

#[test]
fn changing_a_claim_breaks_the_signature() {
    let token = signed(SECRET, &json!({"alg": "HS256"}), &claims());
    let forged = token.replace(&part(&claims()), &part(&with("roles", json!(["admin"]))));
    assert_ne!(token, forged);
    assert_eq!(
        verifier().verify(&forged, now()),
        Err(TokenError::Signature)
    );
}

#[test]
fn an_unsigned_token_is_refused_in_every_spelling() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let unsigned = format!("{}.{}.", part(&json!({"alg": alg})), part(&claims()));
        assert_eq!(
            verifier().verify(&unsigned, now()),
            Err(TokenError::Algorithm),
            "{alg}"
        );
    }
    let stripped = format!("{}.{}.", part(&json!({"alg": "HS256"})), part(&claims()));
    assert_eq!(
        verifier().verify(&stripped, now()),
        Err(TokenError::Signature)
    );
}

#[test]
fn what_is_no_token_is_refused() {
    for text in ["", "a", "a.b", "a.b.c", "....", "é.é.é", "e30.e30.e30"] {
        assert_eq!(
            verifier().verify(text, now()),
            Err(TokenError::Malformed),
            "{text}"
        );
    }
    let long = format!("{}.", "a".repeat(9000));
    assert_eq!(verifier().verify(&long, now()), Err(TokenError::Malformed));
}

#[test]
fn an_extension_that_must_be_understood_is_not() {
    let token = signed(SECRET, &json!({"alg": "HS256", "crit": ["b64"]}), &claims());
    assert_eq!(verifier().verify(&token, now()), Err(TokenError::Malformed));
}

#[test]
fn a_short_secret_is_refused() {
    let short = Secret::new(vec![0; 31]);
    let refused = Verifier::hs256(&short, TokenRules::default());
    assert_eq!(refused.unwrap_err(), InvalidKeys::ShortSecret);
}

#[test]
fn a_minted_token_is_believed() {
    let minted = Claims {
        subject: "bob".to_owned(),
        project: "p".parse().unwrap(),
        roles: [Role::Viewer, Role::Operator].into(),
        issued_at: now(),
        expires_at: Timestamp::from_second(NOW + 1).unwrap(),
        issuer: None,
        audience: None,
    };
    let token = mint(&Secret::new(SECRET.to_vec()), &minted).unwrap();
    let verified = verifier().verify(&token, now()).unwrap();
    assert_eq!(verified.caller.subject, "bob");
    assert_eq!(verified.caller.role, Role::Operator);
}

fn rs256() -> Value {
    serde_json::from_str(include_str!("fixtures/rs256.json")).unwrap()
}

#[test]
fn rs256_from_a_key_set_is_believed() {
    let fixture = rs256();
    let verifier = Verifier::jwks(&fixture["jwks"], TokenRules::default()).unwrap();
    let token = fixture["token"].as_str().unwrap();
    assert_eq!(
        verifier.verify(token, now()).unwrap().caller.role,
        Role::Admin
    );
    let mut forged = token.to_owned();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    assert!(verifier.verify(&forged, now()).is_err());
}

#[test]
fn an_rsa_key_does_not_verify_hs256() {
    // The classic confusion: the public key's text used as an HMAC secret.
    let fixture = rs256();
    let verifier = Verifier::jwks(&fixture["jwks"], TokenRules::default()).unwrap();
    let public = fixture["jwks"]["keys"][0]["n"].as_str().unwrap();
    for header in [
        json!({"alg": "HS256"}),
        json!({"alg": "HS256", "kid": "rsa-1"}),
    ] {
        let token = signed(public.as_bytes(), &header, &claims());
        assert_eq!(verifier.verify(&token, now()), Err(TokenError::Algorithm));
    }
}

fn ed25519() -> (Ed25519KeyPair, Value) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let x = BASE64URL.encode(pair.public_key());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed-1", "x": x});
    (pair, jwk)
}

fn eddsa(pair: &Ed25519KeyPair, header: &Value) -> String {
    let content = format!("{}.{}", part(header), part(&claims()));
    let signature = BASE64URL.encode(pair.sign(content.as_bytes()));
    format!("{content}.{signature}")
}

#[test]
fn eddsa_from_a_key_set_is_believed() {
    let (pair, jwk) = ed25519();
    let verifier = Verifier::jwks(&json!({"keys": [jwk]}), TokenRules::default()).unwrap();
    let token = eddsa(&pair, &json!({"alg": "EdDSA", "kid": "ed-1"}));
    assert!(verifier.verify(&token, now()).is_ok());
    let (other, _) = ed25519();
    let foreign = eddsa(&other, &json!({"alg": "EdDSA", "kid": "ed-1"}));
    assert_eq!(verifier.verify(&foreign, now()), Err(TokenError::Signature));
}

#[test]
fn es256_from_a_key_set_is_believed() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
    let (x, y) = pair.public_key().as_ref().split_at(1).1.split_at(32);
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
        "x": BASE64URL.encode(x), "y": BASE64URL.encode(y),
    });
    let verifier = Verifier::jwks(&json!({"keys": [jwk]}), TokenRules::default()).unwrap();
    let content = format!("{}.{}", part(&json!({"alg": "ES256"})), part(&claims()));
    let signature = pair.sign(&random, content.as_bytes()).unwrap();
    let token = format!("{content}.{}", BASE64URL.encode(signature));
    assert!(verifier.verify(&token, now()).is_ok());
    let relabelled = token.replacen(
        &part(&json!({"alg": "ES256"})),
        &part(&json!({"alg": "RS256"})),
        1,
    );
    assert_eq!(
        verifier.verify(&relabelled, now()),
        Err(TokenError::Algorithm)
    );
}

#[test]
fn a_kid_chooses_among_the_keys() {
    let (pair, jwk) = ed25519();
    let (other, mut second) = ed25519();
    second["kid"] = json!("ed-2");
    let set = json!({"keys": [jwk, second]});
    let verifier = Verifier::jwks(&set, TokenRules::default()).unwrap();
    let verify = |pair, kid: &str| {
        let token = eddsa(pair, &json!({"alg": "EdDSA", "kid": kid}));
        verifier.verify(&token, now())
    };
    assert!(verify(&pair, "ed-1").is_ok());
    assert!(verify(&other, "ed-2").is_ok());
    assert_eq!(verify(&pair, "ed-2"), Err(TokenError::Signature));
    assert_eq!(verify(&pair, "ed-3"), Err(TokenError::UnknownKey));
}

#[test]
fn a_set_without_a_usable_key_is_refused() {
    let set = |key: Value| Verifier::jwks(&json!({"keys": [key]}), TokenRules::default());
    let (_, mut encryption) = ed25519();
    encryption["use"] = json!("enc");
    // A symmetric key that is published would let everyone sign.
    let symmetric = json!({"kty": "oct", "k": BASE64URL.encode(SECRET), "alg": "HS256"});
    for key in [encryption, symmetric, json!({"kty": "RSA"}), json!({})] {
        assert_eq!(set(key).unwrap_err(), InvalidKeys::NoneUsable);
    }
    let not_a_set = Verifier::jwks(&json!([]), TokenRules::default());
    assert_eq!(not_a_set.unwrap_err(), InvalidKeys::NotASet);
}
