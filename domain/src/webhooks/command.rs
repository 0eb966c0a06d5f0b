//! What a webhook can be asked.

use super::{event::Updated, webhook::Definition};

/// What a webhook can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookCommand {
    /// Begin to exist.
    Create(Create),
    /// Change what is `Some`.
    Change(Change),
    /// Stop: the receiver said that it is gone.
    Disable {
        /// For people.
        reason: String,
    },
    /// End to exist.
    Delete,
}

/// See [`WebhookCommand::Create`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// What it is to be; secrets are in the vault already.
    pub definition: Definition,
    /// Last four characters of the signing secret.
    pub secret_hint: String,
    /// The token's `sub`.
    pub created_by: String,
}

/// See [`WebhookCommand::Change`].
pub type Change = Updated;
