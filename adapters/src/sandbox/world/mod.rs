//! The sandbox platform itself: accounts, items, changes, limits, faults. Pure: no IO, no clock; the
//! time is passed in with each request. `api` puts it on the network.
//!
//! - [`World`]: the accounts, one a bearer token; the least recently used is forgotten when there are
//!   too many.
//! - `account.rs`: the state of one account.
//! - `routes.rs`: what a request does to it.
//!
//! It is not part of the hub's API: bare JSON, its own errors, no envelope.

mod account;
mod routes;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;

use self::account::Account;

/// How large the world is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Items of a new account.
    pub items: u32,
    /// Most accounts at a time.
    pub accounts: usize,
    /// Most items of an account.
    pub items_max: usize,
    /// Most deletions that an account remembers; a client that is further behind begins anew.
    pub tombstones_max: usize,
    /// Requests that an account may make at once.
    pub burst: u32,
    /// Requests that an account may make a second in the long run.
    pub per_second: u32,
    /// How long a `slow` answer takes.
    pub slow: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            items: 250,
            accounts: 256,
            items_max: 5000,
            tombstones_max: 5000,
            burst: 120,
            per_second: 20,
            slow: Duration::from_secs(3),
        }
    }
}

/// An answer, and how long to wait before it is sent.
pub type Answer = (http::Response<Bytes>, Duration);

/// All accounts.
#[derive(Debug)]
pub struct World {
    options: Options,
    accounts: BTreeMap<String, Account>,
    /// Counts requests; tells which account was used last.
    turn: u64,
}

impl World {
    /// Without accounts.
    #[must_use]
    pub const fn new(options: Options) -> Self {
        Self {
            options,
            accounts: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Answers a request whose path begins with `/sandbox/v1`.
    pub fn answer(&mut self, request: &http::Request<Bytes>, now: Timestamp) -> Answer {
        routes::answer(self, request, now)
    }

    /// The account of a token, made if it is new.
    fn account(&mut self, token: &str, seed: Option<u32>, now: Timestamp) -> &mut Account {
        self.turn += 1;
        if !self.accounts.contains_key(token) && self.accounts.len() >= self.options.accounts {
            let oldest = self.accounts.iter().min_by_key(|(_, account)| account.used);
            if let Some(token) = oldest.map(|(token, _)| token.clone()) {
                self.accounts.remove(&token);
            }
        }
        let account = self
            .accounts
            .entry(token.to_owned())
            .or_insert_with(|| Account::new(token, seed, &self.options, now));
        account.used = self.turn;
        account
    }
}

/// A world that several threads ask. The lock is held for one request, in memory only.
#[derive(Debug)]
pub struct SharedWorld(Mutex<World>);

impl SharedWorld {
    /// Shares `world`.
    #[must_use]
    pub const fn new(world: World) -> Self {
        Self(Mutex::new(world))
    }

    /// As [`World::answer`].
    pub fn answer(&self, request: &http::Request<Bytes>, now: Timestamp) -> Answer {
        // A panic elsewhere leaves at worst one odd account of a fake platform.
        let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        world.answer(request, now)
    }
}
