//! Names: of things, of projects, of streams; and what must not be printed.

use super::super::{
    Category, Hash, IntegrationId, InvalidId, InvalidProjectId, InvalidStreamId, Kind, ProjectId,
    RunId, Secret, StreamId, WebhookId, derive,
};

const UUID: &str = "0195f3d6-7a2b-7c3d-8e4f-0123456789ab";

#[test]
fn an_id_is_a_bare_uuid_in_text_and_in_json() {
    let id: RunId = UUID.parse().unwrap();
    assert_eq!(id.to_string(), UUID);
    assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{UUID}\""));
    assert_eq!(
        serde_json::from_str::<RunId>(&format!("\"{UUID}\"")).unwrap(),
        id
    );
    assert_eq!(format!("{id:?}"), format!("RunId({UUID})"));
    for bad in ["", "types", "0195f3d6", &UUID[1..]] {
        assert_eq!(bad.parse::<RunId>(), Err(InvalidId), "{bad}");
    }
}

#[test]
fn a_project_id_is_one_token_of_a_subject() {
    for good in ["a", "acme-1_B", "0", "x".repeat(64).as_str()] {
        assert_eq!(good.parse::<ProjectId>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        "a.b",
        "a b",
        "a*",
        ">",
        "a/b",
        "größe",
        "a\n",
        "x".repeat(65).as_str(),
    ] {
        assert_eq!(bad.parse::<ProjectId>(), Err(InvalidProjectId), "{bad}");
        assert!(serde_json::from_value::<ProjectId>(bad.into()).is_err());
    }
}

#[test]
fn a_stream_is_read_as_it_is_written() {
    let project: ProjectId = "acme".parse().unwrap();
    let uuid = derive(&[b"it"]);
    let (integration, webhook) = (IntegrationId(uuid), WebhookId(uuid));
    let streams = [
        StreamId::integration(&project, integration),
        StreamId::credential(&project, integration),
        StreamId::webhook(&project, webhook),
        StreamId::sync_runs(&project, integration),
        StreamId::deliveries(&project, webhook),
        StreamId::messages(&project),
    ];
    for (stream, category) in streams.iter().zip(Category::ALL) {
        assert_eq!(stream.category, category);
        assert_eq!(
            stream.to_string(),
            format!("acme.{}.{}", category.as_str(), stream.key())
        );
        assert_eq!(stream.to_string().parse().as_ref(), Ok(stream));
    }
    assert_eq!(streams[0].uuid(), Some(uuid));
    assert_eq!(streams[5].uuid(), None);
}

#[test]
fn what_is_no_stream_is_refused() {
    for bad in [
        "",
        "acme",
        "acme.webhook",
        "acme.webhook.",
        "acme.webhook.a.b",
        "acme.saga.a",
        ".webhook.a",
        "ac me.webhook.a",
        "acme.webhook.*",
    ] {
        assert_eq!(bad.parse::<StreamId>(), Err(InvalidStreamId), "{bad}");
    }
}

#[test]
fn the_name_of_a_category_is_the_same_in_json() {
    for category in Category::ALL {
        assert_eq!(serde_json::to_value(category).unwrap(), category.as_str());
    }
}

#[test]
fn decisions_have_an_aggregate_and_journals_a_bounded_parent() {
    let kinds = Category::ALL.map(Category::kind);
    assert_eq!(
        kinds,
        [
            Kind::Decision,
            Kind::Decision,
            Kind::Decision,
            Kind::Journal,
            Kind::Journal,
            Kind::Journal,
        ]
    );
}

/// A change here would give a client's retry another id than its first try had.
#[test]
fn a_derived_id_depends_on_its_parts_and_nothing_else_for_ever() {
    let id = derive(&[b"acme", b"key"]);
    assert_eq!(id.to_string(), "b78cd0ee-995b-8a4a-a3cf-73212f8e9e94");
    assert_eq!(id.get_version_num(), 8);
    assert_ne!(derive(&[b"a", b"bc"]), derive(&[b"ab", b"c"]));
    assert_ne!(derive(&[b"a"]), derive(&[b"a", b""]));
}

#[test]
fn a_hash_is_sixty_four_hexadecimal_digits() {
    let hash = Hash::of(&[b"a", b"bc"]);
    assert_eq!(hash.to_string().len(), 64);
    assert_eq!(hash.to_string().parse::<Hash>().unwrap(), hash);
    assert_eq!(
        serde_json::from_value::<Hash>(serde_json::to_value(hash).unwrap()).unwrap(),
        hash
    );
    assert_ne!(hash, Hash::of(&[b"ab", b"c"]));
    for bad in ["", "00", "zz".repeat(32).as_str()] {
        assert!(bad.parse::<Hash>().is_err(), "{bad}");
    }
}

#[test]
fn a_secret_does_not_print_itself() {
    let secret = Secret::new("hunter2".to_owned());
    assert_eq!(format!("{secret:?}"), "[secret]");
    assert_eq!(format!("{:?}", Some(secret.clone())), "Some([secret])");
    assert_eq!(secret.expose(), "hunter2");
}
