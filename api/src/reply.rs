//! Replies: the success envelope `{code, msg, content}` and the headers that go with it.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::kernel::{Position, Revision};

use crate::problem::internal;

/// Header with the log position of a write.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("x-wharf-position");

/// The envelope of every success.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Envelope<T> {
    /// Always `S10000`.
    #[schema(example = "S10000")]
    code: &'static str,
    /// What was done.
    #[schema(example = "ok")]
    msg: &'static str,
    /// The answer itself.
    content: T,
}

/// A success.
pub(crate) struct Reply<T> {
    status: StatusCode,
    msg: &'static str,
    content: T,
    position: Option<Position>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl<T: Serialize> Reply<T> {
    /// 200 with `content`.
    pub(crate) const fn ok(msg: &'static str, content: T) -> Self {
        Self {
            status: StatusCode::OK,
            msg,
            content,
            position: None,
            headers: vec![],
        }
    }

    /// Another 2xx.
    pub(crate) const fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Where in the log the write is.
    pub(crate) const fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// One more header; one that cannot be a header is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        if let Ok(value) = HeaderValue::try_from(value.into()) {
            self.headers.push((name, value));
        }
        self
    }

    /// The revision as `ETag`.
    pub(crate) fn etag(self, revision: Revision) -> Self {
        self.header(header::ETAG, format!("\"{}\"", revision.0))
    }

    /// The reply in bytes: what is sent, and what idempotency keeps.
    ///
    /// # Errors
    /// `F50000` if the content has no JSON form.
    pub(crate) fn render(self) -> Result<Rendered, crate::problem::Error> {
        let body = serde_json::to_vec(&Envelope {
            code: crate::problem::Code::Success.problem().code,
            msg: self.msg,
            content: self.content,
        })
        .map_err(internal)?;
        Ok(Rendered {
            status: self.status,
            position: self.position,
            headers: self.headers,
            body: body.into(),
        })
    }
}

/// A [`Reply`] in bytes.
pub(crate) struct Rendered {
    pub(crate) status: StatusCode,
    pub(crate) position: Option<Position>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl IntoResponse for Rendered {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(Position(position)) = self.position {
            headers.insert(POSITION, HeaderValue::from(position));
        }
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match self.render() {
            Ok(rendered) => rendered.into_response(),
            Err(error) => error.into_response(),
        }
    }
}
