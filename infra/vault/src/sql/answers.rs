//! The port [`Answers`]: first answers to idempotency keys, for 24 hours.
//!
//! The body is sealed under the project's data key; the other columns are bound to it as associated
//! data, so a row that was altered does not open.

use async_trait::async_trait;
use wharf_domain::{
    kernel::{Hash, ProjectId},
    ports::{Answer, Answers, Scope, VaultError},
};

use super::{
    SqlVault,
    tables::{column, sql, unavailable},
};

/// Keeps answers apart from everything else sealed under the same key.
const PURPOSE: &[u8] = b"answer";
/// How long an answer is kept, in microseconds.
const KEPT: i64 = 24 * 60 * 60 * 1_000_000;
/// Expired answers removed with each new one: more than one, so that they cannot pile up.
const PURGED_AT_ONCE: i64 = 16;

/// An answer that is there stays, unless it is expired. No row of a shredded project is made.
macro_rules! put {
    ($lock:literal) => {
        concat!(
            "insert into answers (scope, key, expires_at, fingerprint, status, position, sealed) \
             select scope, $2, $3, $4, $5, $6, $7 from data_keys \
             where scope = $1 and shredded_at is null",
            $lock,
            " on conflict (scope, key) do update \
             set expires_at = excluded.expires_at, fingerprint = excluded.fingerprint, \
             status = excluded.status, position = excluded.position, sealed = excluded.sealed \
             where answers.expires_at <= $8"
        )
    };
}

/// Two nodes that purge at once leave each other's rows alone.
macro_rules! purge {
    ($lock:literal) => {
        concat!(
            "delete from answers where (scope, key) in (\
             select scope, key from answers where expires_at <= $1 \
             order by expires_at limit $2",
            $lock,
            ")"
        )
    };
}

#[async_trait]
impl Answers for SqlVault {
    async fn get(&self, project: &ProjectId, key: &str) -> Result<Option<Answer>, VaultError> {
        let scope = Scope::Project(project.clone());
        let row: Option<(Vec<u8>, i64, i64, Vec<u8>)> = sql!(
            fetch_optional,
            self.tables.reader().await?.on(),
            "select fingerprint, status, position, sealed from answers \
             where scope = $1 and key = $2 and expires_at > $3",
            scope.name(),
            key,
            self.now()
        )
        .map_err(unavailable)?;
        let Some((fingerprint, status, position, sealed)) = row else {
            return Ok(None);
        };
        let head = Head {
            fingerprint: fingerprint.try_into().map_err(|_| VaultError::Sealed)?,
            status: status.try_into().map_err(|_| VaultError::Sealed)?,
            position: position.try_into().map_err(|_| VaultError::Sealed)?,
        };
        let body = self.scope_key(&scope).await?.open_own(
            PURPOSE,
            &[key.as_bytes(), &head.bytes()],
            &sealed,
        )?;
        Ok(Some(Answer {
            fingerprint: Hash(head.fingerprint),
            status: head.status,
            position: head.position,
            body,
        }))
    }

    async fn put(&self, project: &ProjectId, key: &str, answer: &Answer) -> Result<(), VaultError> {
        let scope = Scope::Project(project.clone());
        let head = Head {
            fingerprint: answer.fingerprint.0,
            status: answer.status,
            position: answer.position,
        };
        let sealed = self.scope_key(&scope).await?.seal_own(
            PURPOSE,
            &[key.as_bytes(), &head.bytes()],
            answer.body.expose(),
        );
        let now = self.now();
        let mut tx = self.tables.begin().await.map_err(unavailable)?;
        let text = tx.on().choose(put!(""), put!(" for share"));
        sql!(
            execute,
            tx.on(),
            text,
            scope.name(),
            key,
            now.saturating_add(KEPT),
            head.fingerprint.to_vec(),
            i64::from(head.status),
            column(head.position)?,
            sealed,
            now
        )
        .map_err(unavailable)?;
        let text = tx
            .on()
            .choose(purge!(""), purge!(" for update skip locked"));
        sql!(execute, tx.on(), text, now, PURGED_AT_ONCE).map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)
    }
}

/// What of an answer is kept in clear.
struct Head {
    fingerprint: [u8; 32],
    status: u16,
    position: u64,
}

impl Head {
    fn bytes(&self) -> [u8; 42] {
        let mut bytes = [0; 42];
        let parts = self
            .fingerprint
            .into_iter()
            .chain(self.status.to_be_bytes())
            .chain(self.position.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = from;
        }
        bytes
    }
}
