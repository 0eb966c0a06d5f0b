//! A value to be bound, whichever engine takes it. Made by `statement` and `bulk`.

use std::{borrow::Cow, sync::Arc};

use sqlx::{Arguments, Database, Encode, Type, error::BoxDynError};

/// A value of one of the three kinds that columns have.
pub(crate) enum Value<'v> {
    Int(Option<i64>),
    Text(Option<Cow<'v, str>>),
    /// Text that many rows share; `SQLite` does not copy it.
    Shared(&'v Arc<str>),
    Bytes(Option<&'v [u8]>),
}

impl<'v> Value<'v> {
    /// `PostgreSQL` has no text with a NUL in it, so neither engine keeps one: answers are the same.
    pub(crate) fn text(text: impl Into<Cow<'v, str>>) -> Self {
        let text = text.into();
        Self::Text(Some(if text.contains('\0') {
            text.replace('\0', "\u{fffd}").into()
        } else {
            text
        }))
    }

    /// Appends it to the arguments of a statement.
    pub(crate) fn add_to<DB: Database>(
        self,
        arguments: &mut DB::Arguments,
    ) -> Result<(), BoxDynError>
    where
        Option<i64>: Encode<'v, DB> + Type<DB>,
        Option<&'v str>: Encode<'v, DB> + Type<DB>,
        &'v str: Encode<'v, DB> + Type<DB>,
        String: Encode<'v, DB> + Type<DB>,
        Arc<str>: Encode<'v, DB> + Type<DB>,
        Option<&'v [u8]>: Encode<'v, DB> + Type<DB>,
    {
        match self {
            Self::Int(value) => arguments.add(value),
            Self::Text(None) => arguments.add(None::<&str>),
            Self::Text(Some(Cow::Borrowed(value))) => arguments.add(value),
            Self::Text(Some(Cow::Owned(value))) => arguments.add(value),
            Self::Shared(value) => arguments.add(Arc::clone(value)),
            Self::Bytes(value) => arguments.add(value),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(value: &'v str) -> Self {
        Self::text(value)
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(value: Option<&'v str>) -> Self {
        value.map_or(Self::Text(None), Self::text)
    }
}

impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(value: &'v [u8]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'v> From<Option<&'v [u8]>> for Value<'v> {
    fn from(value: Option<&'v [u8]>) -> Self {
        Self::Bytes(value)
    }
}
