//! Credentials: what the vault holds for an integration, as decisions. The secret itself never comes
//! here, only which generation of it is current.
//!
//! - [`Credential`]: the aggregate, one stream an integration.
//! - The vault is written before the event that names the generation (vault first, log second).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::kernel::{Category, Decider};

/// The vault's field under which an integration's secrets lie, as one JSON object.
pub const AUTH_FIELD: &str = "auth";

crate::events! {
    /// What happens to a credential.
    pub enum CredentialEvent {
        /// A generation of secrets became the current one.
        Stored(Stored) = "credential.stored", 1;
        /// The integration is gone and so are its secrets.
        Erased(Erased) = "credential.erased", 1;
    }
}

/// See [`CredentialEvent::Stored`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// `bearer`, `api_key`, …
    pub auth_type: String,
    /// The vault's generation, from 1.
    pub generation: u64,
    /// Names of the secret fields, never values.
    pub fields: BTreeSet<String>,
}

/// See [`CredentialEvent::Erased`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Erased {}

/// What a credential can be asked.
#[derive(Clone, Debug, PartialEq)]
pub enum CredentialCommand {
    /// The vault holds `generation`: make it the current one.
    Store {
        /// See [`Stored::auth_type`].
        auth_type: String,
        /// The vault's generation; one above the current.
        generation: u64,
        /// Names of the secret fields.
        fields: BTreeSet<String>,
    },
    /// Forget it.
    Erase,
}

/// Why a credential says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another writer stored a generation meanwhile.
    #[error("generation {given} was stored, but the next one is {next}")]
    StaleGeneration {
        /// What came.
        given: u64,
        /// What would be right.
        next: u64,
    },
    /// It was erased with its integration.
    #[error("the credential was erased")]
    Erased,
}

/// The credential of one integration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Credential {
    /// Never stored.
    #[default]
    Absent,
    /// The vault holds it.
    Active {
        /// See [`Stored::auth_type`].
        auth_type: String,
        /// The current generation.
        generation: u64,
    },
    /// Gone for ever.
    Erased,
}

impl Credential {
    /// The current generation; 0 without one.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        match self {
            Self::Absent | Self::Erased => 0,
            Self::Active { generation, .. } => *generation,
        }
    }
}

impl Decider for Credential {
    const CATEGORY: Category = Category::Credential;
    const STATE_VERSION: u32 = 1;
    type Command = CredentialCommand;
    type Event = CredentialEvent;
    type Refusal = Refusal;

    fn decide(&self, command: &CredentialCommand) -> Result<Vec<CredentialEvent>, Refusal> {
        match (self, command) {
            (Self::Erased, CredentialCommand::Erase) | (Self::Absent, CredentialCommand::Erase) => {
                Ok(vec![])
            }
            (Self::Erased, CredentialCommand::Store { .. }) => Err(Refusal::Erased),
            (Self::Active { .. }, CredentialCommand::Erase) => {
                Ok(vec![CredentialEvent::Erased(Erased {})])
            }
            (
                Self::Absent | Self::Active { .. },
                CredentialCommand::Store {
                    auth_type,
                    generation,
                    fields,
                },
            ) => {
                let next = self.generation() + 1;
                if *generation != next {
                    return Err(Refusal::StaleGeneration {
                        given: *generation,
                        next,
                    });
                }
                Ok(vec![CredentialEvent::Stored(Stored {
                    auth_type: auth_type.clone(),
                    generation: *generation,
                    fields: fields.clone(),
                })])
            }
        }
    }

    fn evolve(&mut self, event: &CredentialEvent) {
        *self = match event {
            CredentialEvent::Stored(stored) => Self::Active {
                auth_type: stored.auth_type.clone(),
                generation: stored.generation,
            },
            CredentialEvent::Erased(_) => Self::Erased,
        };
    }
}

crate::aggregate!(Credential, "credential");

#[cfg(test)]
mod tests;
