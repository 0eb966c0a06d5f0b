//! What is refused at the start, before anything could be lost.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::Arc,
    thread,
    time::Duration,
};

use async_nats::jetstream::stream::Config;
use tempfile::TempDir;
use wharf_domain::{
    kernel::{Expected, Position},
    ports::{Durability, EventLog as _},
};
use wharf_eventlog::{Error, JetStreamLog, JetStreamOptions, Options, SqliteLog};
use wharf_tests::{
    clock::VirtualClock,
    nats::{Nats, Sync},
};

use super::{open, put, stranger, stream_of};
use crate::conformance::harness::{Harness, journal, options};

async fn refusal(options: &JetStreamOptions) -> Error {
    let clock = Arc::new(VirtualClock::new());
    match JetStreamLog::open(options.clone(), clock).await {
        Ok(log) => panic!("it opens: {log:?}"),
        Err(error) => error,
    }
}

/// A stream as the log makes it, closed again.
async fn made() -> (TempDir, JetStreamOptions, Config) {
    let dir = tempfile::tempdir().unwrap();
    let options = options(Nats::shared(), dir.path());
    open(&options).await.close().await;
    let theirs = stranger(Nats::shared()).await;
    let stream = theirs.get_stream(stream_of(&options)).await.unwrap();
    let config = stream.cached_info().config.clone();
    (dir, options, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_forgets_nothing() {
    let (_dir, _, config) = made().await;
    assert!(config.deny_delete && config.deny_purge && config.allow_direct);
    assert_eq!((config.max_messages, config.max_bytes), (-1, -1));
    assert!(config.max_age.is_zero());
    assert!(config.duplicate_window >= Duration::from_mins(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_may_forget_is_refused() {
    type Change = fn(&mut Config);
    let changes: [(Change, &str); 5] = [
        (|config| config.max_messages = 1000, "a limit"),
        (|config| config.max_age = Duration::from_hours(1), "a limit"),
        (|config| config.deny_delete = false, "deleted"),
        (
            |config| config.duplicate_window = Duration::from_secs(1),
            "duplicate window",
        ),
        (
            |config| drop(config.metadata.insert("wharf-parts".into(), "8".into())),
            "metadata",
        ),
    ];
    let (_dir, template, config) = made().await;
    let theirs = stranger(Nats::shared()).await;
    for (number, (change, said)) in changes.into_iter().enumerate() {
        let prefix = format!("{}-{number}", template.prefix);
        let options = JetStreamOptions {
            prefix: prefix.clone(),
            ..template.clone()
        };
        let mut different = Config {
            name: stream_of(&options),
            subjects: vec![format!("{prefix}.evt.>")],
            ..config.clone()
        };
        change(&mut different);
        theirs.create_stream(different).await.unwrap();
        let refused = refusal(&options).await;
        assert!(
            matches!(&refused, Error::StreamDiffers { what, .. } if what.contains(said)),
            "{said}: {refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_a_hole_is_refused() {
    let (_dir, template, config) = made().await;
    let options = JetStreamOptions {
        prefix: format!("{}-holes", template.prefix),
        ..template
    };
    let theirs = stranger(Nats::shared()).await;
    let mut open_to_deletes = Config {
        name: stream_of(&options),
        subjects: vec![format!("{}.evt.>", options.prefix)],
        deny_delete: false,
        ..config
    };
    let stream = theirs.create_stream(open_to_deletes.clone()).await.unwrap();
    for n in 0..3 {
        let subject = format!("{}.evt.00.acme.webhook.{n}", options.prefix);
        theirs
            .publish(subject, "x".into())
            .await
            .unwrap()
            .await
            .unwrap();
    }
    stream.delete_message(2).await.unwrap();
    open_to_deletes.deny_delete = true;
    theirs.update_stream(open_to_deletes).await.unwrap();
    let refused = refusal(&options).await;
    assert!(
        matches!(
            refused,
            Error::StreamHoles {
                messages: 2,
                first: 1,
                last: 3,
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_server_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Enough of a server to be asked for its version. The thread ends with the connection.
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let hello = r#"INFO {"server_id":"x","version":"2.9.10","proto":1,"headers":true,
            "max_payload":1048576,"jetstream":true}"#;
        write!(client, "{}\r\n", hello.replace('\n', "")).unwrap();
        let lines = BufReader::new(client.try_clone().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            if line.starts_with("PING") {
                client.write_all(b"PONG\r\n").unwrap();
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let refused = refusal(&JetStreamOptions {
        servers: vec![format!("nats://127.0.0.1:{port}")],
        mirror: dir.path().join("mirror"),
        ..JetStreamOptions::default()
    })
    .await;
    assert!(
        matches!(&refused, Error::ServerTooOld { found, .. } if found == "2.9.10"),
        "{refused}"
    );
    assert!(refused.to_string().contains("use 2.12.3"), "{refused}");
    server.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let refused = refusal(&JetStreamOptions {
        servers: vec!["nats://wharf:secret@127.0.0.1:1".to_owned()],
        mirror: dir.path().join("mirror"),
        ..JetStreamOptions::default()
    })
    .await;
    let said = refused.to_string();
    assert!(
        said.contains("127.0.0.1:1") && !said.contains("secret"),
        "{said}"
    );
}

/// A log of two commits, closed, and its mirror.
async fn mirrored() -> (TempDir, JetStreamOptions) {
    let dir = tempfile::tempdir().unwrap();
    let options = options(Nats::shared(), dir.path());
    let maker = Harness::memory();
    let log = open(&options).await;
    for _ in 0..2 {
        put(&log, maker.commit(&journal(1), Expected::Any, 1)).await;
    }
    assert_eq!(log.read_all(Position::START, 10).await.unwrap().len(), 2);
    log.close().await;
    (dir, options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_of_another_stream_is_refused() {
    let (_dir, options) = mirrored().await;
    let other = JetStreamOptions {
        prefix: format!("{}-other", options.prefix),
        ..options
    };
    let refused = refusal(&other).await;
    assert!(
        matches!(&refused, Error::Mirror { what, .. } if what.contains("another one")
            || what.contains("mirrors the stream")),
        "{refused}"
    );
    assert!(refused.to_string().contains("move it away"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_of_a_stream_that_was_made_anew_is_refused() {
    let (_dir, options) = mirrored().await;
    let theirs = stranger(Nats::shared()).await;
    theirs.delete_stream(stream_of(&options)).await.unwrap();
    let refused = refusal(&options).await;
    assert!(
        matches!(&refused, Error::Diverged { what, .. } if what.contains("was made at")),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("wharf log repair"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_its_own_is_no_mirror_and_a_mirror_no_log() {
    let (_dir, options) = mirrored().await;
    let clock = Arc::new(VirtualClock::new());
    let refused = SqliteLog::open(&options.mirror, Options::default(), clock.clone()).unwrap_err();
    assert!(matches!(refused, Error::IsMirror { .. }), "{refused}");
    // It can be read and verified like any log.
    let reader = SqliteLog::open_read_only(&options.mirror, Options::default(), clock.clone());
    let report = reader.unwrap().verify(&mut |_| {}).await.unwrap();
    assert_eq!(report.commits, 2);
    let own = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(own.path(), Options::default(), clock).unwrap();
    put(
        &log,
        Harness::memory().commit(&journal(1), Expected::Any, 1),
    )
    .await;
    log.close().await;
    let refused = refusal(&JetStreamOptions {
        mirror: own.path().to_owned(),
        ..options
    })
    .await;
    assert!(
        matches!(&refused, Error::Mirror { what, .. } if what.contains("a log of its own")),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_has_less_than_the_mirror_lost_commits() {
    let (_dir, options) = mirrored().await;
    // What a power cut leaves of a stream that was not synced.
    let theirs = stranger(Nats::shared()).await;
    let stream = theirs.get_stream(stream_of(&options)).await.unwrap();
    let config = stream.cached_info().config.clone();
    theirs.delete_stream(&config.name).await.unwrap();
    theirs.create_stream(config).await.unwrap();
    let created = theirs.get_stream(stream_of(&options)).await.unwrap();
    let created = created.cached_info().created.to_string();
    let mirror = rusqlite::Connection::open(options.mirror.join("log.db")).unwrap();
    mirror
        .execute("update mirrored set created = ?1", [created])
        .unwrap();
    drop(mirror);
    let refused = refusal(&options).await;
    assert!(
        matches!(
            refused,
            Error::StreamLost {
                last: 0,
                mirrored: 2,
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durability_is_what_the_servers_monitoring_says() {
    for (sync, expected) in [
        (Sync::Default, Durability::ProcessCrash),
        (Sync::Always, Durability::Durable),
    ] {
        let server = Nats::start(sync);
        let dir = tempfile::tempdir().unwrap();
        let unasked = options(&server, dir.path());
        let log = open(&unasked).await;
        assert_eq!(log.durability(), Durability::Unverified);
        log.close().await;
        let asked = JetStreamOptions {
            monitoring: vec![server.monitoring()],
            ..unasked
        };
        assert_eq!(open(&asked).await.durability(), expected);
    }
}
