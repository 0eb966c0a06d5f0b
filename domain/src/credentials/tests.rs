//! What a credential does, command by command, in every state.

use cqrs_es::test::TestFramework;

use super::{
    Credential, CredentialCommand as Command, CredentialEvent as Event, Erased, Refusal, Stored,
};
use crate::kernel::Decider;

fn store(generation: u64) -> Command {
    Command::Store {
        auth_type: "bearer".into(),
        generation,
        fields: ["access_token".to_owned()].into(),
    }
}

fn stored(generation: u64) -> Event {
    Event::Stored(Stored {
        auth_type: "bearer".into(),
        generation,
        fields: ["access_token".to_owned()].into(),
    })
}

fn erased() -> Event {
    Event::Erased(Erased {})
}

#[test]
fn the_first_generation_is_one() {
    TestFramework::<Credential>::with(())
        .given_no_previous_events()
        .when(store(1))
        .then_expect_events(vec![stored(1)]);
}

#[test]
fn each_generation_follows_the_last() {
    TestFramework::<Credential>::with(())
        .given(vec![stored(1), stored(2)])
        .when(store(3))
        .then_expect_events(vec![stored(3)]);
}

#[test]
fn a_generation_that_another_writer_took_or_skipped_is_refused() {
    for (given, when, next) in [
        (vec![], 0, 1),
        (vec![], 2, 1),
        (vec![stored(1)], 1, 2),
        (vec![stored(1)], 3, 2),
    ] {
        TestFramework::<Credential>::with(())
            .given(given)
            .when(store(when))
            .then_expect_error(Refusal::StaleGeneration { given: when, next });
    }
}

#[test]
fn erasing_is_told_once_and_only_of_what_there_is() {
    TestFramework::<Credential>::with(())
        .given(vec![stored(1)])
        .when(Command::Erase)
        .then_expect_events(vec![erased()]);
    for given in [vec![], vec![stored(1), erased()]] {
        TestFramework::<Credential>::with(())
            .given(given)
            .when(Command::Erase)
            .then_expect_events(vec![]);
    }
}

#[test]
fn an_erased_credential_is_never_stored_again() {
    for generation in [1, 2] {
        TestFramework::<Credential>::with(())
            .given(vec![stored(1), erased()])
            .when(store(generation))
            .then_expect_error(Refusal::Erased);
    }
}

#[test]
fn the_state_names_the_current_generation() {
    let mut credential = Credential::default();
    assert_eq!(credential.generation(), 0);
    credential.evolve(&stored(1));
    credential.evolve(&stored(2));
    assert_eq!(
        credential,
        Credential::Active {
            auth_type: "bearer".into(),
            generation: 2
        }
    );
    assert_eq!(credential.generation(), 2);
    credential.evolve(&erased());
    assert_eq!(credential.generation(), 0);
}
