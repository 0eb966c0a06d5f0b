//! Given a vault, when it is copied to other storage, then everything opens there; never over another's.

use wharf_domain::ports::Answer;

use super::*;
use crate::{Copied, CopyError};

on_every_engine! {
    a_copy_opens_what_the_original_does
    a_vault_of_its_own_is_not_copied_over
    a_copy_that_went_on_is_not_copied_over
}

fn other(engine: Engine) -> Engine {
    match engine {
        Engine::Sqlite => Engine::Postgres,
        Engine::Postgres => Engine::Sqlite,
    }
}

fn integration(n: u128) -> Scope {
    let project: ProjectId = "acme".parse().unwrap();
    Scope::Integration(project, IntegrationId(Uuid::from_u128(n)))
}

fn auth(n: u128, generation: u64) -> SecretRef {
    SecretRef {
        scope: integration(n),
        field: "auth",
        generation,
    }
}

fn bytes(text: &str) -> Secret<Vec<u8>> {
    Secret::new(text.as_bytes().to_vec())
}

/// More secrets than are read at a time, a destroyed key, an answer.
async fn filled(place: &Place) -> SqlVault {
    let vault = place.open().await;
    for n in 0..600 {
        Vault::put(&vault, &auth(n, 1), &bytes("first"))
            .await
            .unwrap();
    }
    Vault::put(&vault, &auth(7, 2), &bytes("second"))
        .await
        .unwrap();
    vault.shred(&integration(8)).await.unwrap();
    let project: ProjectId = "acme".parse().unwrap();
    let answer = Answer {
        fingerprint: wharf_domain::kernel::Hash::ZERO,
        status: 201,
        position: 9,
        body: bytes("answered"),
    };
    Answers::put(&vault, &project, "key", &answer)
        .await
        .unwrap();
    vault
}

async fn a_copy_opens_what_the_original_does(engine: Engine) {
    let (place, there) = (Place::new(engine).await, Place::new(other(engine)).await);
    let original = filled(&place).await;
    // With dice of its own: what it makes for itself is another sentinel.
    let copy = there.try_open(MASTER, 2).await.unwrap();
    let all = Copied {
        data_keys: 601,
        secrets: 600,
        answers: 1,
    };
    assert_eq!(original.copy_to(&copy).await.unwrap(), all);
    // Again: nothing more happens.
    assert_eq!(original.copy_to(&copy).await.unwrap(), all);
    copy.close().await;

    let copy = there.try_open(MASTER, 3).await.unwrap();
    for (at, says) in [
        (auth(0, 1), "first"),
        (auth(7, 2), "second"),
        (auth(599, 1), "first"),
    ] {
        assert_eq!(
            Vault::get(&copy, &at).await.unwrap().expose(),
            says.as_bytes()
        );
    }
    let shredded = copy.data_key(&integration(8)).await.err();
    assert!(
        matches!(shredded, Some(VaultError::Shredded)),
        "{shredded:?}"
    );
    let project: ProjectId = "acme".parse().unwrap();
    let answer = Answers::get(&copy, &project, "key").await.unwrap().unwrap();
    assert_eq!(
        (answer.position, answer.body.expose().as_slice()),
        (9, &b"answered"[..])
    );
}

async fn a_vault_of_its_own_is_not_copied_over(engine: Engine) {
    let (place, there) = (Place::new(engine).await, Place::new(other(engine)).await);
    let original = filled(&place).await;
    let others = there.try_open(MASTER, 2).await.unwrap();
    Vault::put(&others, &auth(7, 1), &bytes("theirs"))
        .await
        .unwrap();
    let refused = original.copy_to(&others).await;
    assert!(
        matches!(refused, Err(CopyError::Occupied("keys"))),
        "{refused:?}"
    );
    assert_eq!(
        Vault::get(&others, &auth(7, 1)).await.unwrap().expose(),
        b"theirs"
    );
    let absent = Vault::get(&others, &auth(0, 1)).await.err();
    assert!(
        matches!(absent, Some(VaultError::Absent)),
        "nothing stayed: {absent:?}"
    );
}

async fn a_copy_that_went_on_is_not_copied_over(engine: Engine) {
    let (place, there) = (Place::new(engine).await, Place::new(other(engine)).await);
    let original = filled(&place).await;
    let copy = there.try_open(MASTER, 2).await.unwrap();
    original.copy_to(&copy).await.unwrap();
    Vault::put(&copy, &auth(7, 3), &bytes("third"))
        .await
        .unwrap();
    let refused = original.copy_to(&copy).await;
    assert!(
        matches!(refused, Err(CopyError::Occupied("secrets"))),
        "{refused:?}"
    );
    assert_eq!(
        Vault::get(&copy, &auth(7, 3)).await.unwrap().expose(),
        b"third"
    );
}
