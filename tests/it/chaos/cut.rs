//! Files, uploads and runs that are cut off: what arrived is kept, the rest follows, nothing comes
//! twice.

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::Method;
use wharf_tests::client::Client;

use super::{
    files::{export, keys, zipped},
    uploads::{Importer, ended},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_is_kept_up_to_the_cut_and_completed_by_the_whole_one() {
    let mut hub = Importer::start().await;
    let xml = export(700_000, 11);
    let wanted = keys(&xml);
    let zip = zipped([("apple_health_export/export.xml", &xml[..])]);
    for (kind, file) in [("xml", &xml), ("zip", &zip)] {
        for percent in [20, 50, 90, 100] {
            // The last one lacks the end of the root, or the archive's directory.
            let cut = (file.len() * percent / 100).min(file.len() - 4);
            let what = format!("{kind} cut at {cut} of {}", file.len());
            hub.another().await;
            let run = hub.import(file[..cut].to_vec()).await;
            let broken = kind == "xml" || percent < 100;
            let status = if broken { "partial" } else { "completed" };
            assert_eq!(run["status"], status, "{what}: {run}");
            let before = hub.keys().await;
            assert!(!before.is_empty() && before.is_subset(&wanted), "{what}");
            if broken {
                let message = run["error"]["message"].as_str().unwrap();
                assert!(
                    message.starts_with("the file breaks off: "),
                    "{what}: {message}"
                );
            }
            let run = hub.import(file.clone()).await;
            assert_eq!(run["status"], "completed", "{what}: {run}");
            assert_eq!(hub.keys().await, wanted, "{what}, then whole");
            hub.is_well(&what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv08_a_run_cut_off_by_kill_9_goes_on_after_its_last_page() {
    let xml = export(6_000_000, 5);
    let wanted = keys(&xml);
    let zip = zipped([("apple_health_export/export.xml", &xml[..])]);
    let mut hub = Importer::start().await;
    let run = hub.upload(zip).await;
    let mut cut = 0;
    for pages in [1, 3, 6] {
        let shown = hub
            .until(&run, |run| {
                ended(run) || run["pages"].as_u64() >= Some(pages)
            })
            .await;
        cut += u32::from(!ended(&shown));
        hub = hub.killed().await;
    }
    assert!(cut > 0, "the run was over before it could be cut off");
    let run = hub.until(&run, ended).await;
    assert_eq!(run["status"], "completed", "{run}");
    // Each page once: not a record more than the file has.
    assert_eq!(run["records"], wanted.len(), "{run}");
    assert_eq!(hub.keys().await, wanted);
    hub.is_well("three kills").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_cut_off_by_kill_9_goes_on_where_it_was() {
    let xml = export(3_000_000, 6);
    let wanted = keys(&xml);
    let mut hub = Importer::start().await;

    // In one go: the request hangs in the middle of the file when the hub dies.
    let (first, _) = xml.split_at(2_000_000);
    let halted = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(first))])
        .chain(futures::stream::pending());
    let request = hub
        .request("whole")
        .body(reqwest::Body::wrap_stream(halted));
    let uploads = hub.wharf.home.uploads();
    let arrived = async {
        while size(&uploads) < first.len() as u64 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        answer = Client::try_send(request) => panic!("it answers half a file: {answer:?}"),
        () = arrived => {}
    }
    hub = hub.killed().await;
    let again = Client::send(hub.request("whole").body(xml.clone())).await;
    let run = hub.until(&Importer::run_of(again), ended).await;
    assert_eq!(
        (run["status"].as_str(), &run["records"]),
        (Some("completed"), &wanted.len().into())
    );

    // In pieces.
    hub.another().await;
    let request = hub.request("pieces").header("upload-complete", "?0");
    let begun = Client::send(request.body(first.to_vec())).await;
    let path = begun.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(begun.status, 201, "{}", begun.text);
    hub = hub.killed().await;
    let asked = Client::send(hub.client.request(Method::HEAD, &path)).await;
    let offset: usize = asked.headers["upload-offset"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(offset, first.len(), "what was acknowledged is kept");
    let rest = hub
        .client
        .request(Method::PATCH, &path)
        .header("upload-offset", offset)
        .header("upload-complete", "?1")
        .header("content-type", "application/partial-upload")
        .body(xml[offset..].to_vec());
    let run = Importer::run_of(Client::send(rest).await);
    assert_eq!(hub.until(&run, ended).await["status"], "completed");
    assert_eq!(hub.keys().await, wanted);

    // Whoever never heard the answer asks again, and it is the same run.
    hub.another().await;
    let answer = || Client::send(hub.request("lost").body(xml.clone()));
    let first = Importer::run_of(answer().await);
    assert_eq!(Importer::run_of(answer().await), first);
    hub.until(&first, ended).await;
    assert_eq!(hub.keys().await, wanted);
    assert_eq!(size(&uploads), 0, "imported files are removed");
}

/// Bytes of the files in a folder and its folders.
fn size(dir: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
