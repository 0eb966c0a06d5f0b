//! The query string.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::strict::Parameters;
use crate::{
    problem::Error,
    state::{ApiOptions, App},
};

/// Parameters as a closed struct; each at most once.
pub(crate) struct Query<T>(pub(crate) T);

/// Reads `query`.
pub(super) fn read<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    let mut parameters = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let name = name.into_owned();
        if parameters.contains_key(&name) {
            return Err(Error::field(name, "given twice"));
        }
        parameters.insert(name, value.into_owned());
    }
    Ok(T::deserialize(Parameters(parameters.into_iter()))?)
}

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Error> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// A page that was asked for, within its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    /// From 1.
    pub(crate) page: u32,
    /// Rows a page.
    pub(crate) size: u32,
}

impl Pages {
    /// The page that `page` and `size` name.
    ///
    /// # Errors
    /// `F40022` outside 1.. and 1..=`max_page_size`.
    pub(crate) fn of(
        page: Option<u32>,
        size: Option<u32>,
        options: &ApiOptions,
    ) -> Result<Self, Error> {
        let page = page.unwrap_or(1);
        if !(1..=MAX_PAGE).contains(&page) {
            return Err(Error::field("page", format!("expected 1 to {MAX_PAGE}")));
        }
        Ok(Self {
            page,
            size: size_of(size, options)?,
        })
    }
}

/// Pages beyond this would only make the database count.
const MAX_PAGE: u32 = 1_000_000;

/// The number of rows that `size` names.
///
/// # Errors
/// `F40022` outside 1..=`max_page_size`.
pub(crate) fn size_of(size: Option<u32>, options: &ApiOptions) -> Result<u32, Error> {
    let size = size.unwrap_or(options.page_size);
    if (1..=options.max_page_size).contains(&size) {
        Ok(size)
    } else {
        Err(Error::field(
            "size",
            format!("expected 1 to {}", options.max_page_size),
        ))
    }
}

impl From<Pages> for wharf_projections::Page {
    fn from(Pages { page, size }: Pages) -> Self {
        Self { page, size }
    }
}
