//! The schemas of the views: `wharf_views`, which says which generation is live and who holds a lease,
//! and `wharf_views_v<version>_g<number>`, a generation each.
//!
//! Several nodes share them, and two versions of the code do while one replaces the other: each version
//! has generations of its own. What nobody needs any more is dropped by [`Schemas::sweep`].

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use wharf_domain::kernel::{Position, Secret};

use super::{Live, Opened, RETIRED, begin, claim};
use crate::{
    Db, Error,
    columns::Columns,
    db::{Conn, Writer, query},
};

/// What made `wharf_views`, in order. A change is one more file, and one that code of the version before
/// can live with: both run side by side for the length of a deploy.
const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/postgres/0001_registry.sql")];

/// The tables of a generation. It has all of them or is none, so a change to any is a new [`VERSION`],
/// not one more file.
const TABLES: &str = include_str!("../../migrations/postgres/views.sql");

/// The oldest server that its makers still mend, as it numbers itself.
const OLDEST: i64 = 140_000;

/// The advisory lock of whoever changes `wharf_views`. That plus its number is the lock of a generation
/// which is being built.
const LOCK: i64 = i64::from_be_bytes(*b"wharf\0\0\0");

/// Where a projector's transactions, and swaps, are told.
const CHANNEL: &str = "wharf_views";

/// Connections beside readers and writer: one listens, the other looks and swaps.
const CONNECTIONS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// The data base that the nodes share.
pub(crate) struct Schemas {
    pool: PgPool,
    options: Box<PgConnectOptions>,
    /// The code's, whose generations it makes and opens.
    version: u32,
}

impl Schemas {
    /// Connects, and makes or migrates `wharf_views`. Any number of nodes may do so at once.
    pub(crate) async fn connect(url: &Secret<String>, version: u32) -> Result<Self, Error> {
        let schemas = Self::new(url, version)?;
        schemas.migrate().await?;
        Ok(schemas)
    }

    /// Opens no connection yet.
    pub(crate) fn new(url: &Secret<String>, version: u32) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url.expose())
            .map_err(Error::Address)?
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .min_connections(0)
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(choose(&options, "wharf_views"));
        Ok(Self {
            pool,
            options: Box::new(options),
            version,
        })
    }

    /// How far the live generation is; `None` if there is none, or no `wharf_views` at all.
    pub(crate) async fn peek(&self) -> Result<Option<Position>, Error> {
        let made = query("select to_regclass('wharf_views.lease')::text as name")
            .fetch_one(&self.pool)
            .await?;
        if made.opt_text("name")?.is_none() {
            return Ok(None);
        }
        Ok(self.live().await?.map(|live| live.position))
    }

    /// Which version of the code these generations are of.
    pub(crate) const fn version(&self) -> u32 {
        self.version
    }

    /// How to connect to `wharf_views`.
    pub(crate) fn options(&self) -> PgConnectOptions {
        choose(&self.options, "wharf_views")
    }

    async fn migrate(&self) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let server = query(
            "select current_setting('server_encoding') as encoding,
                    current_setting('server_version_num')::bigint as version",
        );
        let server = server.fetch_one(Conn::Postgres(&mut tx)).await?;
        if server.text("encoding")? != "UTF8" {
            return Err(Error::Unfit("make one with encoding 'UTF8'"));
        }
        if server.count::<i64>("version")? < OLDEST {
            return Err(Error::Unfit("PostgreSQL 14 or newer is needed"));
        }
        lock(&mut tx).await?;
        // Asked first: to make what is there already needs a right, too.
        let made = query("select to_regclass('wharf_views.migration')::text as name")
            .fetch_one(Conn::Postgres(&mut tx))
            .await?;
        if made.opt_text("name")?.is_none() {
            sqlx::raw_sql(
                "create schema if not exists wharf_views;
                 create table wharf_views.migration (number bigint primary key)",
            )
            .execute(&mut *tx)
            .await?;
        }
        let done = query("select coalesce(max(number), 0) as number from migration")
            .fetch_one(Conn::Postgres(&mut tx))
            .await?
            .count::<i64>("number")?;
        for (number, migration) in (1_i64..).zip(MIGRATIONS) {
            if number > done {
                sqlx::raw_sql(migration).execute(&mut *tx).await?;
                query("insert into migration (number) values ($1)")
                    .bind(number)
                    .execute(Conn::Postgres(&mut tx))
                    .await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// The readers of the generation `number`.
    pub(crate) fn db(&self, number: u64) -> Db {
        Db::postgres(choose(&self.options, &schema(self.version, number)))
    }

    /// The live generation of this version of the code; the first to ask makes it.
    pub(crate) async fn live_or_first(&self) -> Result<Live, Error> {
        let mut tx = self.pool.begin().await?;
        lock(&mut tx).await?;
        let number = match self.live_number(&mut tx).await? {
            Some(number) => number,
            None => self.make(&mut tx, "live").await?,
        };
        let (position, _) = self.checkpoint(&mut tx, number).await?;
        tx.commit().await?;
        Ok(Live { number, position })
    }

    /// The live generation of this version of the code, if there is one.
    pub(crate) async fn live(&self) -> Result<Option<Live>, Error> {
        let mut tx = self.pool.begin().await?;
        let Some(number) = self.live_number(&mut tx).await? else {
            return Ok(None);
        };
        let (position, _) = self.checkpoint(&mut tx, number).await?;
        tx.commit().await?;
        Ok(Some(Live { number, position }))
    }

    /// Makes an empty generation, which counts as abandoned once its writer is gone.
    pub(crate) async fn create(&self) -> Result<(u64, Opened), Error> {
        let mut tx = self.pool.begin().await?;
        lock(&mut tx).await?;
        let number = self.make(&mut tx, "building").await?;
        tx.commit().await?;
        let options = choose(&self.options, &schema(self.version, number));
        let writer = Writer::postgres(options, Some(builders_lock(number))).await?;
        Ok((number, (writer, Position::START)))
    }

    /// See [`super::Home::writer`].
    pub(crate) async fn writer(&self, number: u64, fence: u64) -> Result<Opened, Error> {
        let options = choose(&self.options, &schema(self.version, number));
        let mut writer = Writer::postgres(options, None).await?;
        let position = claim(writer.conn(), fence).await?;
        Ok((writer, position))
    }

    /// Makes the generation `new` the live one. Whoever writes the old one is told so at its next
    /// transaction; the lease that it writes under holds for the new one.
    pub(crate) async fn swap(&self, new: u64) -> Result<Live, Error> {
        let mut tx = self.pool.begin().await?;
        lock(&mut tx).await?;
        let old = self
            .live_number(&mut tx)
            .await?
            .ok_or(Error::Damaged("no generation is live"))?;
        if old > new {
            return Err(Error::Superseded);
        }
        // Locked from here on: no transaction of the projector comes between the look and the swap.
        enter(&mut tx, &schema(self.version, old)).await?;
        query("select 1 from checkpoint where id = 1 for update")
            .execute(Conn::Postgres(&mut tx))
            .await?;
        let (live, fence) = self.checkpoint(&mut tx, old).await?;
        query("update checkpoint set fence = $1 where id = 1")
            .bind(RETIRED.cast_signed())
            .execute(Conn::Postgres(&mut tx))
            .await?;
        let (position, _) = self.checkpoint(&mut tx, new).await?;
        if position < live {
            return Err(Error::Behind {
                live,
                new: position,
            });
        }
        query("update checkpoint set fence = $1 where id = 1")
            .bind(fence.cast_signed())
            .execute(Conn::Postgres(&mut tx))
            .await?;
        enter(&mut tx, "wharf_views").await?;
        for (number, state) in [(old, "retired"), (new, "live")] {
            query("update generation set state = $2, since = clock_timestamp() where number = $1")
                .bind(number.cast_signed())
                .bind(state)
                .execute(Conn::Postgres(&mut tx))
                .await?;
        }
        query("select pg_notify($1, 'swapped')")
            .bind(CHANNEL)
            .execute(Conn::Postgres(&mut tx))
            .await?;
        tx.commit().await?;
        Ok(Live {
            number: new,
            position,
        })
    }

    /// Whoever moves a checkpoint or swaps is heard here.
    pub(crate) async fn listen(&self) -> Result<PgListener, Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }

    /// Drops what nobody needs any more: generations that were replaced a minute ago, so that no query
    /// runs on them, rebuilds that were abandoned, and those of another version of the code of which no
    /// node has projected for a day.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let rows = query(
            "select number, version from generation
             where since < clock_timestamp() - interval '1 minute'
               and (state <> 'live'
                 or version <> $1
                 and since < clock_timestamp() - interval '1 day'
                 and not exists (
                   select 1 from lease
                   where name = 'projector/v' || version
                     and expires_at > clock_timestamp() - interval '1 day'))",
        )
        .bind(i64::from(self.version))
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            self.drop_unless_built(row.count("version")?, row.count("number")?)
                .await?;
        }
        Ok(())
    }

    /// Drops a generation, unless somebody is building it.
    async fn drop_unless_built(&self, version: u32, number: u64) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        lock(&mut tx).await?;
        let free = query("select pg_try_advisory_xact_lock($1)::int::bigint as free")
            .bind(builders_lock(number))
            .fetch_one(Conn::Postgres(&mut tx))
            .await?;
        if !free.flag("free")? {
            return Ok(());
        }
        let schema = schema(version, number);
        let drop = format!("set local lock_timeout = 2000; drop schema if exists {schema} cascade");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *tx).await?;
        query("delete from generation where number = $1")
            .bind(number.cast_signed())
            .execute(Conn::Postgres(&mut tx))
            .await?;
        tx.commit().await?;
        tracing::info!(schema, "a generation of the views was dropped");
        Ok(())
    }

    async fn live_number(&self, on: &mut PgConnection) -> Result<Option<u64>, Error> {
        query("select number from generation where version = $1 and state = 'live'")
            .bind(i64::from(self.version))
            .fetch_optional(Conn::Postgres(on))
            .await?
            .map(|row: Columns| row.count("number"))
            .transpose()
    }

    /// Position and fence of a generation, whose schema is entered.
    async fn checkpoint(
        &self,
        on: &mut PgConnection,
        number: u64,
    ) -> Result<(Position, u64), Error> {
        enter(on, &schema(self.version, number)).await?;
        let row = query("select position, fence from checkpoint where id = 1")
            .fetch_one(Conn::Postgres(on))
            .await?;
        Ok((Position(row.count("position")?), row.count("fence")?))
    }

    /// Makes the schema and the tables of one more generation.
    async fn make(&self, on: &mut PgConnection, state: &'static str) -> Result<u64, Error> {
        let number =
            query("insert into generation (version, state) values ($1, $2) returning number")
                .bind(i64::from(self.version))
                .bind(state)
                .fetch_one(Conn::Postgres(on))
                .await?
                .count("number")?;
        let schema = schema(self.version, number);
        let create = format!("create schema {schema}");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut *on)
            .await?;
        enter(on, &schema).await?;
        sqlx::raw_sql(TABLES).execute(&mut *on).await?;
        begin(Conn::Postgres(on), self.version).await?;
        enter(on, "wharf_views").await?;
        Ok(number)
    }
}

/// What the trigger on a checkpoint says: generation and position.
pub(crate) fn moved(payload: &str) -> Option<Live> {
    let (number, position) = payload.split_once(' ')?;
    Some(Live {
        number: number.parse().ok()?,
        position: Position(position.parse().ok()?),
    })
}

fn schema(version: u32, number: u64) -> String {
    format!("wharf_views_v{version}_g{number}")
}

fn builders_lock(number: u64) -> i64 {
    LOCK + number.cast_signed()
}

/// How to connect to a schema.
///
/// `plan_cache_mode`: a plan that was made while a table was small is not kept after it has grown.
/// `idle_in_transaction_session_timeout`: a node that stands still lets go of the checkpoint, which
/// another one has to take over.
fn choose(options: &PgConnectOptions, schema: &str) -> PgConnectOptions {
    options.clone().application_name("wharf").options([
        ("search_path", schema),
        ("plan_cache_mode", "force_custom_plan"),
        ("jit", "off"),
        ("idle_in_transaction_session_timeout", "3000"),
    ])
}

async fn lock(on: &mut PgConnection) -> Result<(), Error> {
    query("select pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(Conn::Postgres(on))
        .await?;
    Ok(())
}

/// What follows in this transaction is about `schema`.
async fn enter(on: &mut PgConnection, schema: &str) -> Result<(), Error> {
    query("select set_config('search_path', $1, true)")
        .bind(schema)
        .execute(Conn::Postgres(on))
        .await?;
    Ok(())
}
