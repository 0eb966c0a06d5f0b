//! Files that are no exports, or were made to hurt: each run says why it failed, and the hub goes on as
//! if nothing had been.

use std::time::{Duration, Instant};

use super::{
    files::{HEAD, STEPS, TAIL, bomb, export, zipped},
    uploads::Importer,
};

/// What counts as quickly on a machine that has other things to do.
const QUICKLY: Duration = Duration::from_secs(20);

/// Uploads a file that must be refused for the reason that contains `why`.
async fn refused(hub: &Importer, what: &str, file: Vec<u8>, why: &str) {
    let began = Instant::now();
    let run = hub.import(file).await;
    assert_eq!(run["status"], "failed", "{what}: {run}");
    assert_eq!(run["error"]["class"], "malformed", "{what}: {run}");
    let message = run["error"]["message"].as_str().unwrap();
    assert!(message.contains(why), "{what}: {message}");
    assert!(
        began.elapsed() < QUICKLY,
        "{what} took {:?}",
        began.elapsed()
    );
    hub.is_well(what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_export_is_refused_with_the_reason() {
    let hub = Importer::start().await;
    let whole = export(100_000, 1);
    let no_export = "no .xml of the archive is a Health export";
    let no_root = "there is no HealthData element in it";
    refused(&hub, "an empty file", vec![], "the file is empty").await;
    refused(&hub, "JSON", b"{\"a\": [1, 2]}".to_vec(), no_root).await;
    refused(&hub, "a picture", vec![0x89; 300_000], no_root).await;
    refused(
        &hub,
        "another XML",
        b"<?xml version=\"1.0\"?><gpx/>".to_vec(),
        no_root,
    )
    .await;
    refused(
        &hub,
        "a file that ends before it begins",
        whole[..20].to_vec(),
        no_root,
    )
    .await;
    refused(&hub, "an empty archive", zipped([]), no_export).await;
    let tracks = zipped([
        ("routes/1.gpx", &b"<gpx/>"[..]),
        ("readme.xml", b"<readme/>"),
    ]);
    refused(&hub, "an archive without an export", tracks, no_export).await;
    refused(
        &hub,
        "the begin of an archive",
        b"PK\x03\x04".to_vec(),
        no_export,
    )
    .await;
    // It is still there for a file that is right.
    let run = hub.import(whole).await;
    assert_eq!(run["status"], "completed", "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_wrong_is_imported_up_to_there() {
    let mut hub = Importer::start().await;
    for (what, rest) in [
        ("an element that never ends", "<Record type=\"x"),
        ("an end without a begin", "</Workout><Record/>"),
        ("no XML any more", "<<<<>>>>"),
        ("nothing any more", ""),
    ] {
        hub.another().await;
        let file = format!("{HEAD}{STEPS}{rest}");
        let run = hub.import(file).await;
        assert_eq!(run["status"], "partial", "{what}: {run}");
        assert_eq!(run["records"], 1, "{what}: {run}");
        let message = run["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("the file breaks off: "),
            "{what}: {message}"
        );
        assert_eq!(hub.keys().await.len(), 1, "{what}");
        hub.is_well(what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_refused_before_they_go_off() {
    let hub = Importer::start().await;
    const MIB: usize = 1024 * 1024;
    // Two GiB each, in two MiB or so.
    let spaces = bomb(HEAD, &vec![b' '; MIB], 2048);
    assert!(spaces.len() < 20 * MIB, "{} bytes", spaces.len());
    refused(&hub, "endless white space", spaces, "larger than 1048576").await;
    let elements = bomb(HEAD, &b"<Record/>".repeat(MIB / 9), 2048);
    assert!(elements.len() < 20 * MIB, "{} bytes", elements.len());
    refused(
        &hub,
        "endless elements",
        elements.clone(),
        "more than 200 times its size",
    )
    .await;
    let nested = zipped([("inner.zip", &elements[..]), ("export.zip", &elements)]);
    refused(
        &hub,
        "bombs in an archive",
        nested,
        "no .xml of the archive",
    )
    .await;
    let names: Vec<_> = (0..100_001).map(|n| format!("{n}.gpx")).collect();
    let many = zipped(names.iter().map(|name| (name.as_str(), &b"x"[..])));
    refused(&hub, "too many entries", many, "more than 100000 entries").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_and_size_of_what_is_in_a_file_are_bounded() {
    let hub = Importer::start().await;
    let deep = format!("{HEAD}{}", "<A>".repeat(200_000));
    refused(&hub, "deep nesting", deep.into(), "deeper than 16").await;
    let value = "x".repeat(8_000_000);
    let attribute = format!("{HEAD}<Record type=\"{value}\"/>{TAIL}");
    refused(
        &hub,
        "a huge attribute",
        attribute.into(),
        "larger than 1048576",
    )
    .await;
    let text = format!("{HEAD}{value}{TAIL}");
    refused(&hub, "a huge text", text.into(), "larger than 1048576").await;
    let name = format!("{HEAD}<{value}/>{TAIL}");
    refused(&hub, "a huge name", name.into(), "larger than 1048576").await;
    let entities = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE HealthData [<!ENTITY a \"{}\">{}]>{}{STEPS}&h;{TAIL}",
        "ha".repeat(100),
        ('b'..='h')
            .zip('a'..)
            .map(|(name, of)| format!("<!ENTITY {name} \"{}\">", format!("&{of};").repeat(10)))
            .collect::<String>(),
        HEAD.split_once('\n').unwrap().1,
    );
    // Entities are never expanded, so a billion laughs are none.
    let run = hub.import(entities).await;
    assert_eq!(run["records"], 1, "{run}");
    hub.is_well("a billion laughs").await;
}
