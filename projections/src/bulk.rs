//! Many rows in one statement: how projectors write, and look up what they fold upon.
//!
//! A statement is `head (…), (…), … tail`, where `tail` names the values `column1`, `column2`, … as
//! both engines do. `in (values …)` over several columns makes SQLite walk through the table, and so
//! may `join`; `cross join` goes from the values to the rows. Rows are sent in groups of a few fixed
//! sizes, so that each text is prepared once; a statement a row costs a hand-over to the data base's
//! thread a row.

use std::sync::{Arc, OnceLock};

use sqlx::{
    Arguments as _, AssertSqlSafe, SqliteConnection,
    error::BoxDynError,
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;
use wharf_domain::kernel::Timestamp;

use crate::Error;

/// Rows in one statement, largest first, as far as the limit on values allows. Large, since SQLite keeps
/// a copy of each page that a statement is the first to touch, and keys are random.
const SIZES: [usize; 5] = [2048, 512, 64, 8, 1];
/// Most values in one statement of SQLite.
const MAX_VALUES: usize = 32_766;

/// A statement over many rows of values.
pub(crate) struct Bulk {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    texts: [OnceLock<Arc<str>>; SIZES.len()],
}

/// The values of a group of rows.
#[derive(Default)]
pub(crate) struct Binds {
    arguments: SqliteArguments,
    failed: Option<BoxDynError>,
}

impl Bulk {
    /// `head (…), (…) tail`, each row of `columns` values.
    pub(crate) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self {
            head,
            columns,
            tail,
            texts: [const { OnceLock::new() }; SIZES.len()],
        }
    }

    /// Executes the statement over all `rows`; `bind` gives each one's values in order.
    pub(crate) async fn execute<T>(
        &self,
        to: &mut SqliteConnection,
        rows: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut bind: impl FnMut(T, &mut Binds),
    ) -> Result<(), sqlx::Error> {
        let mut rows = rows.into_iter();
        let mut ready = self.group(&mut rows, &mut bind);
        while let Some((text, binds)) = ready {
            let sent = sqlx::query_with(AssertSqlSafe(text), binds.finish()?).execute(&mut *to);
            // While the data base works on one group, the next one is made.
            let (done, next) = tokio::join!(sent, async { self.group(&mut rows, &mut bind) });
            done?;
            ready = next;
        }
        Ok(())
    }

    /// Asks the statement over all `keys`, and gives each row of the answers to `take`.
    pub(crate) async fn fetch<T>(
        &self,
        from: &mut SqliteConnection,
        keys: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut bind: impl FnMut(T, &mut Binds),
        mut take: impl FnMut(&SqliteRow) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut keys = keys.into_iter();
        while let Some((text, binds)) = self.group(&mut keys, &mut bind) {
            let rows = sqlx::query_with(AssertSqlSafe(text), binds.finish()?)
                .fetch_all(&mut *from)
                .await?;
            for row in &rows {
                take(row)?;
            }
        }
        Ok(())
    }

    fn group<T>(
        &self,
        rows: &mut impl ExactSizeIterator<Item = T>,
        bind: &mut impl FnMut(T, &mut Binds),
    ) -> Option<(Arc<str>, Binds)> {
        let left = rows.len();
        let (size, text) = SIZES
            .into_iter()
            .zip(&self.texts)
            .find(|(size, _)| *size <= left && size * self.columns <= MAX_VALUES)?;
        let mut binds = Binds::default();
        binds.arguments.reserve(size * self.columns, 0);
        for row in rows.take(size) {
            bind(row, &mut binds);
        }
        let text = text.get_or_init(|| self.render(size));
        Some((Arc::clone(text), binds))
    }

    /// Placeholders are `?`, not `$n`: SQLite looks a named one up by walking all of them, which makes
    /// a wide statement quadratic. `PostgreSQL` takes `$n` only, and binds by number.
    pub(crate) fn render(&self, rows: usize) -> Arc<str> {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{}{}{}", self.head, vec![row; rows].join(","), self.tail).into()
    }
}

impl Binds {
    fn add<'t, T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(&mut self, value: T) {
        if let Err(error) = self.arguments.add(value) {
            self.failed = Some(error);
        }
    }

    fn finish(self) -> Result<SqliteArguments, sqlx::Error> {
        match self.failed {
            None => Ok(self.arguments),
            Some(error) => Err(sqlx::Error::Encode(error)),
        }
    }

    pub(crate) fn int(&mut self, value: i64) {
        self.add(value);
    }

    pub(crate) fn opt_int(&mut self, value: Option<i64>) {
        self.add(value);
    }

    /// Counts and positions; they stay far below 2^63.
    pub(crate) fn count(&mut self, value: u64) {
        self.add(value.cast_signed());
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.add(i64::from(value));
    }

    pub(crate) fn time(&mut self, value: Timestamp) {
        self.add(value.as_microsecond());
    }

    pub(crate) fn opt_time(&mut self, value: Option<Timestamp>) {
        self.add(value.map(Timestamp::as_microsecond));
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.add(value);
    }

    /// Text that many rows share; not copied.
    pub(crate) fn shared(&mut self, value: &Arc<str>) {
        self.add(Arc::clone(value));
    }

    pub(crate) fn opt_text(&mut self, value: Option<&str>) {
        self.add(value);
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.add(value);
    }

    pub(crate) fn uuid(&mut self, value: Uuid) {
        self.add(value.as_bytes().as_slice());
    }

    pub(crate) fn opt_uuid(&mut self, value: Option<Uuid>) {
        self.add(value.map(|id| id.into_bytes().to_vec()));
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
            Ok(serde_json::Value::String(name)) => self.add(name),
            Ok(_) => self.failed = Some("only a plain enum has a name".into()),
            Err(error) => self.failed = Some(Box::new(error)),
        }
    }

    /// A value of ours always has a JSON form.
    pub(crate) fn json<T: serde::Serialize>(&mut self, value: &T) {
        match serde_json::to_string(value) {
            Ok(text) => self.add(text),
            Err(error) => self.failed = Some(Box::new(error)),
        }
    }
}
