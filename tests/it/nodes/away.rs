//! A node that is stopped while the servers of its log are away: it stops, and nothing is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::json;
use wharf_tests::{
    nats::{Nats, Sync},
    process::Home,
    receiver::Receiver,
    storage::Storage,
};

use super::{admin, blocking, post, webhook};

/// Enough that some are on their way whenever the servers go.
const MESSAGES: u32 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_in_time_while_the_log_is_away_and_goes_on_when_it_is_back() {
    let mut nats = blocking(|| Nats::start(Sync::Always)).await;
    let home = Home::on(Storage::on_servers(std::slice::from_ref(&nats)));
    let wharf = blocking({
        let home = home.clone();
        let quick = BTreeMap::from([("WHARF_SERVER__SHUTDOWN_GRACE_SECONDS", "2")]);
        move || home.serve_with(&quick)
    })
    .await;
    let receiver = Receiver::start().await;
    let client = admin(&wharf);
    webhook(&client, &receiver, json!({})).await;
    let mut accepted = BTreeSet::new();
    for n in 0..MESSAGES {
        accepted.insert(post(&client, n).await);
    }
    receiver.wait(20).await;
    // In the middle of it: outcomes are not recorded, acknowledgements not confirmed.
    nats.kill();
    let began = Instant::now();
    let code = blocking(move || wharf.stop()).await;
    assert_eq!(code, 0, "it says what it could not do, and stops");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "it took {took:?}");

    let (nats, wharf) = blocking(move || {
        nats.run();
        (nats, home.serve())
    })
    .await;
    let mut got = receiver.wait(accepted.len()).await;
    let heard = |got: &[wharf_tests::receiver::Got]| -> BTreeSet<String> {
        let ids = got.iter().map(|got| got.header("webhook-id").to_owned());
        ids.collect()
    };
    while !accepted.is_subset(&heard(&got)) {
        got = receiver.wait(got.len() + 1).await;
    }
    assert_eq!(heard(&got), accepted);
    assert_eq!(blocking(move || wharf.stop()).await, 0);
    drop(nats);
}
