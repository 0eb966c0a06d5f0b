//! Opening the vault, and the proof that the master key is the right one.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use moka::sync::Cache;
use wharf_domain::{
    kernel::Secret,
    ports::{Clock, Ids, Scope},
};

use super::tables::{Tables, sql};
use crate::{Error, MasterKey, envelope::ScopeKey};

/// Version of the tables.
const SCHEMA: i64 = 1;
/// Most unwrapped data keys in memory; above, the least used are forgotten and unwrapped again.
const CACHED_KEYS: u64 = 10_000;
/// How long an unwrapped key stays in memory. Also how long another process that opened this file may
/// still seal under a shredded key.
const CACHED_FOR: Duration = Duration::from_secs(600);
/// The same, of a vault that nodes share: erasure on one is erasure on all after it.
const SHARED_CACHED_FOR: Duration = Duration::from_secs(5);

/// The vault in tables. Share it in an [`Arc`].
pub struct SqlVault {
    pub(super) tables: Tables,
    pub(super) master: MasterKey,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    /// Unwrapped data keys by scope; wiped when they leave.
    pub(super) cache: Cache<Scope, Arc<ScopeKey>>,
}

impl SqlVault {
    /// Opens the vault in the `SQLite` file at `path`, and makes it (mode 0600) if it is not there. A new
    /// vault belongs to `master` from then on.
    ///
    /// # Errors
    /// [`Error::WrongKey`] if the vault belongs to another master key, [`Error::Newer`] if a later
    /// version made it, [`Error::Damaged`], [`Error::File`] and [`Error::Storage`] if it does not open.
    pub async fn open(
        path: &Path,
        master: MasterKey,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, Error> {
        let tables = Tables::sqlite(path).await?;
        Self::prepared(tables, CACHED_FOR, master, clock, ids).await
    }

    /// Opens the vault in the `PostgreSQL` data base at `url` (`postgres://…`), which any number of nodes
    /// may do at once, and makes its schema `wharf_vault` if it is not there.
    ///
    /// # Errors
    /// As [`Self::open`], and [`Error::Address`].
    pub async fn postgres(
        url: &Secret<String>,
        master: MasterKey,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, Error> {
        let tables = Tables::postgres(url)?;
        Self::prepared(tables, SHARED_CACHED_FOR, master, clock, ids).await
    }

    async fn prepared(
        tables: Tables,
        cached_for: Duration,
        master: MasterKey,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, Error> {
        prepare(&tables, &master, ids.as_ref()).await?;
        Ok(Self {
            tables,
            master,
            clock,
            ids,
            cache: Cache::builder()
                .max_capacity(CACHED_KEYS)
                .time_to_live(cached_for)
                .build(),
        })
    }

    /// Closes file or connections once running calls are done; calls after this fail.
    pub async fn close(&self) {
        self.cache.invalidate_all();
        self.tables.close().await;
    }

    /// Now, as the tables keep it.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

impl fmt::Debug for SqlVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlVault")
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

/// Makes the tables, and the sentinel of a new vault; checks that of an old one.
async fn prepare(tables: &Tables, master: &MasterKey, ids: &dyn Ids) -> Result<(), Error> {
    let mut tx = tables.made().await?;
    let row: Option<(i64, String, Vec<u8>)> = sql!(
        fetch_optional,
        tx.on(),
        "select schema, key_id, sentinel from vault where id = 1"
    )?;
    match row {
        Some((found, ..)) if found > SCHEMA => {
            return Err(Error::Newer {
                found,
                known: SCHEMA,
            });
        }
        Some((_, expected, _)) if expected != master.id() => {
            return Err(Error::WrongKey {
                expected,
                given: master.id(),
            });
        }
        Some((_, _, sentinel)) if !master.made(&sentinel) => {
            return Err(Error::Damaged("its sentinel does not open"));
        }
        Some(_) => {}
        None => {
            let (keys,): (i64,) = sql!(fetch_one, tx.on(), "select count(*) from data_keys")?;
            if keys > 0 {
                return Err(Error::Damaged("its sentinel is gone"));
            }
            sql!(
                execute,
                tx.on(),
                "insert into vault (id, schema, key_id, sentinel) values (1, $1, $2, $3)",
                SCHEMA,
                master.id(),
                master.sentinel(ids)
            )?;
        }
    }
    tx.commit().await?;
    Ok(())
}
