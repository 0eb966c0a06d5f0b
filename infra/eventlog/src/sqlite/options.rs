//! What an operator may set.

/// How a [`SqliteLog`](super::SqliteLog) uses memory and disk. The default suits everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most reads at the same time; each has a connection of its own. Further ones wait.
    pub readers: usize,
    /// Bytes of pages that the writer keeps in memory. More helps when many streams take turns.
    pub cache_bytes: u32,
    /// Bytes that the write-ahead log (`log.db-wal`) may reach before it is merged into `log.db`. More
    /// means fewer merges and a longer start after a crash.
    pub wal_bytes: u32,
    /// Most bytes of `log.db`; past them appends are refused as on a full disk. `None`: the disk is the
    /// limit.
    pub max_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 4,
            cache_bytes: 8 << 20,
            wal_bytes: 32 << 20,
            max_bytes: None,
        }
    }
}
