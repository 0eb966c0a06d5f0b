//! What the servers' settings mean, and whose counts.

use std::time::Duration;

use wharf_domain::ports::Durability;

use super::{Config, durability, level, parse, weaker};

const fn config(sync_always: bool, sync_interval: Duration) -> Config {
    Config {
        sync_interval: sync_interval.as_nanos() as u64,
        sync_always,
    }
}

#[test]
fn a_server_that_always_syncs_is_durable() {
    assert_eq!(
        level(&config(true, Duration::from_mins(2))),
        Durability::Durable
    );
}

#[test]
fn a_short_interval_bounds_what_a_power_cut_takes_and_the_default_does_not() {
    let second = Duration::from_secs(1);
    assert_eq!(level(&config(false, second)), Durability::Bounded(second));
    assert_eq!(
        level(&config(false, Duration::from_mins(2))),
        Durability::ProcessCrash
    );
    assert_eq!(
        level(&config(false, Duration::ZERO)),
        Durability::Unverified
    );
}

#[test]
fn the_weakest_server_counts() {
    let bounded = |secs| Durability::Bounded(Duration::from_secs(secs));
    assert_eq!(weaker(Durability::Durable, bounded(1)), bounded(1));
    assert_eq!(weaker(bounded(5), bounded(1)), bounded(5));
    assert_eq!(
        weaker(Durability::Unverified, Durability::Durable),
        Durability::Unverified
    );
}

#[test]
fn an_answer_is_read_and_nonsense_is_not() {
    let answer = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n\
                  {\"server_id\":\"x\",\"config\":{\"sync_interval\":1000000000}}";
    let jsz = parse(answer.as_bytes()).unwrap();
    assert_eq!(
        level(&jsz.config),
        Durability::Bounded(Duration::from_secs(1))
    );
    for nonsense in [
        "",
        "HTTP/1.0 404 Not Found\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\n\r\n{",
    ] {
        assert!(parse(nonsense.as_bytes()).is_err(), "{nonsense}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_asked_is_unverified() {
    assert_eq!(durability(&[], 1).await, Durability::Unverified);
    let one = ["127.0.0.1:1".to_owned()];
    assert_eq!(durability(&one, 3).await, Durability::Unverified);
    assert_eq!(durability(&one, 1).await, Durability::Unverified);
}
