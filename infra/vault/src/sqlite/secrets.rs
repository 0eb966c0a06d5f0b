//! The port [`Vault`]: secrets, a row a generation.
//!
//! Secrets are small (tokens, keys, header values), so they are sealed on the runtime: microseconds.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::{
    kernel::Secret,
    ports::{DataKey, Scope, SecretRef, Vault, VaultError},
};

use super::open::{SqliteVault, column, unavailable};

/// Keeps secrets apart from everything else sealed under the same key.
const PURPOSE: &[u8] = b"secret";

#[async_trait]
impl Vault for SqliteVault {
    async fn put(&self, at: &SecretRef, secret: &Secret<Vec<u8>>) -> Result<(), VaultError> {
        let key = self.scope_key(&at.scope).await?;
        let sealed = key.seal_own(
            PURPOSE,
            &[at.field.as_bytes(), &at.generation.to_be_bytes()],
            secret.expose(),
        );
        // One statement, so that no shredding comes between the look at the key and the write.
        let written = sqlx::query(
            "insert into secrets (scope, field, generation, written_at, sealed) \
             select scope, $2, $3, $4, $5 from data_keys \
             where scope = $1 and shredded_at is null \
             on conflict (scope, field, generation) do update \
             set written_at = excluded.written_at, sealed = excluded.sealed",
        )
        .bind(at.scope.name())
        .bind(at.field)
        .bind(column(at.generation)?)
        .bind(self.now())
        .bind(sealed)
        .execute(&self.writer)
        .await
        .map_err(unavailable)?;
        if written.rows_affected() == 0 {
            return Err(VaultError::Shredded);
        }
        Ok(())
    }

    async fn get(&self, at: &SecretRef) -> Result<Secret<Vec<u8>>, VaultError> {
        let row: Option<(Option<Vec<u8>>, Option<Vec<u8>>)> = sqlx::query_as(
            "select data_keys.wrapped, secrets.sealed from data_keys \
             left join secrets on secrets.scope = data_keys.scope \
             and secrets.field = $2 and secrets.generation = $3 \
             where data_keys.scope = $1",
        )
        .bind(at.scope.name())
        .bind(at.field)
        .bind(column(at.generation)?)
        .fetch_optional(&self.readers)
        .await
        .map_err(unavailable)?;
        let (wrapped, sealed) = row.ok_or(VaultError::Absent)?;
        let wrapped = wrapped.ok_or(VaultError::Shredded)?;
        let sealed = sealed.ok_or(VaultError::Absent)?;
        self.unwrap_key(&at.scope, &wrapped)?.open_own(
            PURPOSE,
            &[at.field.as_bytes(), &at.generation.to_be_bytes()],
            &sealed,
        )
    }

    async fn data_key(&self, scope: &Scope) -> Result<Arc<dyn DataKey>, VaultError> {
        let key = self.scope_key(scope).await?;
        Ok(key)
    }

    async fn shred(&self, scope: &Scope) -> Result<(), VaultError> {
        self.shred_key(scope).await
    }
}
