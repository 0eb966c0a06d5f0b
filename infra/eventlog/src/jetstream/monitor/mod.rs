//! How often the servers sync: what the client protocol does not tell, their monitoring does.
//!
//! Asked once, at the start, with the least of HTTP. The answer only decides what `durability` says.

use std::time::Duration;

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use wharf_domain::ports::Durability;

/// The longest that one server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of an answer; those of a server without `?streams` are a few hundred.
const ANSWER_BYTES: u64 = 256 * 1024;
/// From here on a power cut takes so much that it is no bound worth its name.
const BOUND: Duration = Duration::from_secs(60);

/// The part of `/jsz` that counts.
#[derive(Deserialize)]
struct Jsz {
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
    #[serde(default)]
    sync_always: bool,
}

/// What a commit survives that `replicas` servers keep, of which these are the monitoring addresses.
/// The weakest of them counts, and one that was not asked is weaker still.
pub(super) async fn durability(monitoring: &[String], replicas: usize) -> Durability {
    if monitoring.len() < replicas.max(1) {
        return Durability::Unverified;
    }
    let mut weakest = Durability::Durable;
    for address in monitoring {
        let found = match tokio::time::timeout(PATIENCE, ask(address)).await {
            Ok(Ok(jsz)) => level(&jsz.config),
            Ok(Err(error)) => {
                tracing::warn!(address, %error, "the monitoring of a NATS server cannot be read");
                Durability::Unverified
            }
            Err(_) => {
                tracing::warn!(address, "the monitoring of a NATS server does not answer");
                Durability::Unverified
            }
        };
        weakest = weaker(weakest, found);
    }
    weakest
}

fn level(config: &Config) -> Durability {
    if config.sync_always {
        return Durability::Durable;
    }
    match Duration::from_nanos(config.sync_interval) {
        Duration::ZERO => Durability::Unverified,
        interval if interval < BOUND => Durability::Bounded(interval),
        _ => Durability::ProcessCrash,
    }
}

fn weaker(one: Durability, other: Durability) -> Durability {
    let rank = |level| match level {
        Durability::Durable => (0, Duration::ZERO),
        Durability::Bounded(interval) => (1, interval),
        Durability::ProcessCrash => (2, Duration::ZERO),
        Durability::Unverified => (3, Duration::ZERO),
        Durability::Volatile => (4, Duration::ZERO),
    };
    if rank(other) > rank(one) { other } else { one }
}

async fn ask(address: &str) -> Result<Jsz, Box<dyn std::error::Error + Send + Sync>> {
    let address = address.strip_prefix("http://").unwrap_or(address);
    let address = address.trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET /jsz HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    parse(&answer)
}

/// The body of an HTTP/1.0 answer, which ends where the connection does.
fn parse(answer: &[u8]) -> Result<Jsz, Box<dyn std::error::Error + Send + Sync>> {
    let text = std::str::from_utf8(answer)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("it speaks no HTTP")?;
    let status = head.split(' ').nth(1);
    if status != Some("200") {
        return Err("it does not know /jsz".into());
    }
    Ok(serde_json::from_str(body)?)
}

#[cfg(test)]
mod tests;
