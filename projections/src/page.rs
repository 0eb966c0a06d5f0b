//! The contract's paging: `page` from 1, `size` rows each.

/// A page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub page: u32,
    /// Rows on it.
    pub size: u32,
}

impl Page {
    /// The first `size` rows.
    #[must_use]
    pub const fn first(size: u32) -> Self {
        Self { page: 1, size }
    }

    pub(crate) fn limit(self) -> i64 {
        i64::from(self.size)
    }

    pub(crate) fn offset(self) -> i64 {
        i64::from(self.page.saturating_sub(1)) * i64::from(self.size)
    }
}
