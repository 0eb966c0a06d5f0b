//! What is signed, and under which key.

use super::super::signature::{key, render_secret, signed_content};
use crate::kernel::{MessageId, Secret};

fn key_of(secret: &[u8]) -> Vec<u8> {
    key(&Secret::new(secret.to_vec())).expose().clone()
}

#[test]
fn id_and_time_and_the_bytes_of_the_body_are_signed() {
    let id: MessageId = "0195f3d6-0000-7000-8000-000000000001".parse().unwrap();
    assert_eq!(
        signed_content(id, 1_772_366_400, b"{\"a\":1}\xff"),
        b"0195f3d6-0000-7000-8000-000000000001.1772366400.{\"a\":1}\xff"
    );
}

#[test]
fn a_secret_of_ours_is_the_key_in_base64() {
    let secret = render_secret(&[7; 32]);
    assert!(secret.expose().starts_with("whsec_"));
    assert_eq!(key_of(secret.expose().as_bytes()), vec![7; 32]);
}

#[test]
fn a_secret_of_the_customers_own_is_its_bytes() {
    for own in ["hunter2", "whsec_not base64!", "whsec_", "WHSEC_BwcH"] {
        assert_eq!(key_of(own.as_bytes()), own.as_bytes());
    }
}
