//! Problems: the one table of every result code, and the only place where an error becomes HTTP.
//!
//! - [`Problem`]: a row, what `wharf explain CODE` prints.
//! - [`Error`]: what a handler gives up with; `convert` makes it from the errors of the ports.
//! - [`render`]: turns it into the envelope, once, where the request's id is known.
//!
//! Nothing else in this crate chooses a status or a code.

mod convert;
mod error;
#[cfg(test)]
mod tests;

pub(crate) use convert::url_refused;
pub(crate) use error::{Error, ProblemEnvelope, internal, render};

/// One result code of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable, e.g. `F40022`.
    pub code: &'static str,
    /// HTTP statuses it comes with; the first unless the situation says otherwise.
    pub statuses: &'static [u16],
    /// What it means, lower case.
    pub title: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Every result code, in the order of the contract.
#[must_use]
pub const fn problems() -> &'static [Problem] {
    TABLE
}

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident = $code:literal [$($status:literal),+] $title:literal, $remedy:literal;)+) => {
        /// A row of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $($(#[$doc])* $name,)+
        }

        const TABLE: &[Problem] = &[$(Code::$name.problem(),)+];

        impl Code {
            /// The row.
            pub(crate) const fn problem(self) -> Problem {
                match self {
                    $(Self::$name => Problem {
                        code: $code,
                        statuses: &[$($status),+],
                        title: $title,
                        remedy: $remedy,
                    },)+
                }
            }
        }
    };
}

table! {
    /// It worked.
    Success = "S10000" [200, 201, 202] "success",
        "nothing to do";
    /// Not JSON at all.
    Malformed = "F40000" [400] "malformed JSON or header",
        "send valid JSON in UTF-8, at most 128 levels deep; the detail says where it breaks";
    /// Nobody we know.
    Unauthorized = "F40001" [401] "unauthorized",
        "send a valid token as `Authorization: Bearer <token>`; for development `wharf token` makes one";
    /// Known, but not allowed.
    Forbidden = "F40003" [403] "insufficient permission",
        "use a token whose `roles` include the role that the detail names";
    /// Nothing there, or another project's.
    NotFound = "F40004" [404, 405] "resource not found",
        "check the path, the method and the id; a token only ever sees its own project";
    /// The world changed meanwhile.
    Conflict = "F40009" [409] "conflict with the current state",
        "read the resource again, then repeat the request with its new ETag or offset";
    /// Too many bytes.
    TooLarge = "F40013" [413] "payload too large",
        "send less: the detail names the limit; files go through the import route";
    /// Not a type that is read here.
    MediaType = "F40015" [415] "unsupported media type",
        "send `Content-Type: application/json`, on PATCH also `application/merge-patch+json`";
    /// A field or parameter is wrong.
    Invalid = "F40022" [422] "request parameter validation failed",
        "correct the fields named in `errors`; unknown fields and parameters are refused";
    /// Too many requests.
    RateLimited = "F40029" [429] "rate limited",
        "wait for `Retry-After` seconds, then repeat the request";
    /// No such webhook.
    WebhookNotFound = "F42301" [404] "webhook not found",
        "list the project's webhooks with GET /api/v1/webhooks";
    /// No such plugin.
    PluginNotFound = "F42302" [404] "plugin not found",
        "list the project's plugins with GET /api/v1/plugins";
    /// No such integration.
    IntegrationNotFound = "F42303" [404] "integration not found",
        "list the project's integrations with GET /api/v1/integrations";
    /// The platform's schema says no.
    ConfigurationInvalid = "F42304" [422] "configuration invalid",
        "compare with GET /api/v1/integrations/types/{integration_type}/schema; `errors` points into the body";
    /// A run cannot start, or failed.
    SyncFailed = "F42305" [502, 409] "sync failed",
        "409: wait for the open run or repeat with force; 502: see the run's error, then start another";
    /// A plugin is no plugin.
    PluginInstallFailed = "F42306" [422] "plugin install failed",
        "correct the package as the detail says";
    /// The receiver did not take it.
    WebhookFailed = "F42307" [502] "webhook execution failed",
        "make the receiver answer 2xx in time; the attempt is in the webhook's logs";
    /// The account must be connected again.
    ReauthRequired = "F42308" [409] "re-authorization required",
        "send a new auth_config to the integration";
    /// The platform is the limit.
    ProviderRateLimited = "F42309" [503] "platform rate limit reached",
        "wait for `Retry-After` seconds; scheduled runs go on by themselves";
    /// One key, two requests.
    KeyReused = "F42310" [422] "idempotency key reused with another request",
        "use a new Idempotency-Key for a new request";
    /// Our fault.
    Internal = "F50000" [500] "internal error",
        "repeat the request; if it stays, give the operator the request id";
    /// The log, the vault or the views cannot be reached.
    Database = "F50401" [503] "database error",
        "repeat the request after `Retry-After` seconds; operators: `wharf doctor`";
    /// A cache cannot be reached.
    Cache = "F50402" [503] "cache error",
        "repeat the request after `Retry-After` seconds";
    /// Overloaded, starting, stopping, or not caught up.
    Unavailable = "F50403" [503] "integration service unavailable",
        "repeat the request after `Retry-After` seconds, with the same Idempotency-Key";
}
