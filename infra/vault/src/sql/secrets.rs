//! The port [`Vault`]: secrets, a row a generation.
//!
//! Secrets are small (tokens, keys, header values), so they are sealed on the runtime: microseconds.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::{
    kernel::Secret,
    ports::{DataKey, Scope, SecretRef, Vault, VaultError},
};

use super::{
    SqlVault,
    tables::{column, sql, unavailable},
};

/// Keeps secrets apart from everything else sealed under the same key.
const PURPOSE: &[u8] = b"secret";

/// One statement, so that no shredding comes between the look at the key and the write.
macro_rules! put {
    ($lock:literal) => {
        concat!(
            "insert into secrets (scope, field, generation, written_at, sealed) \
             select scope, $2, $3, $4, $5 from data_keys \
             where scope = $1 and shredded_at is null",
            $lock,
            " on conflict (scope, field, generation) do update \
             set written_at = excluded.written_at, sealed = excluded.sealed"
        )
    };
}

#[async_trait]
impl Vault for SqlVault {
    async fn put(&self, at: &SecretRef, secret: &Secret<Vec<u8>>) -> Result<(), VaultError> {
        let key = self.scope_key(&at.scope).await?;
        let sealed = key.seal_own(
            PURPOSE,
            &[at.field.as_bytes(), &at.generation.to_be_bytes()],
            secret.expose(),
        );
        let mut writer = self.tables.writer().await?;
        let on = writer.on();
        let text = on.choose(put!(""), put!(" for share"));
        let written = sql!(
            execute,
            on,
            text,
            at.scope.name(),
            at.field,
            column(at.generation)?,
            self.now(),
            sealed
        )
        .map_err(unavailable)?;
        if written == 0 {
            return Err(VaultError::Shredded);
        }
        Ok(())
    }

    async fn get(&self, at: &SecretRef) -> Result<Secret<Vec<u8>>, VaultError> {
        let row: Option<(Option<Vec<u8>>, Option<Vec<u8>>)> = sql!(
            fetch_optional,
            self.tables.reader().await?.on(),
            "select data_keys.wrapped, secrets.sealed from data_keys \
             left join secrets on secrets.scope = data_keys.scope \
             and secrets.field = $2 and secrets.generation = $3 \
             where data_keys.scope = $1",
            at.scope.name(),
            at.field,
            column(at.generation)?
        )
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
