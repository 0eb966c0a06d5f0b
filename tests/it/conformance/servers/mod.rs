//! What only the log on servers has: lost answers, lost servers, other nodes, and streams that are
//! refused.

mod cluster;
mod copies;
mod faults;
mod nodes;
mod refusals;

use std::sync::Arc;

use async_nats::jetstream;
use wharf_domain::{
    kernel::{Commit, Position},
    ports::{Append, Committed, EventLog},
};
use wharf_eventlog::{JetStreamLog, JetStreamOptions};
use wharf_tests::{clock::VirtualClock, nats::Nats};

/// A client that knows nothing of us.
async fn stranger(server: &Nats) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

/// The name of the stream of a log with these options.
fn stream_of(options: &JetStreamOptions) -> String {
    format!("{}_WHARF", options.prefix)
}

async fn open(options: &JetStreamOptions) -> JetStreamLog {
    let clock = Arc::new(VirtualClock::new());
    JetStreamLog::open(options.clone(), clock)
        .await
        .expect("it opens")
}

/// Appends `commit`, which must end up in the log; where it did.
async fn put(log: &dyn EventLog, commit: Commit) -> Committed {
    match log.append(commit).await {
        Append::Committed(committed) => committed,
        other @ (Append::Conflict { .. } | Append::InDoubt { .. } | Append::Refused(_)) => {
            panic!("answered {other:?}")
        }
    }
}

/// Positions of everything that `log` has, in order.
async fn all(log: &dyn EventLog) -> Vec<u64> {
    let tail = log.tail().await.unwrap();
    let mut positions = Vec::new();
    let mut after = Position::START;
    while after < tail {
        for commit in log.read_all(after, 1000).await.unwrap() {
            after = commit.position;
            positions.push(after.0);
        }
    }
    positions
}
