//! What needs no server: names, messages, versions.

use std::time::Duration;

use wharf_domain::kernel::{
    Commit, CommitId, Expected, Head, Metadata, NewCommit, NewEvent, Position, ProjectId, Revision,
    StreamId, Timestamp, WebhookId,
};

use super::{
    message::{decode, encode},
    names::Names,
    options::JetStreamOptions,
    repair::next_prefix,
    stream::{check_options, check_server},
};
use crate::error::Error;

fn names() -> Names {
    Names::new("").unwrap()
}

fn stream() -> StreamId {
    let project: ProjectId = "acme".parse().unwrap();
    StreamId::webhook(&project, WebhookId(uuid::Uuid::from_u128(7)))
}

fn commit(expected: Expected, actor: &str) -> Commit {
    let fact = serde_json::json!({ "text": "größer\n" });
    NewCommit {
        id: CommitId(uuid::Uuid::from_u128(1)),
        stream: stream(),
        expected,
        events: vec![
            NewEvent::of("test.happened", 1, &fact).unwrap(),
            NewEvent::of("test.ended", 1, &fact).unwrap(),
            NewEvent::of("test.happened", 1, &fact).unwrap(),
        ],
        meta: Metadata {
            time: Timestamp::UNIX_EPOCH,
            actor: actor.to_owned(),
            correlation: "request-1".to_owned(),
            causation: Some("5.0".to_owned()),
            idempotency_key: None,
        },
    }
    .encode()
    .unwrap()
}

#[test]
fn a_subject_is_the_streams_part_and_name() {
    let subject = names().subject(&stream());
    assert_eq!(
        subject,
        "evt.13.acme.webhook.00000000-0000-0000-0000-000000000007"
    );
    assert_eq!(names().parse(&subject), Some(stream()));
    let prefixed = Names::new("staging").unwrap();
    assert_eq!(prefixed.stream, "staging_WHARF");
    assert_eq!(prefixed.subject(&stream()), format!("staging.{subject}"));
    assert_eq!(prefixed.parse(&subject), None);
}

#[test]
fn a_subject_in_the_wrong_part_names_no_stream() {
    let subject = names().subject(&stream());
    assert_eq!(names().parse(&subject.replace(".13.", ".06.")), None);
}

#[test]
fn a_prefix_is_one_token() {
    for wrong in ["a.b", "a b", "*", ">", "a_b"] {
        assert_eq!(Names::new(wrong), None, "{wrong}");
    }
}

#[test]
fn a_commit_comes_back_as_it_was() {
    let head = Head {
        position: Position(9),
        revision: Revision(4),
        hash: wharf_domain::kernel::Hash([7; 32]),
    };
    // With whatever a token's subject may hold.
    for actor in [
        "user:somebody",
        "user:\r\nNats-Msg-Id: forged",
        "user:größer",
        "",
    ] {
        for expected in [Expected::NoStream, Expected::At(head)] {
            let commit = commit(expected, actor);
            let sent = encode(&commit, &names());
            let back = decode(
                Position(12),
                &sent.subject,
                Some(&sent.headers),
                sent.body,
                &names(),
            );
            let back = back.unwrap();
            assert!(back.is_intact());
            assert_eq!(back, commit.stored_at(Position(12)), "{actor}");
        }
    }
}

#[test]
fn the_headers_say_what_a_subscriber_filters_by() {
    let sent = encode(&commit(Expected::NoStream, "user:somebody"), &names());
    let header = |name| sent.headers.get(name).map(async_nats::HeaderValue::as_str);
    assert_eq!(header("Wharf-Types"), Some("test.ended,test.happened"));
    assert_eq!(header("Wharf-Revision"), Some("1"));
    assert_eq!(header("Wharf-Events"), Some("3"));
    assert_eq!(header("Wharf-Actor"), Some("user:somebody"));
    assert_eq!(header("Wharf-Correlation"), Some("request-1"));
    assert_eq!(header("Wharf-Causation"), Some("5.0"));
    assert_eq!(header("Nats-Expected-Last-Subject-Sequence"), Some("0"));
    assert_eq!(
        header("Content-Type"),
        Some("application/cloudevents-batch+json")
    );
    assert_eq!(header("Wharf-Prev"), None);
}

#[test]
fn what_would_be_two_headers_is_not_repeated() {
    let sent = encode(&commit(Expected::NoStream, "a\r\nb"), &names());
    assert_eq!(sent.headers.get("Wharf-Actor"), None);
    let long = "x".repeat(20_000);
    let sent = encode(&commit(Expected::NoStream, &long), &names());
    assert_eq!(sent.headers.get("Wharf-Actor"), None);
}

#[test]
fn a_message_that_is_no_commit_is_named() {
    let sent = encode(&commit(Expected::NoStream, "user:somebody"), &names());
    let decoded = |subject: &str, headers: Option<&async_nats::HeaderMap>| {
        decode(Position(1), subject, headers, sent.body.clone(), &names()).unwrap_err()
    };
    assert_eq!(decoded(&sent.subject, None), "it has no headers");
    assert_eq!(
        decoded("evt.00.acme", Some(&sent.headers)),
        "its subject names no stream"
    );
    for (missing, said) in [
        ("Nats-Msg-Id", "it has no commit id"),
        ("Wharf-Meta", "it has no metadata"),
        ("Wharf-Hash", "it has no hash"),
        ("Wharf-Revision", "it has no revision"),
    ] {
        let mut headers = async_nats::HeaderMap::new();
        for (name, values) in sent.headers.iter() {
            if name.to_string() != missing
                && let Some(value) = values.first()
            {
                headers.insert(name.clone(), value.clone());
            }
        }
        assert_eq!(decoded(&sent.subject, Some(&headers)), said);
    }
}

#[test]
fn servers_before_2_12_3_are_refused() {
    let server = |version: &str| async_nats::ServerInfo {
        version: version.to_owned(),
        max_payload: 1 << 20,
        ..async_nats::ServerInfo::default()
    };
    for old in ["2.9.10", "2.12.2", "1.99.99", "", "next"] {
        let refused = check_server(&server(old));
        assert!(
            matches!(&refused, Err(Error::ServerTooOld { found, .. }) if found == old),
            "{old}: {refused:?}"
        );
    }
    for new in ["2.12.3", "2.15.1", "v2.13.0-beta.2", "3.0.0"] {
        check_server(&server(new)).unwrap();
    }
}

#[test]
fn a_server_for_small_messages_is_refused() {
    let server = async_nats::ServerInfo {
        version: "2.15.1".to_owned(),
        max_payload: 512 * 1024,
        ..async_nats::ServerInfo::default()
    };
    let refused = check_server(&server).unwrap_err();
    assert!(refused.to_string().contains("max_payload"), "{refused}");
}

#[test]
fn inv04_the_servers_passwords_are_not_printed() {
    let options = JetStreamOptions {
        servers: vec!["nats://wharf:hunter2@localhost".to_owned()],
        ..JetStreamOptions::default()
    };
    assert!(!format!("{options:?}").contains("hunter2"));
}

#[test]
fn settings_that_no_stream_can_have_are_refused() {
    let default = JetStreamOptions::default;
    check_options(&default()).unwrap();
    for wrong in [
        JetStreamOptions {
            replicas: 2,
            ..default()
        },
        JetStreamOptions {
            duplicate_window: Duration::from_secs(30),
            ..default()
        },
        JetStreamOptions {
            deadline: Duration::from_mins(10),
            ..default()
        },
        JetStreamOptions {
            prefix: "a.b".to_owned(),
            ..default()
        },
    ] {
        assert!(
            matches!(check_options(&wrong), Err(Error::Setting(_))),
            "{wrong:?}"
        );
    }
}

#[test]
fn what_is_made_anew_has_the_next_prefix() {
    for (prefix, next) in [
        ("", "r1"),
        ("r1", "r2"),
        ("wharf", "wharf-r1"),
        ("wharf-r9", "wharf-r10"),
        ("server2", "server2-r1"),
        ("r", "r-r1"),
    ] {
        assert_eq!(next_prefix(prefix), next);
        assert!(Names::new(next).is_some());
    }
}
