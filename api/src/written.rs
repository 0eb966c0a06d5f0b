//! What a write answers: the row it made, or, if the views lag, only its name and position.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Answer of a write whose row the views do not show yet: it is durable all the same.
#[derive(Serialize, ToSchema)]
pub(crate) struct Pending {
    /// What was written.
    pub(crate) id: Uuid,
    /// Read it with `?after=` this position.
    pub(crate) position: u64,
    /// A new webhook's signing secret, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

/// Answer of a write.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Written<T> {
    /// As the views show it.
    Shown(T),
    /// They do not yet.
    Pending(Pending),
}

/// Answer of a deletion.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// What is gone.
    pub(crate) id: Uuid,
    /// Always true.
    pub(crate) deleted: bool,
}
