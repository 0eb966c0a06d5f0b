//! Copying a vault to other storage: every row as it rests, sealed. No secret is opened, and no key.
//!
//! `wharf vault copy` calls it while no hub runs. Afterwards the target has every row, or is as it was.

use super::{
    SqlVault,
    tables::{Tables, Tx, sql},
};

/// Rows read, and compared, at a time.
const PAGE: i64 = 500;

/// What was copied, or was there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Data keys, those that were destroyed included: they are never made again.
    pub data_keys: u64,
    /// Generations of secrets.
    pub secrets: u64,
    /// Saved answers of idempotent requests.
    pub answers: u64,
}

/// Why nothing was copied. The target is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Somebody uses the target, or did since it was copied to.
    #[error(
        "the target has {0} of its own; nothing was changed: name an empty data base, or a folder without \
         a vault"
    )]
    Occupied(&'static str),
    /// One of the two failed.
    #[error("a vault cannot be read or written")]
    Storage(#[from] sqlx::Error),
}

/// A row of `data_keys`: scope, `created_at`, wrapped, `shredded_at`.
type DataKey = (String, i64, Option<Vec<u8>>, Option<i64>);
/// A row of `secrets`: scope, field, generation, `written_at`, sealed.
type SecretRow = (String, String, i64, i64, Vec<u8>);
/// A row of `answers`: scope, key, `expires_at`, fingerprint, status, position, sealed.
type AnswerRow = (String, String, i64, Vec<u8>, i64, i64, Vec<u8>);

/// A table that is copied, by its rows in the order of their key.
trait Row: Sized + PartialEq {
    /// What the table holds.
    const WHAT: &'static str;

    /// The first rows after `after`, or of all; [`PAGE`] of them.
    async fn page(of: &mut Tx, after: Option<&Self>) -> Result<Vec<Self>, sqlx::Error>;

    /// Writes the row, unless one with its key is there.
    async fn write(&self, to: &mut Tx) -> Result<(), sqlx::Error>;
}

impl SqlVault {
    /// Copies all of this vault to `to`, which holds nothing, or what an earlier copy of this one left there.
    /// Proves that both are the same before anything stays.
    ///
    /// # Errors
    /// [`CopyError`]; the target is as it was.
    pub async fn copy_to(&self, to: &Self) -> Result<Copied, CopyError> {
        // To write, although it only reads: nobody changes a file meanwhile.
        let mut from = self.tables.begin().await?;
        let mut into = to.tables.begin().await?;
        let copied = Copied {
            data_keys: copy::<DataKey>(&mut from, &mut into).await?,
            secrets: copy::<SecretRow>(&mut from, &mut into).await?,
            answers: copy::<AnswerRow>(&mut from, &mut into).await?,
        };
        into.commit().await?;
        Ok(copied)
    }

    /// Whether others are connected to the data base that this vault is in: hubs that run. A file has a lock for
    /// that.
    ///
    /// # Errors
    /// The data base cannot be asked.
    pub async fn is_shared_now(&self) -> Result<bool, sqlx::Error> {
        let Tables::Postgres(pool) = &self.tables else {
            return Ok(false);
        };
        let (others,): (i64,) = sqlx::query_as(
            "select count(*) from pg_stat_activity \
             where datname = current_database() and application_name like 'wharf%' \
             and application_name <> 'wharf vault'",
        )
        .fetch_one(pool)
        .await?;
        Ok(others > 0)
    }
}

/// Copies one table and compares; answers how many rows it has.
async fn copy<R: Row>(from: &mut Tx, to: &mut Tx) -> Result<u64, CopyError> {
    let mut rows = R::page(from, None).await?;
    while !rows.is_empty() {
        for row in &rows {
            row.write(to).await?;
        }
        rows = R::page(from, rows.last()).await?;
    }
    let (mut count, mut last) = (0, None);
    loop {
        let rows = R::page(from, last.as_ref()).await?;
        if rows != R::page(to, last.as_ref()).await? {
            return Err(CopyError::Occupied(R::WHAT));
        }
        count += rows.len() as u64;
        match rows.into_iter().next_back() {
            Some(row) => last = Some(row),
            None => return Ok(count),
        }
    }
}

impl Row for DataKey {
    const WHAT: &'static str = "keys";

    async fn page(of: &mut Tx, after: Option<&Self>) -> Result<Vec<Self>, sqlx::Error> {
        sql!(
            fetch_all,
            of.on(),
            "select scope, created_at, wrapped, shredded_at from data_keys \
             where scope > $1 order by scope limit $2",
            after.map_or("", |row| &row.0),
            PAGE
        )
    }

    async fn write(&self, to: &mut Tx) -> Result<(), sqlx::Error> {
        let (scope, created_at, wrapped, shredded_at) = self;
        sql!(
            execute,
            to.on(),
            "insert into data_keys (scope, created_at, wrapped, shredded_at) values ($1, $2, $3, $4) \
             on conflict (scope) do nothing",
            scope,
            created_at,
            wrapped,
            shredded_at
        )?;
        Ok(())
    }
}

impl Row for SecretRow {
    const WHAT: &'static str = "secrets";

    async fn page(of: &mut Tx, after: Option<&Self>) -> Result<Vec<Self>, sqlx::Error> {
        let after = after.map(|(scope, field, generation, ..)| (&**scope, &**field, *generation));
        let (scope, field, generation) = after.unwrap_or_default();
        sql!(
            fetch_all,
            of.on(),
            "select scope, field, generation, written_at, sealed from secrets \
             where (scope, field, generation) > ($1, $2, $3) order by scope, field, generation limit $4",
            scope,
            field,
            generation,
            PAGE
        )
    }

    async fn write(&self, to: &mut Tx) -> Result<(), sqlx::Error> {
        let (scope, field, generation, written_at, sealed) = self;
        sql!(
            execute,
            to.on(),
            "insert into secrets (scope, field, generation, written_at, sealed) \
             values ($1, $2, $3, $4, $5) on conflict (scope, field, generation) do nothing",
            scope,
            field,
            generation,
            written_at,
            sealed
        )?;
        Ok(())
    }
}

impl Row for AnswerRow {
    const WHAT: &'static str = "answers";

    async fn page(of: &mut Tx, after: Option<&Self>) -> Result<Vec<Self>, sqlx::Error> {
        let (scope, key) = after.map_or(("", ""), |(scope, key, ..)| (scope, key));
        sql!(
            fetch_all,
            of.on(),
            "select scope, key, expires_at, fingerprint, status, position, sealed from answers \
             where (scope, key) > ($1, $2) order by scope, key limit $3",
            scope,
            key,
            PAGE
        )
    }

    async fn write(&self, to: &mut Tx) -> Result<(), sqlx::Error> {
        let (scope, key, expires_at, fingerprint, status, position, sealed) = self;
        sql!(
            execute,
            to.on(),
            "insert into answers (scope, key, expires_at, fingerprint, status, position, sealed) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (scope, key) do nothing",
            scope,
            key,
            expires_at,
            fingerprint,
            status,
            position,
            sealed
        )?;
        Ok(())
    }
}
