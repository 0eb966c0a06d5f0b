//! Chaos: kill -9 and worse under load, hostile and broken files, a stop at a bad moment. Everything here runs a
//! real `wharf` process and looks at it from outside, as its users do.
//!
//! - `kill`: 200 kills of one hub; `load` is what runs meanwhile, `shaky` receives the webhooks, `check` is
//!   what must be true afterwards.
//! - `faults`: two nodes on servers of their own, each of which fails in turn; the same load, receiver and
//!   checks. `deck` deals the faults.
//! - `damage`: a bit that flips in what a NATS server stored. `power`: the disk stops at a random instant.
//!   `full`: it has no room. `clocks`: hours are lost and won.
//! - `bad`, `cut` and `huge`: files that no import should choke on; `files` makes them, `uploads` sends
//!   them.
//! - `stop`: SIGTERM while work is under way.

mod bad;
mod check;
mod clocks;
mod cut;
mod damage;
mod deck;
mod faults;
mod files;
mod full;
mod huge;
mod kill;
mod load;
mod power;
mod shaky;
mod stop;
mod uploads;

/// Dice that fall the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    /// With the seed that `WHARF_CHAOS_SEED` gives, else one of the time; says which.
    #[expect(
        clippy::disallowed_methods,
        reason = "each run kills at other instants, and any of them can be repeated"
    )]
    fn new() -> Self {
        let seed = match std::env::var("WHARF_CHAOS_SEED") {
            Ok(text) => text.parse().expect("WHARF_CHAOS_SEED is a number"),
            Err(_) => wharf_domain::kernel::Timestamp::now()
                .as_microsecond()
                .unsigned_abs(),
        };
        eprintln!("repeat with WHARF_CHAOS_SEED={seed}");
        Self(seed)
    }

    /// A number in `from..to`.
    fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from + (x ^ (x >> 31)) % (to - from)
    }
}

/// Runs something that blocks, such as starting a process.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it ends")
}
