//! What a handler gives up with, and how it becomes an answer.

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use wharf_domain::kernel::with_causes;

use super::Code;

/// One wrong field or parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct FieldError {
    /// Where: a field (`retry_config.max_retries`), a parameter, or a JSON pointer into the body.
    #[schema(example = "url")]
    pub(crate) field: String,
    /// What is wrong with it; never its value.
    #[schema(example = "required")]
    pub(crate) message: String,
}

/// What `content` says of a problem.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ProblemContent {
    /// What the code means.
    title: &'static str,
    /// What is wrong this time.
    #[schema(nullable)]
    detail: Option<String>,
    /// What to do.
    remedy: &'static str,
    /// Wrong fields and parameters.
    errors: Vec<FieldError>,
    /// Names the request in our logs.
    request_id: String,
    /// Where the code is documented.
    docs: String,
}

/// The envelope of every answer that is no success.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ProblemEnvelope {
    /// Stable code; see the problem table.
    #[schema(example = "F40022")]
    code: &'static str,
    /// The title.
    msg: &'static str,
    /// Everything known about it.
    content: ProblemContent,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A problem that happened. Boxed: it travels through many `Result`s.
#[derive(Debug)]
pub(crate) struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    status: StatusCode,
    detail: Option<String>,
    fields: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Logged where it is rendered, never shown.
    cause: Option<Cause>,
}

impl Error {
    /// `code`, with its usual status.
    pub(crate) fn new(code: Code) -> Self {
        let status = code.problem().statuses.first().copied().unwrap_or(500);
        Self(Box::new(Inner {
            code,
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            detail: None,
            fields: vec![],
            headers: vec![],
            cause: None,
        }))
    }

    /// `F40022` about one field or parameter.
    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Code::Invalid).and_field(field, message)
    }

    /// What is wrong this time; shown, so never a secret.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// One more wrong field.
    pub(crate) fn and_field(
        mut self,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        self.0.fields.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
        self
    }

    /// Another of the code's statuses.
    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// A header of the answer.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// When to come again.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Why, for the operator's log only.
    pub(crate) fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Its code and its wrong fields.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&'static str, &[FieldError]) {
        (self.0.code.problem().code, &self.0.fields)
    }
}

/// `F50000`: our fault. The cause is logged, the caller learns the request's id.
pub(crate) fn internal(cause: impl Into<Cause>) -> Error {
    Error::new(Code::Internal).because(cause)
}

impl IntoResponse for Error {
    /// Status and headers; the body follows in [`render`].
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        for (name, value) in &self.0.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Gives the answer of an [`Error`] its body, and the log its one line. Other answers pass.
pub(crate) fn render(response: Response, request_id: &str) -> Response {
    let Some(error) = response.extensions().get::<Arc<Error>>().cloned() else {
        return response;
    };
    let Inner {
        code,
        status,
        detail,
        fields,
        cause,
        ..
    } = &*error.0;
    let problem = code.problem();
    if let Some(cause) = cause {
        let cause = with_causes(&**cause);
        if status.is_server_error() {
            tracing::error!(code = problem.code, %cause, "request failed");
        } else {
            tracing::debug!(code = problem.code, %cause, "request refused");
        }
    }
    let body = ProblemEnvelope {
        code: problem.code,
        msg: problem.title,
        content: ProblemContent {
            title: problem.title,
            detail: detail.clone(),
            remedy: problem.remedy,
            errors: fields.clone(),
            request_id: request_id.to_owned(),
            docs: format!("/docs#{}", problem.code),
        },
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    // Strings only: it always has a JSON form.
    Response::from_parts(parts, serde_json::to_vec(&body).unwrap_or_default().into())
}
