//! A gigabyte of XML: constant memory, and a stop in the middle of it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::Value;

use super::{
    blocking,
    files::{HEAD, STEPS, TAIL, export, keys},
    uploads::{Importer, ended},
};

const GIB: u64 = 1 << 30;

/// Elements that become no record, about a MiB of them.
fn filling() -> Bytes {
    let line = " <FutureKind type=\"HKFutureTypeIdentifierUnheardOf\" identifier=\"4711\" sourceName=\"Watch\" creationDate=\"2026-01-05 08:10:00 +0200\" startDate=\"2026-01-05 08:00:00 +0200\" endDate=\"2026-01-05 08:10:00 +0200\" value=\"7\"/>\n";
    line.repeat((1 << 20) / line.len()).into()
}

/// A head, so many bytes of filling, and an end, sent as they are made.
fn stream(head: &[u8], bytes: u64, tail: &[u8]) -> reqwest::Body {
    let filling = filling();
    let times = bytes / filling.len() as u64;
    let chunks = std::iter::once(Bytes::copy_from_slice(head))
        .chain((0..times).map(move |_| filling.clone()))
        .chain([Bytes::copy_from_slice(tail)]);
    reqwest::Body::wrap_stream(futures::stream::iter(chunks.map(Ok::<_, std::io::Error>)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_is_imported_in_constant_memory() {
    let hub = Importer::start().await;
    let whole = export(1_000_000, 9);
    let (head, _) = whole.split_at(whole.len() - TAIL.len());
    let began = Instant::now();
    let run = hub.upload(stream(head, GIB, TAIL.as_bytes())).await;
    let uploaded = began.elapsed();
    let run = hub.until(&run, ended).await;
    eprintln!(
        "a GiB was uploaded in {uploaded:?}, imported in {:?}; the hub used at most {} KiB",
        began.elapsed() - uploaded,
        hub.wharf.memory_kib("VmHWM"),
    );
    assert_eq!(run["status"], "completed", "{run}");
    let skipped: u64 = run["skipped"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum();
    assert!(skipped > 4_000_000, "{run}");
    assert_eq!(hub.keys().await, keys(&whole));
    hub.is_well("a gigabyte").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_long_import_stops_at_once_and_goes_on_later() {
    let settings = BTreeMap::from([("WHARF_SERVER__SHUTDOWN_GRACE_SECONDS", "2")]);
    let hub = Importer::start_with(settings).await;
    let run = hub
        .upload(stream(
            HEAD.as_bytes(),
            GIB / 2,
            format!("{STEPS}{TAIL}").as_bytes(),
        ))
        .await;
    assert!(
        !ended(&hub.run(&run).await),
        "it is too short to be stopped"
    );
    let Importer { wharf, id, .. } = hub;
    let home = wharf.home.clone();
    let (code, took) = blocking(move || {
        let began = Instant::now();
        (wharf.stop(), began.elapsed())
    })
    .await;
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(5), "it took {took:?} to stop");
    let wharf = blocking(move || home.serve()).await;
    let client = wharf.client("p", wharf_domain::access::Role::Admin);
    let hub = Importer { wharf, client, id };
    let run = hub.until(&run, ended).await;
    assert_eq!(
        (run["status"].as_str(), &run["records"]),
        (Some("completed"), &1.into()),
        "{run}"
    );
}
