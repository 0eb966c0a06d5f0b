//! Many rows in one statement: how projectors write, and look up what they fold upon.
//!
//! A statement is `head`, the rows as a table whose columns are `column1`, `column2`, …, and `tail`. The
//! rows are what the engines do not write alike:
//!
//! - `SQLite`: `values (?,?),(?,?)`. `in (values …)` over several columns makes it walk through the
//!   table, and so may `join`; `cross join` goes from the values to the rows. Rows are sent in groups of a
//!   few fixed sizes, so that each text is prepared once; a statement a row costs a hand-over to the data
//!   base's thread a row.
//! - `PostgreSQL`: `select * from unnest($1, $2)`, an array a column: one text for however many rows, and
//!   as many parameters as there are columns.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use sqlx::{
    Arguments as _, AssertSqlSafe, error::BoxDynError, postgres::PgArguments,
    sqlite::SqliteArguments,
};
use uuid::Uuid;
use wharf_domain::kernel::Timestamp;

use crate::{
    Error,
    columns::Columns,
    db::{Conn, Value},
};

/// Rows in one statement of `SQLite`, largest first, as far as the limit on values allows. Large, since
/// it keeps a copy of each page that a statement is the first to touch, and keys are random.
const SIZES: [usize; 5] = [2048, 512, 64, 8, 1];
/// Most values in one statement of `SQLite`.
const MAX_VALUES: usize = 32_766;
/// Most rows in one statement of `PostgreSQL`: what is in memory three times, as arrays, as a message and
/// on the server.
const MAX_ROWS: usize = 8192;

/// A statement over many rows of values.
pub(crate) struct Bulk {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    sqlite: [OnceLock<Arc<str>>; SIZES.len()],
    postgres: OnceLock<Arc<str>>,
}

/// The values of a group of rows, as one engine takes them.
pub(crate) struct Binds<'b> {
    to: To<'b>,
    failed: Option<BoxDynError>,
}

enum To<'b> {
    Sqlite(&'b mut SqliteArguments),
    Postgres(&'b mut Arrays),
}

/// The values of a group, a column after the other.
struct Arrays {
    columns: Vec<Array>,
    width: usize,
    /// Values so far.
    len: usize,
    /// Rows to come.
    rows: usize,
}

enum Array {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// A statement's text and its values.
type Group<A> = Option<Result<(Arc<str>, A), sqlx::Error>>;

/// Sends one group after the other. While the data base works on one, the next is made.
macro_rules! send_all {
    ($to:expr, $group:expr) => {{
        let mut ready = $group;
        while let Some(group) = ready {
            let (text, arguments) = group?;
            let sent = sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut **$to);
            let (done, next) = tokio::join!(sent, async { $group });
            done?;
            ready = next;
        }
    }};
}

/// Asks with one group after the other.
macro_rules! ask_all {
    ($from:expr, $group:expr, $columns:path, $take:expr) => {
        while let Some(group) = $group {
            let (text, arguments) = group?;
            let query = sqlx::query_with(AssertSqlSafe(text), arguments);
            for row in query.fetch_all(&mut **$from).await? {
                $take(&$columns(row))?;
            }
        }
    };
}

impl Bulk {
    /// `head`, a table of `columns` columns, `tail`.
    pub(crate) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self {
            head,
            columns,
            tail,
            sqlite: [const { OnceLock::new() }; SIZES.len()],
            postgres: OnceLock::new(),
        }
    }

    /// Executes the statement over all `rows`; `bind` gives each one's values in order.
    pub(crate) async fn execute<T>(
        &self,
        to: &mut Conn<'_>,
        rows: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut bind: impl FnMut(T, &mut Binds<'_>),
    ) -> Result<(), sqlx::Error> {
        let mut rows = rows.into_iter();
        match to {
            Conn::Sqlite(to) => send_all!(to, self.values(&mut rows, &mut bind)),
            Conn::Postgres(to) => send_all!(to, self.arrays(&mut rows, &mut bind)),
        }
        Ok(())
    }

    /// Asks the statement over all `keys`, and gives each row of the answers to `take`.
    pub(crate) async fn fetch<T>(
        &self,
        from: &mut Conn<'_>,
        keys: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut bind: impl FnMut(T, &mut Binds<'_>),
        mut take: impl FnMut(&Columns) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut keys = keys.into_iter();
        match from {
            Conn::Sqlite(from) => {
                ask_all!(
                    from,
                    self.values(&mut keys, &mut bind),
                    Columns::Sqlite,
                    take
                );
            }
            Conn::Postgres(from) => {
                ask_all!(
                    from,
                    self.arrays(&mut keys, &mut bind),
                    Columns::Postgres,
                    take
                );
            }
        }
        Ok(())
    }

    /// The next group for `SQLite`.
    fn values<T>(
        &self,
        rows: &mut impl ExactSizeIterator<Item = T>,
        bind: &mut impl FnMut(T, &mut Binds<'_>),
    ) -> Group<SqliteArguments> {
        let left = rows.len();
        let (size, text) = SIZES
            .into_iter()
            .zip(&self.sqlite)
            .find(|(size, _)| *size <= left && size * self.columns <= MAX_VALUES)?;
        let mut arguments = SqliteArguments::default();
        arguments.reserve(size * self.columns, 0);
        let bound = bind_all(To::Sqlite(&mut arguments), rows.take(size), bind);
        let text = text.get_or_init(|| self.render_values(size));
        Some(bound.map(|()| (Arc::clone(text), arguments)))
    }

    /// The next group for `PostgreSQL`.
    fn arrays<T>(
        &self,
        rows: &mut impl ExactSizeIterator<Item = T>,
        bind: &mut impl FnMut(T, &mut Binds<'_>),
    ) -> Group<PgArguments> {
        let size = rows.len().min(MAX_ROWS);
        if size == 0 {
            return None;
        }
        let mut arrays = Arrays {
            columns: Vec::with_capacity(self.columns),
            width: self.columns,
            len: 0,
            rows: size,
        };
        let bound = bind_all(To::Postgres(&mut arrays), rows.take(size), bind)
            .and_then(|()| arrays.finish());
        let text = self.postgres.get_or_init(|| self.render_arrays());
        Some(bound.map(|arguments| (Arc::clone(text), arguments)))
    }

    /// Placeholders are `?`, not `$n`: SQLite looks a named one up by walking all of them, which makes
    /// a wide statement quadratic.
    pub(crate) fn render_values(&self, rows: usize) -> Arc<str> {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        let rows = vec![row; rows].join(",");
        format!("{}values {rows}{}", self.head, self.tail).into()
    }

    fn render_arrays(&self) -> Arc<str> {
        let list = |prefix: &str| {
            let columns: Vec<_> = (1..=self.columns).map(|n| format!("{prefix}{n}")).collect();
            columns.join(",")
        };
        let (arrays, columns) = (list("$"), list("column"));
        format!(
            "{}select * from unnest({arrays}) as given({columns}){}",
            self.head, self.tail
        )
        .into()
    }
}

fn bind_all<T>(
    to: To<'_>,
    rows: impl Iterator<Item = T>,
    bind: &mut impl FnMut(T, &mut Binds<'_>),
) -> Result<(), sqlx::Error> {
    let mut binds = Binds { to, failed: None };
    for row in rows {
        bind(row, &mut binds);
    }
    match binds.failed {
        None => Ok(()),
        Some(error) => Err(sqlx::Error::Encode(error)),
    }
}

impl Arrays {
    fn push(&mut self, value: Value<'_>) -> Result<(), BoxDynError> {
        let column = self.len % self.width;
        self.len += 1;
        if column == self.columns.len() {
            self.columns.push(match value {
                Value::Int(_) => Array::Int(Vec::with_capacity(self.rows)),
                Value::Text(_) | Value::Shared(_) => Array::Text(Vec::with_capacity(self.rows)),
                Value::Bytes(_) => Array::Bytes(Vec::with_capacity(self.rows)),
            });
        }
        match (self.columns.get_mut(column), value) {
            (Some(Array::Int(to)), Value::Int(value)) => to.push(value),
            (Some(Array::Text(to)), Value::Text(value)) => to.push(value.map(Cow::into_owned)),
            (Some(Array::Text(to)), Value::Shared(value)) => to.push(Some(value.to_string())),
            (Some(Array::Bytes(to)), Value::Bytes(value)) => to.push(value.map(<[u8]>::to_vec)),
            (Some(_) | None, _) => return Err("a column has values of two types".into()),
        }
        Ok(())
    }

    fn finish(self) -> Result<PgArguments, sqlx::Error> {
        let mut arguments = PgArguments::default();
        for column in self.columns {
            match column {
                Array::Int(values) => arguments.add(values),
                Array::Text(values) => arguments.add(values),
                Array::Bytes(values) => arguments.add(values),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

impl Binds<'_> {
    fn add(&mut self, value: Value<'_>) {
        let added = match &mut self.to {
            To::Sqlite(arguments) => value.add_to::<sqlx::Sqlite>(arguments),
            To::Postgres(arrays) => arrays.push(value),
        };
        if let Err(error) = added {
            self.failed = Some(error);
        }
    }

    pub(crate) fn int(&mut self, value: i64) {
        self.add(value.into());
    }

    pub(crate) fn opt_int(&mut self, value: Option<i64>) {
        self.add(value.into());
    }

    /// Counts and positions; they stay far below 2^63.
    pub(crate) fn count(&mut self, value: u64) {
        self.int(value.cast_signed());
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.int(i64::from(value));
    }

    pub(crate) fn time(&mut self, value: Timestamp) {
        self.int(value.as_microsecond());
    }

    pub(crate) fn opt_time(&mut self, value: Option<Timestamp>) {
        self.opt_int(value.map(Timestamp::as_microsecond));
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.add(value.into());
    }

    /// Text that many rows share.
    pub(crate) fn shared(&mut self, value: &Arc<str>) {
        self.add(Value::Shared(value));
    }

    pub(crate) fn opt_text(&mut self, value: Option<&str>) {
        self.add(value.into());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.add(value.into());
    }

    pub(crate) fn uuid(&mut self, value: Uuid) {
        self.bytes(value.as_bytes());
    }

    pub(crate) fn opt_uuid(&mut self, value: Option<Uuid>) {
        self.add(value.as_ref().map(|id| id.as_bytes().as_slice()).into());
    }

    pub(crate) fn opt_json<T: serde::Serialize>(&mut self, value: Option<&T>) {
        match value {
            Some(value) => self.json(value),
            None => self.opt_text(None),
        }
    }

    /// An enum by its serde name, as [`crate::columns::Columns::name`] reads it.
    pub(crate) fn name<T: serde::Serialize>(&mut self, value: &T) {
        match serde_json::to_value(value) {
            Ok(serde_json::Value::String(name)) => self.add(Value::text(name)),
            Ok(_) => self.failed = Some("only a plain enum has a name".into()),
            Err(error) => self.failed = Some(Box::new(error)),
        }
    }

    /// A value of ours always has a JSON form.
    pub(crate) fn json<T: serde::Serialize>(&mut self, value: &T) {
        match serde_json::to_string(value) {
            Ok(text) => self.add(Value::Text(Some(text.into()))),
            Err(error) => self.failed = Some(Box::new(error)),
        }
    }
}
