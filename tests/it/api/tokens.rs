//! Tokens: which are believed, and that every other answers 401 with a challenge.

use std::fs;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use wharf_tests::{
    client::Client,
    process::{Home, JWT_SECRET, Wharf, workspace},
};

use super::{Shared, now};

static HUB: Shared = Shared::new();

const LIST: &str = "/api/v1/integrations";

fn seconds() -> i64 {
    now().as_second()
}

/// Claims of a good token of project `p`, changed by `change`; null takes one away.
fn claims(change: &Value) -> Value {
    let mut claims = json!({
        "sub": "tester", "project": "p", "roles": ["admin"], "iat": seconds(), "exp": seconds() + 600,
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

fn part(json: &Value) -> String {
    BASE64URL.encode(json.to_string())
}

/// Header and claims with a HMAC under `key`.
fn hmac(header: &Value, claims: &Value, key: &[u8]) -> String {
    let signed = format!("{}.{}", part(header), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", BASE64URL.encode(mac.finalize().into_bytes()))
}

fn hs256() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

/// A token that the hubs under test believe, with changed claims.
pub(super) fn signed(change: &Value) -> String {
    hmac(&hs256(), &claims(change), JWT_SECRET.as_bytes())
}

async fn status(hub: &Wharf, token: &str) -> u16 {
    Client::new(&hub.url, Some(token.to_owned()))
        .get(LIST)
        .await
        .status
}

async fn refused(hub: &Wharf, what: &str, token: &str) {
    let answer = Client::new(&hub.url, Some(token.to_owned()))
        .get(LIST)
        .await;
    assert_eq!(
        (answer.status, &answer.body["code"]),
        (401, &json!("F40001")),
        "{what}"
    );
    let challenge = "Bearer realm=\"wharf\", error=\"invalid_token\"";
    assert_eq!(answer.headers["www-authenticate"], challenge, "{what}");
    assert!(
        !answer.text.contains(token),
        "{what}: the token is repeated"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_only_tokens_that_the_hub_signed_and_that_are_good_now_are_believed() {
    let hub = HUB.hub();
    assert_eq!(status(&hub, &signed(&json!({}))).await, 200);

    let good = signed(&json!({}));
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = unsigned.split_once('.').unwrap();
    let other = part(&claims(&json!({ "project": "another" })));
    let flipped: String = signature.chars().rev().collect();
    let key = JWT_SECRET.as_bytes();
    let minute = 60;
    for (what, token) in [
        ("expired", signed(&json!({ "exp": seconds() - 2 * minute }))),
        ("expired long ago", signed(&json!({ "exp": 0 }))),
        ("never expires", signed(&json!({ "exp": null }))),
        ("expires in words", signed(&json!({ "exp": "2100-01-01" }))),
        (
            "not valid yet",
            signed(&json!({ "nbf": seconds() + 10 * minute })),
        ),
        ("without a project", signed(&json!({ "project": null }))),
        (
            "with a project that is none",
            signed(&json!({ "project": "../p" })),
        ),
        (
            "with two projects",
            signed(&json!({ "project": ["p", "q"] })),
        ),
        ("without a subject", signed(&json!({ "sub": null }))),
        (
            "signed by another",
            hmac(&hs256(), &claims(&json!({})), &[b'x'; 32]),
        ),
        (
            "signed with an empty key",
            hmac(&hs256(), &claims(&json!({})), b""),
        ),
        (
            "alg none",
            format!(
                "{}.{}.",
                part(&json!({ "alg": "none" })),
                part(&claims(&json!({})))
            ),
        ),
        (
            "alg None",
            format!(
                "{}.{}.",
                part(&json!({ "alg": "None" })),
                part(&claims(&json!({})))
            ),
        ),
        (
            "alg none with a signature",
            hmac(&json!({ "alg": "none" }), &claims(&json!({})), key),
        ),
        (
            "alg HS512 with HS256's",
            hmac(&json!({ "alg": "HS512" }), &claims(&json!({})), key),
        ),
        (
            "alg RS256 with HS256's",
            hmac(&json!({ "alg": "RS256" }), &claims(&json!({})), key),
        ),
        (
            "without alg",
            hmac(&json!({ "typ": "JWT" }), &claims(&json!({})), key),
        ),
        (
            "with a critical extension",
            hmac(
                &json!({ "alg": "HS256", "crit": ["b64"], "b64": false }),
                &claims(&json!({})),
                key,
            ),
        ),
        ("unsigned", format!("{unsigned}.")),
        ("without a signature", unsigned.to_owned()),
        (
            "with the signature reversed",
            format!("{unsigned}.{flipped}"),
        ),
        (
            "with claims exchanged",
            format!("{header}.{other}.{signature}"),
        ),
        ("of four parts", format!("{good}.x")),
        ("with padding", format!("{good}=")),
        ("garbage", "garbage".to_owned()),
        ("nothing but dots", "..".to_owned()),
        ("too long", format!("{}.{}", "a".repeat(9000), good)),
        ("of an issuer nobody configured", foreign()),
    ] {
        refused(&hub, what, &token).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_read_from_the_authorization_header_and_nowhere_else() {
    let hub = HUB.hub();
    let stranger = hub.stranger();
    let good = signed(&json!({}));
    let missing = "Bearer realm=\"wharf\"";
    for request in [
        stranger.request(Method::GET, LIST),
        stranger.request(Method::GET, &format!("{LIST}?access_token={good}")),
        stranger.request(Method::GET, &format!("{LIST}?token={good}")),
        stranger
            .request(Method::GET, LIST)
            .header("cookie", format!("token={good}")),
        stranger
            .request(Method::GET, LIST)
            .header("x-api-key", &good),
        stranger
            .request(Method::GET, LIST)
            .basic_auth("p", Some(&good)),
    ] {
        let answer = Client::send(request).await;
        answer.is(401, "F40001");
        assert_eq!(answer.headers["www-authenticate"], missing);
    }
    for value in [
        good.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer\t{good}"),
        format!("Bearer {good} {good}"),
    ] {
        let request = stranger
            .request(Method::GET, LIST)
            .header("authorization", value);
        Client::send(request).await.is(401, "F40001");
    }
    // Which of two would be meant?
    let twice = Client::new(&hub.url, Some(good.clone()))
        .request(Method::GET, LIST)
        .header("authorization", format!("Bearer {good}"));
    Client::send(twice).await.is(401, "F40001");
    // The scheme's spelling does not matter (RFC 9110 §11.1).
    let lower = stranger
        .request(Method::GET, LIST)
        .header("authorization", format!("bearer {good}"));
    assert_eq!(Client::send(lower).await.status, 200);
}

/// An RS256 token whose key is not this hub's.
fn foreign() -> String {
    rs256()["token"].as_str().unwrap().to_owned()
}

/// An RS256 token of project `project123` and the key set that believes it.
fn rs256() -> Value {
    let path = workspace().join("api/src/auth/fixtures/rs256.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_a_public_key_is_never_taken_for_an_hmac_secret() {
    let rs256 = rs256();
    let home = Home::default();
    let set = home.path().join("jwks.json");
    fs::write(&set, rs256["jwks"].to_string()).unwrap();
    let file = [("WHARF_AUTH__JWKS_FILE", set.to_str().unwrap())];
    let hub = home.serve_with(&file.into_iter().collect());
    let good = rs256["token"].as_str().unwrap();
    assert_eq!(status(&hub, good).await, 200);

    // Everything public that an attacker may use as the secret of an HS256 token.
    let n = BASE64URL
        .decode(rs256["jwks"]["keys"][0]["n"].as_str().unwrap())
        .unwrap();
    let algorithm = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
    let der = [
        hex::decode(algorithm).unwrap(),
        n.clone(),
        vec![2, 3, 1, 0, 1],
    ]
    .concat();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&der);
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    );
    let jwk = rs256["jwks"]["keys"][0].to_string();
    let set = rs256["jwks"].to_string();
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    for alg in ["HS256", "RS256", "none", "hs256"] {
        let header = json!({ "alg": alg, "kid": "rsa-1" });
        for key in [
            n.as_slice(),
            &der,
            pem.as_bytes(),
            pem.trim().as_bytes(),
            jwk.as_bytes(),
            set.as_bytes(),
        ] {
            refused(&hub, alg, &hmac(&header, &claims(&json!({})), key)).await;
        }
        let header = json!({ "alg": alg });
        refused(
            &hub,
            alg,
            &format!(
                "{}.{}.{signature}",
                part(&header),
                part(&claims(&json!({})))
            ),
        )
        .await;
    }
    refused(&hub, "unsigned", &format!("{unsigned}.")).await;
    refused(&hub, "of this hub's own secret", &signed(&json!({}))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn issuer_and_audience_are_checked_where_they_are_configured() {
    let home = Home::default();
    let wanted = [
        ("WHARF_AUTH__ISSUER", "https://id.example"),
        ("WHARF_AUTH__AUDIENCE", "wharf"),
    ];
    let hub = home.serve_with(&wanted.into_iter().collect());
    let right = json!({ "iss": "https://id.example", "aud": ["other", "wharf"] });
    assert_eq!(status(&hub, &signed(&right)).await, 200);
    for (what, claim) in [
        ("neither", json!({})),
        ("no audience", json!({ "iss": "https://id.example" })),
        ("no issuer", json!({ "aud": "wharf" })),
        (
            "another audience",
            json!({ "iss": "https://id.example", "aud": "wharfs" }),
        ),
        (
            "another issuer",
            json!({ "iss": "https://id.example/", "aud": "wharf" }),
        ),
    ] {
        refused(&hub, what, &signed(&claim)).await;
    }
}
