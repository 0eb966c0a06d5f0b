//! Keys and envelopes, without a database.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use aes_siv::{KeyInit, siv::Aes128Siv};
use wharf_domain::{
    kernel::Secret,
    ports::{DataKey, VaultError},
};
use zeroize::Zeroizing;

use crate::{
    Error, MasterKey,
    envelope::{KEY_BYTES, ScopeKey},
    testing::{Sevens, TestIds},
};

const MASTER: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn counting() -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, value) in key.iter_mut().zip(0..) {
        *byte = value;
    }
    key
}

fn key_of(scope: &str) -> ScopeKey {
    ScopeKey::new(counting(), scope.to_owned(), Arc::new(Sevens))
}

fn is_sealed(answer: Result<Secret<Vec<u8>>, VaultError>) -> bool {
    matches!(answer, Err(VaultError::Sealed))
}

#[test]
fn the_cipher_gives_the_vectors_of_rfc_5297() {
    // Appendix A.1: deterministic, one header.
    let key: [u8; 32] =
        hex::decode("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
            .unwrap()
            .try_into()
            .unwrap();
    let header = hex::decode("101112131415161718191a1b1c1d1e1f2021222324252627").unwrap();
    let plain = hex::decode("112233445566778899aabbccddee").unwrap();
    let sealed = Aes128Siv::new(&key.into())
        .encrypt([&header], &plain)
        .unwrap();
    assert_eq!(
        hex::encode(sealed),
        "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"
    );

    // Appendix A.2: two headers and a nonce.
    let key: [u8; 32] =
        hex::decode("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f")
            .unwrap()
            .try_into()
            .unwrap();
    let headers = [
        "00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
        "102030405060708090a0",
        "09f911029d74e35bd84156c5635688c0",
    ]
    .map(|text| hex::decode(text).unwrap());
    let sealed = Aes128Siv::new(&key.into())
        .encrypt(&headers, b"this is some plaintext to encrypt using SIV-AES")
        .unwrap();
    assert_eq!(
        hex::encode(sealed),
        "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17\
         dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
    );
}

/// The expected bytes come from Python's `cryptography` (`AESSIV`, `HKDF`), not from this code.
#[test]
fn an_envelope_is_what_another_implementation_makes_of_the_same_input() {
    let sealed = key_of("p1/project").seal(b"page 1", b"hello");
    assert_eq!(
        hex::encode(sealed),
        "01ec4a773607070707070707070707070707070707b96f24e9211c41638f28544dadef6d49e800aee1b9"
    );
}

/// As above.
#[test]
fn a_wrapped_key_is_what_another_implementation_makes_of_the_same_input() {
    let master = MasterKey::from_hex(MASTER).unwrap();
    assert_eq!(master.id(), "35b2b416");
    assert_eq!(
        hex::encode(master.wrap("p1/project", &counting())),
        "0135b2b4160c72a715863ad4f3126faae649cb23998b4ad27f0673fb1a2d303695ba0b29ebce2b65c4471a3c\
         90230fc94cdc8cf86705cdbcdfbcedfe2fa75acc61acc71f47025ef969377c67af22459e4ebf07ec16"
    );
}

#[test]
fn what_was_sealed_opens_whatever_its_length() {
    let key = key_of("p1/project");
    for length in [0, 1, 15, 16, 17, 4096, 100_000] {
        let plain = vec![0xa5; length];
        let sealed = key.seal(b"context", &plain);
        assert_eq!(sealed.len(), length + 37);
        assert_eq!(key.open(b"context", &sealed).unwrap().expose(), &plain);
    }
}

#[test]
fn one_flipped_bit_anywhere_keeps_an_envelope_shut() {
    let key = key_of("p1/project");
    let sealed = key.seal(b"context", b"some plaintext");
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut altered = sealed.clone();
            if let Some(byte) = altered.get_mut(at) {
                *byte ^= 1 << bit;
            }
            assert!(is_sealed(key.open(b"context", &altered)), "byte {at}");
        }
    }
}

#[test]
fn an_envelope_that_was_cut_or_grew_stays_shut() {
    let key = key_of("p1/project");
    let sealed = key.seal(b"context", b"some plaintext");
    for (end, _) in sealed.iter().enumerate() {
        let cut: Vec<u8> = sealed.iter().copied().take(end).collect();
        assert!(is_sealed(key.open(b"context", &cut)), "cut to {end} bytes");
    }
    let mut grown = sealed;
    grown.push(0);
    assert!(is_sealed(key.open(b"context", &grown)));
}

#[test]
fn an_envelope_opens_only_in_its_context_its_scope_and_its_purpose() {
    let key = key_of("p1/project");
    let sealed = key.seal(b"context", b"plain");
    assert!(key.open(b"context", &sealed).is_ok());
    assert!(is_sealed(key.open(b"contexT", &sealed)));
    assert!(is_sealed(key.open(b"", &sealed)));
    assert!(is_sealed(key_of("p2/project").open(b"context", &sealed)));
    assert!(is_sealed(key.open_own(b"secret", &[b"context"], &sealed)));
    // A list is not its concatenation.
    let listed = key.seal_own(b"secret", &[b"ab", b"c"], b"plain");
    assert!(is_sealed(key.open_own(b"secret", &[b"a", b"bc"], &listed)));
    assert!(is_sealed(key.open_own(b"secret", &[b"abc"], &listed)));
}

#[test]
fn a_wrapped_key_opens_only_for_its_scope_and_its_master_key() {
    let master = MasterKey::from_hex(MASTER).unwrap();
    let other = MasterKey::from_hex(&"ab".repeat(32)).unwrap();
    let wrapped = master.wrap("p1/project", &counting());
    assert_eq!(*master.unwrap("p1/project", &wrapped).unwrap(), *counting());
    assert!(master.unwrap("p2/project", &wrapped).is_err());
    assert!(other.unwrap("p1/project", &wrapped).is_err());
}

#[test]
fn a_master_key_is_64_hexadecimal_characters() {
    assert!(MasterKey::from_hex(&format!("  {MASTER}\n")).is_ok());
    for bad in [
        "",
        "secret",
        &MASTER.replace('f', "g"),
        &MASTER.replacen('0', "", 1),
        &format!("{MASTER}00"),
    ] {
        let error = MasterKey::from_hex(bad).unwrap_err();
        assert!(matches!(error, Error::InvalidKey));
        assert!(bad.is_empty() || !error.to_string().contains(bad));
    }
}

#[test]
fn a_master_key_is_never_printed() {
    let printed = format!("{:?}", MasterKey::from_hex(MASTER).unwrap());
    assert_eq!(printed, "MasterKey(35b2b416)");
}

#[test]
fn the_first_start_makes_a_key_file_for_its_owner_alone_and_later_ones_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let made = MasterKey::load_or_create(&path, &TestIds::seeded(1)).unwrap();
    assert_eq!(mode(&path), 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.trim().len(), 64);

    let read = MasterKey::load_or_create(&path, &TestIds::seeded(2)).unwrap();
    assert_eq!(read.id(), made.id());
    assert_eq!(MasterKey::from_hex(&text).unwrap().id(), made.id());
    // Nothing else is left behind.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_key_file_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let first = MasterKey::load_or_create(&path, &TestIds::seeded(1)).unwrap();
    // As if another process had found no file, too, and came second.
    crate::keyfile::create(&path, &TestIds::seeded(2)).unwrap();
    let kept = MasterKey::load_or_create(&path, &TestIds::seeded(3)).unwrap();
    assert_eq!(kept.id(), first.id());
}

#[test]
fn a_key_file_that_others_can_read_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    fs::write(&path, MASTER).unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = MasterKey::load_or_create(&path, &Sevens).unwrap_err();
        assert!(matches!(error, Error::KeyFileOpen(_)), "{mode:o}");
        assert!(
            error
                .to_string()
                .contains(&format!("chmod 600 {}", path.display()))
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(MasterKey::load_or_create(&path, &Sevens).is_ok());
    }
}

#[test]
fn a_key_file_without_a_key_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    for content in ["", "not a key", &"ab".repeat(4000)] {
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = MasterKey::load_or_create(&path, &Sevens).unwrap_err();
        assert!(matches!(error, Error::KeyFileInvalid(_)));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    let missing = folder.path().join("no such folder").join("master.key");
    assert!(matches!(
        MasterKey::load_or_create(&missing, &Sevens).unwrap_err(),
        Error::KeyFile { .. }
    ));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
