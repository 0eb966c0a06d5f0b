//! The vault in a file: durability, binding, shredding, answers.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use sqlx::Connection;
use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::{
    kernel::{Hash, IntegrationId, ProjectId, Secret, WebhookId},
    ports::{Answer, Answers, Scope, SecretRef, Vault, VaultError},
};

use crate::{
    Error, MasterKey, SqliteVault,
    testing::{TestClock, TestIds},
};

const MASTER: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const DAY: i64 = 24 * 60 * 60;

/// A vault in a folder of its own.
struct Place {
    folder: TempDir,
    clock: Arc<TestClock>,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(TestClock::at(1_700_000_000)),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("vault.db")
    }

    async fn try_open(&self, master: &str, seed: u64) -> Result<SqliteVault, Error> {
        SqliteVault::open(
            &self.path(),
            MasterKey::from_hex(master).unwrap(),
            Arc::clone(&self.clock) as _,
            Arc::new(TestIds::seeded(seed)),
        )
        .await
    }

    async fn open(&self) -> SqliteVault {
        self.try_open(MASTER, 1).await.unwrap()
    }

    /// Runs a statement on the file, past the vault.
    async fn tamper(&self, statement: &'static str) -> u64 {
        let mut connection = sqlx::SqliteConnection::connect_with(
            &sqlx::sqlite::SqliteConnectOptions::new().filename(self.path()),
        )
        .await
        .unwrap();
        let done = sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        done.rows_affected()
    }

    /// Every byte of the database and of its side files.
    fn bytes_on_disk(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            all.extend(fs::read(entry.unwrap().path()).unwrap());
        }
        all
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

fn project() -> ProjectId {
    "acme".parse().unwrap()
}

fn integration(n: u128) -> Scope {
    Scope::Integration(project(), IntegrationId(Uuid::from_u128(n)))
}

fn at(scope: Scope, field: &'static str, generation: u64) -> SecretRef {
    SecretRef {
        scope,
        field,
        generation,
    }
}

fn secret(text: &str) -> Secret<Vec<u8>> {
    Secret::new(text.as_bytes().to_vec())
}

async fn read(vault: &SqliteVault, at: &SecretRef) -> Result<String, VaultError> {
    Vault::get(vault, at)
        .await
        .map(|secret| String::from_utf8(secret.expose().clone()).unwrap())
}

async fn write(vault: &SqliteVault, at: &SecretRef, text: &str) {
    Vault::put(vault, at, &secret(text)).await.unwrap();
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        fingerprint: Hash::of(&[b"POST", b"/x"]),
        status,
        position: 42,
        body: secret(body),
    }
}

async fn saved(vault: &SqliteVault, key: &str) -> Option<(u16, String)> {
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

#[tokio::test]
async fn a_secret_survives_a_restart() {
    let place = Place::new();
    let vault = place.open().await;
    let auth = at(integration(1), "auth", 1);
    write(&vault, &auth, "token one").await;
    // No close: as after a crash.
    drop(vault);

    let vault = place.open().await;
    assert_eq!(read(&vault, &auth).await.unwrap(), "token one");
}

#[tokio::test]
async fn what_was_never_put_is_absent() {
    let place = Place::new();
    let vault = place.open().await;
    write(&vault, &at(integration(1), "auth", 1), "token").await;
    for other in [
        at(integration(1), "auth", 2),
        at(integration(1), "signing_secret", 1),
        at(integration(2), "auth", 1),
    ] {
        assert!(matches!(
            read(&vault, &other).await,
            Err(VaultError::Absent)
        ));
    }
}

#[tokio::test]
async fn generations_stand_side_by_side_and_a_repeated_put_replaces_its_own() {
    let place = Place::new();
    let vault = place.open().await;
    let (old, new) = (at(integration(1), "auth", 1), at(integration(1), "auth", 2));
    write(&vault, &old, "one").await;
    write(&vault, &new, "two").await;
    write(&vault, &new, "two").await;
    assert_eq!(read(&vault, &new).await.unwrap(), "two");
    write(&vault, &new, "two, fetched again").await;
    assert_eq!(read(&vault, &new).await.unwrap(), "two, fetched again");
    assert_eq!(read(&vault, &old).await.unwrap(), "one");
}

#[tokio::test]
async fn a_row_moved_to_another_scope_field_or_generation_does_not_open() {
    let moves = [
        "update secrets set field = 'other' where field = 'auth'",
        "update secrets set generation = 2 where field = 'auth'",
        "update secrets set scope = (select scope from data_keys where scope like '%webhook%') \
         where field = 'auth'",
    ];
    for (row, moved) in moves.into_iter().enumerate() {
        let place = Place::new();
        let vault = place.open().await;
        let webhook = Scope::Webhook(project(), WebhookId(Uuid::from_u128(9)));
        write(&vault, &at(integration(1), "auth", 1), "token").await;
        write(&vault, &at(webhook.clone(), "signing_secret", 1), "key").await;
        assert_eq!(place.tamper(moved).await, 1);
        let target = [
            at(integration(1), "other", 1),
            at(integration(1), "auth", 2),
            at(webhook, "auth", 1),
        ];
        let answer = read(&vault, target.get(row).unwrap()).await;
        assert!(matches!(answer, Err(VaultError::Sealed)), "{moved}");
    }
}

#[tokio::test]
async fn a_data_key_moved_to_another_scope_does_not_open() {
    let place = Place::new();
    let vault = place.open().await;
    vault.data_key(&integration(1)).await.unwrap();
    vault.data_key(&integration(2)).await.unwrap();
    vault.close().await;
    let swapped = place
        .tamper("update data_keys set wrapped = (select max(wrapped) from data_keys)")
        .await;
    assert_eq!(swapped, 2);

    let vault = place.open().await;
    let mut opened = 0;
    for scope in [integration(1), integration(2)] {
        match vault.data_key(&scope).await {
            Ok(_) => opened += 1,
            Err(error) => assert!(matches!(error, VaultError::Sealed)),
        }
    }
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn a_data_key_opens_after_a_restart_what_it_sealed_before() {
    let place = Place::new();
    let vault = place.open().await;
    let sealed = vault
        .data_key(&integration(1))
        .await
        .unwrap()
        .seal(b"run 1, page 1", b"records");
    vault.close().await;

    let vault = place.try_open(MASTER, 2).await.unwrap();
    let key = vault.data_key(&integration(1)).await.unwrap();
    assert_eq!(
        key.open(b"run 1, page 1", &sealed).unwrap().expose(),
        b"records"
    );
    let other = vault.data_key(&integration(2)).await.unwrap();
    assert!(other.open(b"run 1, page 1", &sealed).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_first_uses_at_once_make_one_key() {
    let place = Place::new();
    let vault = Arc::new(place.open().await);
    // A second process with the same file and a cache of its own.
    let twin = Arc::new(place.try_open(MASTER, 77).await.unwrap());
    let mut uses = tokio::task::JoinSet::new();
    for n in 0..32 {
        let vault = Arc::clone(if n % 2 == 0 { &vault } else { &twin });
        uses.spawn(async move {
            let key = vault.data_key(&integration(1)).await.unwrap();
            key.seal(b"", b"plain")
        });
    }
    let sealed = uses.join_all().await;
    let key = vault.data_key(&integration(1)).await.unwrap();
    for bytes in sealed {
        assert!(key.open(b"", &bytes).is_ok());
    }
}

#[tokio::test]
async fn a_shredded_scope_stays_unreadable_for_ever() {
    let place = Place::new();
    let vault = place.open().await;
    let auth = at(integration(1), "auth", 1);
    write(&vault, &auth, "token").await;
    write(&vault, &at(integration(2), "auth", 1), "another").await;
    vault.shred(&integration(1)).await.unwrap();
    vault.shred(&integration(1)).await.unwrap();

    assert!(matches!(
        vault.data_key(&integration(1)).await,
        Err(VaultError::Shredded)
    ));
    assert!(matches!(
        read(&vault, &auth).await,
        Err(VaultError::Shredded)
    ));
    assert!(matches!(
        Vault::put(&vault, &auth, &secret("again")).await,
        Err(VaultError::Shredded)
    ));
    assert_eq!(
        read(&vault, &at(integration(2), "auth", 1)).await.unwrap(),
        "another"
    );
    vault.close().await;

    let vault = place.open().await;
    assert!(matches!(
        vault.data_key(&integration(1)).await,
        Err(VaultError::Shredded)
    ));
    vault.close().await;
    assert_eq!(place.tamper("delete from secrets").await, 1);
}

#[tokio::test]
async fn a_scope_shredded_before_its_first_use_never_gets_a_key() {
    let place = Place::new();
    let vault = place.open().await;
    vault.shred(&integration(1)).await.unwrap();
    assert!(matches!(
        vault.data_key(&integration(1)).await,
        Err(VaultError::Shredded)
    ));
}

#[tokio::test]
async fn a_write_that_races_with_a_shredding_leaves_nothing() {
    let place = Place::new();
    let vault = place.open().await;
    let twin = place.try_open(MASTER, 2).await.unwrap();
    let auth = at(integration(1), "auth", 1);
    // The key lies in this vault's cache while another process destroys it.
    write(&vault, &auth, "token").await;
    twin.shred(&integration(1)).await.unwrap();
    assert!(matches!(
        Vault::put(&vault, &auth, &secret("late")).await,
        Err(VaultError::Shredded)
    ));
    assert_eq!(place.tamper("delete from secrets").await, 0);
}

#[tokio::test]
async fn a_shredded_key_is_gone_from_the_disk() {
    let place = Place::new();
    let vault = place.open().await;
    for n in 1..=8 {
        vault.data_key(&integration(n)).await.unwrap();
    }
    // Folds the write-ahead log into the database: the keys are in both places by now.
    vault.close().await;
    let vault = place.open().await;
    for n in [5, 2, 7] {
        let (wrapped,): (Vec<u8>,) =
            sqlx::query_as("select wrapped from data_keys where scope = $1")
                .bind(integration(n).name())
                .fetch_one(&vault.readers)
                .await
                .unwrap();
        assert!(contains(&place.bytes_on_disk(), &wrapped));
        vault.shred(&integration(n)).await.unwrap();
        let disk = place.bytes_on_disk();
        // Not even a part of it, but for the header, which is the same for all.
        for part in wrapped[5..].windows(8) {
            assert!(!contains(&disk, part), "key {n}");
        }
    }
}

#[tokio::test]
async fn another_master_key_is_refused_and_both_keys_are_named() {
    let place = Place::new();
    place.open().await.close().await;
    let other = "ab".repeat(32);
    let error = place.try_open(&other, 1).await.unwrap_err();
    let given = MasterKey::from_hex(&other).unwrap().id();
    assert!(matches!(
        &error,
        Error::WrongKey { expected, given: g } if expected == "35b2b416" && *g == given
    ));
    let text = error.to_string();
    assert!(text.contains("35b2b416") && text.contains(&given));
    // The right key still opens it.
    place.open().await.close().await;
}

#[tokio::test]
async fn a_damaged_or_newer_vault_is_refused() {
    for (damage, expected) in [
        (
            "update vault set sentinel = zeroblob(53)",
            "its sentinel does not open",
        ),
        ("delete from vault", "its sentinel is gone"),
        ("update vault set schema = 2", "upgrade wharf"),
    ] {
        let place = Place::new();
        let vault = place.open().await;
        vault.data_key(&integration(1)).await.unwrap();
        vault.close().await;
        assert_eq!(place.tamper(damage).await, 1);
        let error = place.try_open(MASTER, 1).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn no_planted_secret_is_found_on_disk() {
    let place = Place::new();
    let vault = place.open().await;
    let planted = "PLANTED-4f2c91d7-SECRET";
    write(&vault, &at(integration(1), "auth", 1), planted).await;
    Answers::put(&vault, &project(), "key", &answer(201, planted))
        .await
        .unwrap();
    // Once with the write-ahead log, once after it was folded into the database.
    assert!(!contains(&place.bytes_on_disk(), planted.as_bytes()));
    let master = hex::decode(MASTER).unwrap();
    assert!(!contains(&place.bytes_on_disk(), &master));
    vault.close().await;
    assert!(!contains(&place.bytes_on_disk(), planted.as_bytes()));
    // The search does find what is there in clear.
    assert!(contains(&place.bytes_on_disk(), b"acme/project"));
}

#[tokio::test]
async fn the_vault_is_a_file_for_its_owner_alone() {
    let place = Place::new();
    let vault = place.open().await;
    vault.data_key(&integration(1)).await.unwrap();
    for entry in fs::read_dir(place.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn the_first_answer_to_a_key_stays() {
    let place = Place::new();
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

#[tokio::test]
async fn an_answer_is_forgotten_after_24_hours_and_its_key_is_free_again() {
    let place = Place::new();
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

#[tokio::test]
async fn expired_answers_do_not_pile_up() {
    let place = Place::new();
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
    let (rows,): (i64,) = sqlx::query_as("select count(*) from answers")
        .fetch_one(&vault.readers)
        .await
        .unwrap();
    assert_eq!(rows, 3);
}

#[tokio::test]
async fn an_altered_answer_does_not_open() {
    for altered in [
        "update answers set status = 200",
        "update answers set position = 43",
        "update answers set fingerprint = zeroblob(32)",
        "update answers set fingerprint = zeroblob(31)",
        "update answers set key = 'other'",
        "update answers set sealed = zeroblob(64)",
    ] {
        let place = Place::new();
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

#[tokio::test]
async fn a_shredded_project_has_no_answers() {
    let place = Place::new();
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
