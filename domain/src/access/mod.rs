//! Who calls, and what they may do: roles behind one [`authorize`].

use crate::kernel::ProjectId;

/// What a caller may do in a project; each role includes the ones before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also starts syncs, imports files, sends events, tests webhooks.
    Member,
    /// Also creates, changes and deletes integrations and webhooks.
    Admin,
    /// Runs the hub: also reads its metrics from elsewhere than this machine.
    Operator,
}

impl Role {
    /// As in a token.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "member" => Ok(Self::Member),
            "admin" => Ok(Self::Admin),
            "operator" => Ok(Self::Operator),
            _ => Err(()),
        }
    }
}

/// A caller whose token was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The only project whose data this caller ever sees (invariant 13).
    pub project: ProjectId,
    /// The token's `sub`.
    pub subject: String,
    /// The highest role that the token gives.
    pub role: Role,
}

impl Caller {
    /// As commits name who acted.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("user:{}", self.subject)
    }
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads anything of the project.
    Read,
    /// Starts a sync, an import, a test delivery, or sends an event.
    Run,
    /// Creates, changes, deletes.
    Manage,
    /// Looks at the hub itself.
    Operate,
}

/// The caller's role does not include the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this needs the role {needed:?}")]
pub struct Forbidden {
    /// The least role that does.
    pub needed: Role,
}

/// The one place where policy is decided.
///
/// # Errors
/// [`Forbidden`] names the role that is missing.
pub fn authorize(caller: &Caller, action: Action) -> Result<(), Forbidden> {
    let needed = match action {
        Action::Read => Role::Viewer,
        Action::Run => Role::Member,
        Action::Manage => Role::Admin,
        Action::Operate => Role::Operator,
    };
    if caller.role >= needed {
        Ok(())
    } else {
        Err(Forbidden { needed })
    }
}

#[cfg(test)]
mod tests;
