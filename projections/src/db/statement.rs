//! One statement, one text for both engines: `query("select …").bind(…).fetch_all(db)`, as with sqlx,
//! which has no such thing for two of them (its `Any` knows neither blobs nor nulls of a kind).

use sqlx::{PgPool, SqlitePool, postgres::PgArguments, sqlite::SqliteArguments};

use super::{Conn, Db, Moment, Value, readers::Readers};
use crate::columns::Columns;

/// A statement and its values.
#[must_use = "a statement does nothing until it is executed or fetched from"]
pub(crate) struct Query<'q> {
    sql: &'static str,
    values: Vec<Value<'q>>,
}

/// What a statement can be sent to.
pub(crate) enum Source<'s> {
    Sqlite(&'s SqlitePool),
    Postgres(&'s PgPool),
    Conn(Conn<'s>),
}

/// A statement with `$1`, `$2`, … in it.
pub(crate) fn query<'q>(sql: &'static str) -> Query<'q> {
    Query {
        sql,
        values: vec![],
    }
}

impl<'q> Query<'q> {
    /// The next value.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Every row of the answer.
    pub(crate) async fn fetch_all<'s>(
        self,
        from: impl Into<Source<'s>>,
    ) -> Result<Vec<Columns>, sqlx::Error> {
        macro_rules! rows {
            ($to:expr, $arguments:expr, $columns:path) => {{
                let rows = sqlx::query_with(self.sql, $arguments)
                    .fetch_all($to)
                    .await?;
                Ok(rows.into_iter().map($columns).collect())
            }};
        }
        match from.into() {
            Source::Sqlite(pool) => rows!(pool, sqlite(self.values)?, Columns::Sqlite),
            Source::Postgres(pool) => rows!(pool, postgres(self.values)?, Columns::Postgres),
            Source::Conn(Conn::Sqlite(to)) => rows!(to, sqlite(self.values)?, Columns::Sqlite),
            Source::Conn(Conn::Postgres(to)) => {
                rows!(to, postgres(self.values)?, Columns::Postgres)
            }
        }
    }

    /// The first row of the answer, if there is one. Ask for one only.
    pub(crate) async fn fetch_optional<'s>(
        self,
        from: impl Into<Source<'s>>,
    ) -> Result<Option<Columns>, sqlx::Error> {
        Ok(self.fetch_all(from).await?.into_iter().next())
    }

    /// The one row of the answer.
    pub(crate) async fn fetch_one<'s>(
        self,
        from: impl Into<Source<'s>>,
    ) -> Result<Columns, sqlx::Error> {
        self.fetch_optional(from)
            .await?
            .ok_or(sqlx::Error::RowNotFound)
    }

    /// Executes it; answers how many rows it changed.
    pub(crate) async fn execute(self, on: Conn<'_>) -> Result<u64, sqlx::Error> {
        Ok(match on {
            Conn::Sqlite(to) => {
                let statement = sqlx::query_with(self.sql, sqlite(self.values)?);
                statement.execute(to).await?.rows_affected()
            }
            Conn::Postgres(to) => {
                let statement = sqlx::query_with(self.sql, postgres(self.values)?);
                statement.execute(to).await?.rows_affected()
            }
        })
    }
}

fn sqlite(values: Vec<Value<'_>>) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        value
            .add_to::<sqlx::Sqlite>(&mut arguments)
            .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn postgres(values: Vec<Value<'_>>) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for value in values {
        value
            .add_to::<sqlx::Postgres>(&mut arguments)
            .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

impl<'s> From<&'s Db> for Source<'s> {
    fn from(db: &'s Db) -> Self {
        match &db.readers {
            Readers::Sqlite { pool, .. } => Self::Sqlite(pool),
            Readers::Postgres(pool) => Self::Postgres(pool),
        }
    }
}

impl<'s> From<&'s mut Moment> for Source<'s> {
    fn from(moment: &'s mut Moment) -> Self {
        Self::Conn(moment.conn())
    }
}

impl<'s> From<&'s PgPool> for Source<'s> {
    fn from(pool: &'s PgPool) -> Self {
        Self::Postgres(pool)
    }
}

impl<'s> From<Conn<'s>> for Source<'s> {
    fn from(conn: Conn<'s>) -> Self {
        Self::Conn(conn)
    }
}
