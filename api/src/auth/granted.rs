//! The extractor of protected routes.

use std::{marker::PhantomData, net::SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{header, request::Parts};
use wharf_domain::{
    access::{Action, Caller, authorize},
    kernel::{ProjectId, Timestamp},
    ports::Context,
};

use super::{TokenError, Verified};
use crate::{
    layers::RequestId,
    problem::{Code, Error},
    state::App,
};

/// What a route does, as a type.
pub(crate) trait Grant: Send + Sync + 'static {
    /// As policy knows it.
    const ACTION: Action;
}

macro_rules! grants {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        pub(crate) enum $name {}

        impl Grant for $name {
            const ACTION: Action = Action::$name;
        }
    )+};
}

grants! {
    /// The route reads.
    Read;
    /// The route starts or sends something.
    Run;
    /// The route creates, changes or deletes.
    Manage;
}

/// A caller who may do what the route does.
pub(crate) struct Granted<G> {
    /// Who.
    pub(crate) caller: Caller,
    /// Until when the token is good.
    pub(crate) expires_at: Timestamp,
    request_id: RequestId,
    grant: PhantomData<fn() -> G>,
}

impl<G> Granted<G> {
    /// The only project whose data this request sees.
    pub(crate) const fn project(&self) -> &ProjectId {
        &self.caller.project
    }

    /// What commands carry of this request.
    pub(crate) fn context(&self, idempotency_key: Option<&str>) -> Context {
        Context {
            actor: self.caller.actor(),
            correlation: self.request_id.as_str().to_owned(),
            causation: None,
            idempotency_key: idempotency_key.map(ToOwned::to_owned),
        }
    }

    /// A `project_id` in a body or query may only name the caller's own.
    ///
    /// # Errors
    /// `F40004`, whether the other project exists or not.
    pub(crate) fn own(&self, project_id: Option<&str>) -> Result<(), Error> {
        match project_id {
            Some(other) if other != self.caller.project.as_str() => Err(Error::new(Code::NotFound)
                .detail("there is no such project, or the token is for another one")),
            Some(_) | None => Ok(()),
        }
    }
}

impl<G: Grant> FromRequestParts<App> for Granted<G> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let Verified { caller, expires_at } = verified(parts, app)?;
        tracing::Span::current().record("project", caller.project.as_str());
        authorize(&caller, G::ACTION)?;
        Ok(Self {
            caller,
            expires_at,
            request_id: RequestId::of(&parts.extensions),
            grant: PhantomData,
        })
    }
}

fn verified(parts: &Parts, app: &App) -> Result<Verified, TokenError> {
    let mut sent = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = sent.next().ok_or(TokenError::Missing)?;
    if sent.next().is_some() {
        return Err(TokenError::Malformed);
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(TokenError::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Missing);
    }
    app.api.auth.verify(token.trim(), app.api.clock.now())
}

/// Lets a peer on this machine in without a token, everyone else as an operator.
///
/// # Errors
/// `F40001` or `F40003`.
pub(crate) fn operator_or_loopback(parts: &Parts, app: &App) -> Result<(), Error> {
    // A proxy on this machine would make every peer a local one: what was forwarded is not local.
    let forwarded = parts.headers.contains_key("x-forwarded-for")
        || parts.headers.contains_key(header::FORWARDED);
    let local = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    if local && !forwarded {
        return Ok(());
    }
    Ok(authorize(&verified(parts, app)?.caller, Action::Operate)?)
}
