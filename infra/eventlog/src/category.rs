//! Categories as small numbers, so that a consumer's filter is one bit test per commit.

use wharf_domain::kernel::Category;

/// The number that `log.db` stores for `category`. Never change one.
pub(crate) const fn code(category: Category) -> u8 {
    match category {
        Category::Integration => 0,
        Category::Credential => 1,
        Category::Webhook => 2,
        Category::SyncRun => 3,
        Category::Delivery => 4,
        Category::Message => 5,
    }
}

/// A set of categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter(u32);

impl Filter {
    /// Those of a consumer.
    pub(crate) fn of(categories: &[Category]) -> Self {
        Self(
            categories
                .iter()
                .fold(0, |mask, &category| mask | 1 << code(category)),
        )
    }

    /// Whether `category` is one of them.
    pub(crate) const fn matches(self, category: Category) -> bool {
        self.0 & 1 << code(category) != 0
    }

    /// Bit `code(category)` is set for each of them.
    pub(crate) const fn mask(self) -> u32 {
        self.0
    }
}
