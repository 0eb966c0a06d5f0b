//! The vault in tables, on every engine: durability, binding, shredding; what only a file or only a server
//! can promise comes last.

mod answers;
mod copy;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, str::FromStr as _, sync::Arc};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;
use uuid::Uuid;
use wharf_domain::{
    kernel::{IntegrationId, ProjectId, Secret, WebhookId},
    ports::{Answers, Scope, SecretRef, Vault, VaultError},
};

use crate::{
    Error, MasterKey, SqlVault,
    postgres::Database,
    testing::{TestClock, TestIds},
};

const MASTER: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Makes a test of every case for every engine. A case is an `async fn` that is told which one.
macro_rules! on_every_engine {
    ($($case:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::sql::tests::Engine::Sqlite).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::sql::tests::Engine::Postgres).await;
            })+
        }
    };
}

use on_every_engine;

/// Where a vault lies.
#[derive(Clone, Copy)]
enum Engine {
    Sqlite,
    Postgres,
}

/// A vault in a folder or a data base of its own.
struct Place {
    home: Home,
    clock: Arc<TestClock>,
}

enum Home {
    Folder(TempDir),
    Database(Database),
}

impl Place {
    async fn new(engine: Engine) -> Self {
        let home = match engine {
            Engine::Sqlite => Home::Folder(tempfile::tempdir().unwrap()),
            Engine::Postgres => Home::Database(Database::new().await),
        };
        Self {
            home,
            clock: Arc::new(TestClock::at(1_700_000_000)),
        }
    }

    fn folder(&self) -> &Path {
        match &self.home {
            Home::Folder(folder) => folder.path(),
            Home::Database(_) => panic!("it has no folder"),
        }
    }

    async fn try_open(&self, master: &str, seed: u64) -> Result<SqlVault, Error> {
        let master = MasterKey::from_hex(master).unwrap();
        let (clock, ids) = (
            Arc::clone(&self.clock) as _,
            Arc::new(TestIds::seeded(seed)),
        );
        match &self.home {
            Home::Folder(folder) => {
                SqlVault::open(&folder.path().join("vault.db"), master, clock, ids).await
            }
            Home::Database(database) => {
                SqlVault::postgres(&Secret::new(database.url()), master, clock, ids).await
            }
        }
    }

    async fn open(&self) -> SqlVault {
        self.try_open(MASTER, 1).await.unwrap()
    }

    /// Runs a statement on the tables, past the vault.
    async fn tamper(&self, statement: &'static str) -> u64 {
        match &self.home {
            Home::Folder(folder) => {
                let path = folder.path().join("vault.db");
                let mut connection = SqliteConnectOptions::new()
                    .filename(path)
                    .connect()
                    .await
                    .unwrap();
                let done = sqlx::query(statement)
                    .execute(&mut connection)
                    .await
                    .unwrap();
                connection.close().await.unwrap();
                done.rows_affected()
            }
            Home::Database(database) => {
                let options = PgConnectOptions::from_str(&database.url()).unwrap();
                let options = options.options([("search_path", "wharf_vault,public")]);
                let mut connection = options.connect().await.unwrap();
                let zeroblob = "create or replace function public.zeroblob(n int) returns bytea
                                language sql as $$ select decode(repeat('00', n), 'hex') $$";
                sqlx::raw_sql(zeroblob)
                    .execute(&mut connection)
                    .await
                    .unwrap();
                let done = sqlx::query(statement)
                    .execute(&mut connection)
                    .await
                    .unwrap();
                done.rows_affected()
            }
        }
    }

    /// Every byte of the database and of its side files; of a server, every row.
    async fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        match &self.home {
            Home::Folder(folder) => {
                for entry in fs::read_dir(folder.path()).unwrap() {
                    all.extend(fs::read(entry.unwrap().path()).unwrap());
                }
            }
            Home::Database(database) => {
                let pool = sqlx::PgPool::connect_lazy(&database.url()).unwrap();
                for (columns, table) in [
                    ("sentinel, key_id", "vault"),
                    ("wrapped, scope", "data_keys"),
                    ("sealed, scope || field", "secrets"),
                    ("sealed, scope || key", "answers"),
                ] {
                    let select = format!("select {columns} from wharf_vault.{table}");
                    let rows: Vec<(Vec<u8>, String)> = sqlx::query_as(AssertSqlSafe(select))
                        .fetch_all(&pool)
                        .await
                        .unwrap();
                    all.extend(
                        rows.into_iter()
                            .flat_map(|(a, b)| [a, b.into_bytes()])
                            .flatten(),
                    );
                }
            }
        }
        all
    }
}

on_every_engine! {
    a_secret_survives_a_restart
    what_was_never_put_is_absent
    generations_stand_side_by_side_and_a_repeated_put_replaces_its_own
    a_row_moved_to_another_scope_field_or_generation_does_not_open
    a_data_key_moved_to_another_scope_does_not_open
    a_data_key_opens_after_a_restart_what_it_sealed_before
    many_first_uses_at_once_make_one_key
    many_that_start_at_once_make_one_vault
    a_shredded_scope_stays_unreadable_for_ever
    a_scope_shredded_before_its_first_use_never_gets_a_key
    a_write_that_races_with_a_shredding_leaves_nothing
    another_master_key_is_refused_and_both_keys_are_named
    a_damaged_or_newer_vault_is_refused
    no_planted_secret_is_found_in_what_is_stored
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

async fn read(vault: &SqlVault, at: &SecretRef) -> Result<String, VaultError> {
    Vault::get(vault, at)
        .await
        .map(|secret| String::from_utf8(secret.expose().clone()).unwrap())
}

async fn write(vault: &SqlVault, at: &SecretRef, text: &str) {
    Vault::put(vault, at, &secret(text)).await.unwrap();
}

async fn a_secret_survives_a_restart(engine: Engine) {
    let place = Place::new(engine).await;
    let vault = place.open().await;
    let auth = at(integration(1), "auth", 1);
    write(&vault, &auth, "token one").await;
    // No close: as after a crash.
    drop(vault);

    let vault = place.open().await;
    assert_eq!(read(&vault, &auth).await.unwrap(), "token one");
}

async fn what_was_never_put_is_absent(engine: Engine) {
    let place = Place::new(engine).await;
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

async fn generations_stand_side_by_side_and_a_repeated_put_replaces_its_own(engine: Engine) {
    let place = Place::new(engine).await;
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

async fn a_row_moved_to_another_scope_field_or_generation_does_not_open(engine: Engine) {
    let moves = [
        "update secrets set field = 'other' where field = 'auth'",
        "update secrets set generation = 2 where field = 'auth'",
        "update secrets set scope = (select scope from data_keys where scope like '%webhook%') \
         where field = 'auth'",
    ];
    for (row, moved) in moves.into_iter().enumerate() {
        let place = Place::new(engine).await;
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

async fn a_data_key_moved_to_another_scope_does_not_open(engine: Engine) {
    let place = Place::new(engine).await;
    let vault = place.open().await;
    vault.data_key(&integration(1)).await.unwrap();
    vault.data_key(&integration(2)).await.unwrap();
    vault.close().await;
    let swapped = place
        .tamper("update data_keys set wrapped = (select wrapped from data_keys order by wrapped limit 1)")
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

async fn a_data_key_opens_after_a_restart_what_it_sealed_before(engine: Engine) {
    let place = Place::new(engine).await;
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

async fn many_first_uses_at_once_make_one_key(engine: Engine) {
    let place = Place::new(engine).await;
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

async fn a_shredded_scope_stays_unreadable_for_ever(engine: Engine) {
    let place = Place::new(engine).await;
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

async fn a_scope_shredded_before_its_first_use_never_gets_a_key(engine: Engine) {
    let place = Place::new(engine).await;
    let vault = place.open().await;
    vault.shred(&integration(1)).await.unwrap();
    assert!(matches!(
        vault.data_key(&integration(1)).await,
        Err(VaultError::Shredded)
    ));
}

async fn a_write_that_races_with_a_shredding_leaves_nothing(engine: Engine) {
    let place = Place::new(engine).await;
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
    let place = Place::new(Engine::Sqlite).await;
    let vault = place.open().await;
    for n in 1..=8 {
        vault.data_key(&integration(n)).await.unwrap();
    }
    // Folds the write-ahead log into the database: the keys are in both places by now.
    vault.close().await;
    let vault = place.open().await;
    let beside = sqlx::SqlitePool::connect_lazy_with(
        SqliteConnectOptions::new()
            .filename(place.folder().join("vault.db"))
            .read_only(true),
    );
    for n in [5, 2, 7] {
        let (wrapped,): (Vec<u8>,) =
            sqlx::query_as("select wrapped from data_keys where scope = $1")
                .bind(integration(n).name())
                .fetch_one(&beside)
                .await
                .unwrap();
        assert!(contains(&place.bytes().await, &wrapped));
        vault.shred(&integration(n)).await.unwrap();
        let disk = place.bytes().await;
        // Not even a part of it, but for the header, which is the same for all.
        for part in wrapped[5..].windows(8) {
            assert!(!contains(&disk, part), "key {n}");
        }
    }
}

async fn another_master_key_is_refused_and_both_keys_are_named(engine: Engine) {
    let place = Place::new(engine).await;
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

async fn a_damaged_or_newer_vault_is_refused(engine: Engine) {
    for (damage, expected) in [
        (
            "update vault set sentinel = zeroblob(53)",
            "its sentinel does not open",
        ),
        ("delete from vault", "its sentinel is gone"),
        ("update vault set schema = 2", "upgrade wharf"),
    ] {
        let place = Place::new(engine).await;
        let vault = place.open().await;
        vault.data_key(&integration(1)).await.unwrap();
        vault.close().await;
        assert_eq!(place.tamper(damage).await, 1);
        let error = place.try_open(MASTER, 1).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

async fn no_planted_secret_is_found_in_what_is_stored(engine: Engine) {
    let place = Place::new(engine).await;
    let vault = place.open().await;
    let planted = "PLANTED-4f2c91d7-SECRET";
    write(&vault, &at(integration(1), "auth", 1), planted).await;
    Answers::put(&vault, &project(), "key", &answers::answer(201, planted))
        .await
        .unwrap();
    // Once with the write-ahead log, once after it was folded into the database.
    assert!(!contains(&place.bytes().await, planted.as_bytes()));
    let master = hex::decode(MASTER).unwrap();
    assert!(!contains(&place.bytes().await, &master));
    vault.close().await;
    assert!(!contains(&place.bytes().await, planted.as_bytes()));
    // The search does find what is there in clear.
    assert!(contains(&place.bytes().await, b"acme/project"));
}

#[tokio::test]
async fn the_vault_is_a_file_for_its_owner_alone() {
    let place = Place::new(Engine::Sqlite).await;
    let vault = place.open().await;
    vault.data_key(&integration(1)).await.unwrap();
    for entry in fs::read_dir(place.folder()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

async fn many_that_start_at_once_make_one_vault(engine: Engine) {
    let place = Place::new(engine).await;
    let opened = (0..6).map(|seed| place.try_open(MASTER, seed));
    for vault in futures::future::join_all(opened).await {
        vault.unwrap().close().await;
    }
    assert_eq!(place.tamper("update vault set schema = 1").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_on_one_node_while_another_shreds_leave_nothing() {
    let place = Place::new(Engine::Postgres).await;
    let (one, another) = (place.open().await, place.try_open(MASTER, 2).await.unwrap());
    for n in 0..20 {
        let scope = integration(n);
        write(&one, &at(scope.clone(), "auth", 1), "token").await;
        let writes = (2..8).map(|generation| {
            let at = at(scope.clone(), "auth", generation);
            let one = &one;
            async move { Vault::put(one, &at, &secret("late")).await }
        });
        let (_, shredded) = tokio::join!(futures::future::join_all(writes), another.shred(&scope));
        shredded.unwrap();
    }
    assert_eq!(place.tamper("delete from secrets").await, 0);
}

#[tokio::test]
async fn a_key_shredded_on_one_node_is_soon_unknown_to_the_others() {
    let place = Place::new(Engine::Postgres).await;
    let (one, another) = (place.open().await, place.try_open(MASTER, 2).await.unwrap());
    let auth = at(integration(1), "auth", 1);
    write(&one, &auth, "token").await;
    another.shred(&integration(1)).await.unwrap();
    // At once where a row is read, and after seconds where the key itself was handed out.
    assert!(matches!(read(&one, &auth).await, Err(VaultError::Shredded)));
    let longest = one.cache.policy().time_to_live().unwrap();
    assert!(longest <= std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_saying_it() {
    let master = MasterKey::from_hex(MASTER).unwrap();
    let url = Secret::new("postgres://me:s3cret@host:many/vault".to_owned());
    let (clock, ids) = (Arc::new(TestClock::at(0)), Arc::new(TestIds::seeded(1)));
    let refused = SqlVault::postgres(&url, master, clock, ids).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::Address(_)), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("s3cret"));
}
