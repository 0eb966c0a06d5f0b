//! Where a subscriber is in the log.

use std::fmt;

use wharf_domain::kernel::Position;

use crate::problem::Error;

/// After this event: `position.index`, or after a whole commit: `position`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    position: Position,
    /// The last event seen of the commit; none is all of them.
    index: Option<u32>,
}

impl Cursor {
    /// After event `index` of the commit at `position`.
    pub(super) const fn event(position: Position, index: u32) -> Self {
        Self {
            position,
            index: Some(index),
        }
    }

    /// After the whole commit at `position`.
    pub(super) const fn commit(position: Position) -> Self {
        Self {
            position,
            index: None,
        }
    }

    /// The cursor in `text`, if it is one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (position, index) = match text.split_once('.') {
            Some((position, index)) => (position, Some(number(index)?)),
            None => (text, None),
        };
        Some(Self {
            position: Position(number(position)?),
            index,
        })
    }

    /// The cursor in parameter `name`; the beginning without one.
    ///
    /// # Errors
    /// `F40022`.
    pub(crate) fn parameter(name: &str, text: Option<&str>) -> Result<Self, Error> {
        match text {
            None => Ok(Self::default()),
            Some(text) => Self::parse(text).ok_or_else(|| {
                Error::field(
                    name,
                    "expected a position such as 42, or position.index such as 42.0",
                )
            }),
        }
    }

    /// Where the log is read on: a commit that was seen in part is read again.
    pub(super) const fn read_after(self) -> Position {
        match self.index {
            Some(_) => Position(self.position.0.saturating_sub(1)),
            None => self.position,
        }
    }

    /// Whether the event was seen.
    pub(super) fn has_seen(self, position: Position, index: u32) -> bool {
        position < self.position
            || position == self.position && self.index.is_none_or(|seen| index <= seen)
    }
}

/// Digits only: `parse` alone would take `+1`.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}.{index}", self.position),
            None => write!(f, "{}", self.position),
        }
    }
}
