//! From the errors of domain and ports to problems: one `From` each, exhaustive, so that a new refusal
//! does not compile before it has a code.

use http::{HeaderName, HeaderValue, StatusCode, header};
use wharf_domain::{
    access::Forbidden,
    credentials, integrations,
    kernel::InvalidCommit,
    ports::{DispatchError, HttpError, LogError, Refusal, SpoolError, VaultError},
    webhooks,
};

use super::{Code, Error, internal};
use crate::{auth::TokenError, extract::Invalid};

/// Seconds after which trouble of ours is worth another try.
const SOON: u32 = 1;

impl<R: Into<Self> + std::error::Error + 'static> From<DispatchError<R>> for Error {
    fn from(error: DispatchError<R>) -> Self {
        match error {
            DispatchError::Refused(refusal) => refusal.into(),
            DispatchError::Contended(stream) => Self::new(Code::Unavailable)
                .detail("too many others change the same thing at once")
                .because(format!("the stream {stream} is contended"))
                .retry_after(SOON),
            DispatchError::InDoubt => Self::new(Code::Unavailable)
                .detail("the log did not answer in time; the change may have happened")
                .retry_after(SOON),
            DispatchError::Log(Refusal::Invalid(InvalidCommit::TooLarge(bytes))) => {
                Self::new(Code::TooLarge).detail(format!("a change of {bytes} bytes is too large"))
            }
            DispatchError::Log(Refusal::Invalid(
                invalid @ (InvalidCommit::Empty
                | InvalidCommit::TooManyEvents(_)
                | InvalidCommit::WrongExpectation
                | InvalidCommit::BrokenChain),
            )) => internal(invalid),
            DispatchError::Log(closed @ Refusal::Closed(_)) => Self::new(Code::Unavailable)
                .because(closed)
                .retry_after(SOON),
            DispatchError::Unavailable(cause) => {
                Self::new(Code::Database).because(cause).retry_after(SOON)
            }
        }
    }
}

impl From<integrations::Refusal> for Error {
    fn from(refusal: integrations::Refusal) -> Self {
        use integrations::Refusal as R;
        let text = refusal.to_string();
        match refusal {
            R::NotFound => Self::new(Code::IntegrationNotFound),
            R::Exists | R::Stale(_) => Self::new(Code::Conflict).detail(text),
            R::AlreadyRunning(_) | R::Paused => Self::new(Code::SyncFailed)
                .status(StatusCode::CONFLICT)
                .detail(text),
            R::PendingAuth | R::NeedsReauth => Self::new(Code::ReauthRequired).detail(text),
            R::InvalidName => Self::field("name", text),
            R::InvalidInterval(_) => Self::field("sync_settings.sync_interval", text),
        }
    }
}

impl From<credentials::Refusal> for Error {
    fn from(refusal: credentials::Refusal) -> Self {
        match refusal {
            credentials::Refusal::StaleGeneration { .. } => Self::new(Code::Conflict)
                .detail("another request changed the credential at the same time"),
            credentials::Refusal::Erased => Self::new(Code::IntegrationNotFound),
        }
    }
}

impl From<webhooks::Refusal> for Error {
    fn from(refusal: webhooks::Refusal) -> Self {
        use webhooks::Refusal as R;
        let text = refusal.to_string();
        match refusal {
            R::NotFound => Self::new(Code::WebhookNotFound),
            R::Exists => Self::new(Code::Conflict).detail(text),
            R::InvalidName => Self::field("name", text),
            R::InvalidEvents => Self::field("events", text),
            R::InvalidTimeout => Self::field("timeout_seconds", text),
            R::InvalidRetry => Self::field("retry_config", text),
            R::MessageTooLarge { .. } => Self::new(Code::TooLarge).detail(text),
        }
    }
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Shredded => Self::new(Code::NotFound).because(error),
            VaultError::Absent | VaultError::Sealed => internal(error),
            VaultError::Unavailable(_) => {
                Self::new(Code::Database).because(error).retry_after(SOON)
            }
        }
    }
}

impl From<SpoolError> for Error {
    fn from(error: SpoolError) -> Self {
        let text = error.to_string();
        match error {
            SpoolError::NotFound => Self::new(Code::NotFound).detail(text),
            SpoolError::WrongOffset(offset) => Self::new(Code::Conflict).detail(text).header(
                HeaderName::from_static("upload-offset"),
                HeaderValue::from(offset),
            ),
            SpoolError::TooLarge(_) => Self::new(Code::TooLarge).detail(text),
            SpoolError::Io(_) => Self::new(Code::Database).because(error).retry_after(SOON),
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(_) => Self::new(Code::Database).because(error).retry_after(SOON),
            LogError::Damaged { .. } | LogError::CheckpointLost(_) => internal(error),
        }
    }
}

impl From<wharf_projections::Error> for Error {
    fn from(error: wharf_projections::Error) -> Self {
        if error.is_passing() {
            Self::new(Code::Database).because(error).retry_after(SOON)
        } else {
            internal(error)
        }
    }
}

impl From<Forbidden> for Error {
    fn from(forbidden: Forbidden) -> Self {
        Self::new(Code::Forbidden).detail(format!(
            "this needs the role {}",
            match forbidden.needed {
                wharf_domain::access::Role::Viewer => "viewer",
                wharf_domain::access::Role::Member => "member",
                wharf_domain::access::Role::Admin => "admin",
                wharf_domain::access::Role::Operator => "operator",
            }
        ))
    }
}

impl From<TokenError> for Error {
    /// RFC 6750 §3.1: no error code where no token was sent.
    fn from(error: TokenError) -> Self {
        let challenge = match error {
            TokenError::Missing => "Bearer realm=\"wharf\"",
            TokenError::Malformed
            | TokenError::Algorithm
            | TokenError::UnknownKey
            | TokenError::Signature
            | TokenError::Expired
            | TokenError::NotYetValid
            | TokenError::Issuer
            | TokenError::Audience
            | TokenError::Claim(_) => "Bearer realm=\"wharf\", error=\"invalid_token\"",
        };
        Self::new(Code::Unauthorized)
            .detail(error.to_string())
            .header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            )
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        let (field, message) = invalid.into_parts();
        Self::field(field, message)
    }
}

/// The guard, or common sense, forbids a caller's URL.
pub(crate) fn url_refused(error: &HttpError) -> Error {
    Error::field("url", error.to_string())
}
