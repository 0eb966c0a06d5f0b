//! Egress against a real server on loopback, and against names that lie.

mod addresses;
mod counts;
mod names;
mod requests;
mod server;
mod urls;

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use wharf_domain::ports::{HttpRequest, TrustClass};

use crate::{Egress, Options, Resolve};

/// For what does not wait for a limit.
const LONG: Duration = Duration::from_secs(20);
/// For what does.
const SHORT: Duration = Duration::from_millis(200);

/// A request as a caller would have it sent.
fn get(url: impl Into<String>) -> HttpRequest {
    HttpRequest {
        method: "GET",
        url: url.into(),
        headers: Vec::new(),
        body: Bytes::new(),
        timeout: LONG,
        max_body_bytes: 1 << 20,
        trust: TrustClass::Caller,
    }
}

/// Egress that reaches public addresses and `allow`; names come from `names`.
fn egress(allow: &[&str], names: Names) -> Egress {
    Egress::new(Options {
        allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
        resolver: Arc::new(names),
        resolve_timeout: Duration::from_secs(5),
        ..Options::default()
    })
    .unwrap()
}

/// A resolver with a script: each lookup of a name takes the next answer; the last one stays.
#[derive(Default)]
struct Names(Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>);

impl Names {
    fn none() -> Self {
        Self::default()
    }

    /// `name` has these addresses, one list a lookup.
    fn with(self, name: &str, answers: &[&[&str]]) -> Self {
        let answers = answers
            .iter()
            .map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect())
            .collect();
        self.0.lock().unwrap().insert(name.to_owned(), answers);
        self
    }
}

#[async_trait]
impl Resolve for Names {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut names = self.0.lock().unwrap();
        let answers = names
            .get_mut(name)
            .ok_or_else(|| io::Error::other("no such name"))?;
        if answers.len() > 1 {
            return Ok(answers.pop_front().unwrap());
        }
        Ok(answers[0].clone())
    }
}

/// A resolver that never answers.
struct Mute;

#[async_trait]
impl Resolve for Mute {
    async fn lookup(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        pending().await
    }
}
