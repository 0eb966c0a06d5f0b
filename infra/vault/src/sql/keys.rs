//! Data keys: one a scope, made once, destroyed for ever.

use std::sync::Arc;

use wharf_domain::ports::{Scope, VaultError};
use zeroize::Zeroizing;

use super::{
    SqlVault,
    tables::{Tables, sql, unavailable},
};
use crate::envelope::{KEY_BYTES, ScopeKey};

impl SqlVault {
    /// The key of `scope`, made durably if there was none.
    pub(super) async fn scope_key(&self, scope: &Scope) -> Result<Arc<ScopeKey>, VaultError> {
        if let Some(key) = self.cache.get(scope) {
            return Ok(key);
        }
        let name = scope.name();
        let wrapped = match self.wrapped_key(&name).await? {
            Some(wrapped) => wrapped,
            None => self.make_key(&name).await?,
        };
        let key = self.admit(scope, name, &wrapped)?;
        // The scope may have been shredded since its row was read. If that commit comes after this
        // second look, its own clearing of the cache comes after our entry.
        if let Err(shredded) = self.wrapped_key(&scope.name()).await {
            self.cache.invalidate(scope);
            return Err(shredded);
        }
        Ok(key)
    }

    /// Unwraps a key whose row was just read.
    pub(super) fn unwrap_key(
        &self,
        scope: &Scope,
        wrapped: &[u8],
    ) -> Result<Arc<ScopeKey>, VaultError> {
        match self.cache.get(scope) {
            Some(key) => Ok(key),
            None => self.unwrapped(scope.name(), wrapped),
        }
    }

    /// Destroys the key of `scope`, and the rows that nobody can open any more.
    pub(super) async fn shred_key(&self, scope: &Scope) -> Result<(), VaultError> {
        let name = scope.name();
        let mut tx = self.tables.begin().await.map_err(unavailable)?;
        // First the key, which whoever writes locks: what waits for it finds it destroyed.
        sql!(
            execute,
            tx.on(),
            "insert into data_keys (scope, created_at, wrapped, shredded_at) \
             values ($1, $2, null, $2) \
             on conflict (scope) do update \
             set wrapped = null, shredded_at = excluded.shredded_at \
             where data_keys.shredded_at is null",
            &name,
            self.now()
        )
        .map_err(unavailable)?;
        for delete in [
            "delete from secrets where scope = $1",
            "delete from answers where scope = $1",
        ] {
            sql!(execute, tx.on(), delete, &name).map_err(unavailable)?;
        }
        tx.commit().await.map_err(unavailable)?;
        self.cache.invalidate(scope);
        self.truncate_wal().await
    }

    /// Empties a file's write-ahead log: it holds the wrapped key as it was before.
    async fn truncate_wal(&self) -> Result<(), VaultError> {
        let Tables::Sqlite { writer, .. } = &self.tables else {
            return Ok(());
        };
        let (busy, _, _): (i64, i64, i64) = sqlx::query_as("pragma wal_checkpoint(truncate)")
            .fetch_one(writer)
            .await
            .map_err(unavailable)?;
        if busy == 0 {
            return Ok(());
        }
        Err(VaultError::Unavailable(
            "readers keep the write-ahead log from being emptied; shred again".into(),
        ))
    }

    /// The wrapped key as it rests, `None` if the scope never had one.
    async fn wrapped_key(&self, name: &str) -> Result<Option<Vec<u8>>, VaultError> {
        let row: Option<(Option<Vec<u8>>,)> = sql!(
            fetch_optional,
            self.tables.reader().await?.on(),
            "select wrapped from data_keys where scope = $1",
            name
        )
        .map_err(unavailable)?;
        match row {
            None => Ok(None),
            Some((None,)) => Err(VaultError::Shredded),
            Some((Some(wrapped),)) => Ok(Some(wrapped)),
        }
    }

    /// Makes a key, unless somebody was faster; answers the one that is kept.
    async fn make_key(&self, name: &str) -> Result<Vec<u8>, VaultError> {
        let wrapped = {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            self.ids.fill(key.as_mut_slice());
            self.master.wrap(name, &key)
        };
        let mut tx = self.tables.begin().await.map_err(unavailable)?;
        sql!(
            execute,
            tx.on(),
            "insert into data_keys (scope, created_at, wrapped) values ($1, $2, $3) \
             on conflict (scope) do nothing",
            name,
            self.now(),
            wrapped
        )
        .map_err(unavailable)?;
        let (kept,): (Option<Vec<u8>>,) = sql!(
            fetch_one,
            tx.on(),
            "select wrapped from data_keys where scope = $1",
            name
        )
        .map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        kept.ok_or(VaultError::Shredded)
    }

    /// Unwraps a key and keeps it in the cache.
    fn admit(
        &self,
        scope: &Scope,
        name: String,
        wrapped: &[u8],
    ) -> Result<Arc<ScopeKey>, VaultError> {
        let key = self.unwrapped(name, wrapped)?;
        self.cache.insert(scope.clone(), Arc::clone(&key));
        Ok(key)
    }

    fn unwrapped(&self, name: String, wrapped: &[u8]) -> Result<Arc<ScopeKey>, VaultError> {
        let bytes = self.master.unwrap(&name, wrapped)?;
        Ok(Arc::new(ScopeKey::new(bytes, name, Arc::clone(&self.ids))))
    }
}
