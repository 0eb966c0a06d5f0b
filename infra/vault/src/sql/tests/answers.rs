//! First answers to idempotency keys, on every engine.

use wharf_domain::{
    kernel::Hash,
    ports::{Answer, Answers, Scope, Vault as _, VaultError},
};

use super::{Engine, Place, on_every_engine, project, secret};
use crate::SqlVault;

const DAY: i64 = 24 * 60 * 60;

on_every_engine! {
    the_first_answer_to_a_key_stays
    an_answer_is_forgotten_after_24_hours_and_its_key_is_free_again
    expired_answers_do_not_pile_up
    an_altered_answer_does_not_open
    a_shredded_project_has_no_answers
}

pub(super) fn answer(status: u16, body: &str) -> Answer {
    Answer {
        fingerprint: Hash::of(&[b"POST", b"/x"]),
        status,
        position: 42,
        body: secret(body),
    }
}

async fn saved(vault: &SqlVault, key: &str) -> Option<(u16, String)> {
    Answers::get(vault, &project(), key)
        .await
        .unwrap()
        .map(|a| {
            (
                a.status,
                String::from_utf8(a.body.expose().clone()).unwrap(),
            )
        })
}

async fn the_first_answer_to_a_key_stays(engine: Engine) {
    let place = Place::new(engine).await;
    let vault = place.open().await;
    assert_eq!(saved(&vault, "key").await, None);
    for (status, body) in [(201, "first"), (409, "second")] {
        Answers::put(&vault, &project(), "key", &answer(status, body))
            .await
            .unwrap();
    }
    assert_eq!(saved(&vault, "key").await, Some((201, "first".to_owned())));
    let whole = Answers::get(&vault, &project(), "key")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(whole.fingerprint, Hash::of(&[b"POST", b"/x"]));
    assert_eq!(whole.position, 42);
    // Another project's key of the same name is another key.
    let other = Answers::get(&vault, &"other".parse().unwrap(), "key").await;
    assert!(other.unwrap().is_none());
}

async fn an_answer_is_forgotten_after_24_hours_and_its_key_is_free_again(engine: Engine) {
    let place = Place::new(engine).await;
    let vault = place.open().await;
    Answers::put(&vault, &project(), "key", &answer(201, "first"))
        .await
        .unwrap();
    place.clock.advance(DAY - 1);
    assert!(saved(&vault, "key").await.is_some());
    place.clock.advance(1);
    assert_eq!(saved(&vault, "key").await, None);
    Answers::put(&vault, &project(), "key", &answer(202, "second"))
        .await
        .unwrap();
    assert_eq!(saved(&vault, "key").await, Some((202, "second".to_owned())));
}

async fn expired_answers_do_not_pile_up(engine: Engine) {
    let place = Place::new(engine).await;
    let vault = place.open().await;
    for n in 0..40 {
        Answers::put(&vault, &project(), &format!("old {n}"), &answer(200, ""))
            .await
            .unwrap();
    }
    place.clock.advance(DAY);
    for n in 0..3 {
        Answers::put(&vault, &project(), &format!("new {n}"), &answer(200, ""))
            .await
            .unwrap();
    }
    assert_eq!(place.tamper("delete from answers").await, 3);
}

async fn an_altered_answer_does_not_open(engine: Engine) {
    for altered in [
        "update answers set status = 200",
        "update answers set position = 43",
        "update answers set fingerprint = zeroblob(32)",
        "update answers set fingerprint = zeroblob(31)",
        "update answers set key = 'other'",
        "update answers set sealed = zeroblob(64)",
    ] {
        let place = Place::new(engine).await;
        let vault = place.open().await;
        Answers::put(&vault, &project(), "key", &answer(201, "body"))
            .await
            .unwrap();
        assert_eq!(place.tamper(altered).await, 1);
        for key in ["key", "other"] {
            match Answers::get(&vault, &project(), key).await {
                Ok(answer) => assert!(answer.is_none(), "{altered}"),
                Err(error) => assert!(matches!(error, VaultError::Sealed), "{altered}"),
            }
        }
    }
}

async fn a_shredded_project_has_no_answers(engine: Engine) {
    let place = Place::new(engine).await;
    let vault = place.open().await;
    Answers::put(&vault, &project(), "key", &answer(201, "body"))
        .await
        .unwrap();
    vault.shred(&Scope::Project(project())).await.unwrap();
    assert_eq!(saved(&vault, "key").await, None);
    assert!(matches!(
        Answers::put(&vault, &project(), "key", &answer(201, "body")).await,
        Err(VaultError::Shredded)
    ));
}
