//! Names: what they resolve to is judged, and nothing else is dialled.

use std::{sync::Arc, time::Duration};

use wharf_domain::ports::{Http, HttpError, HttpRequest, TrustClass};

use super::{
    Mute, Names, SHORT, egress, get,
    server::{Server, answer},
};
use crate::{Egress, Options};

#[tokio::test]
async fn a_name_with_a_forbidden_address_is_refused_whatever_else_it_has() {
    let server = Server::start(answer("200 OK", "", "")).await;
    let hostile: [(&str, &[&str]); 8] = [
        ("loopback.example", &["127.0.0.1"]),
        ("metadata.google.internal", &["169.254.169.254"]),
        ("private.example", &["10.1.2.3"]),
        ("mapped.example", &["::ffff:127.0.0.1"]),
        ("nat64.example", &["64:ff9b::7f00:1"]),
        ("unspecified.example", &["0.0.0.0"]),
        ("first-good.example", &["93.184.215.14", "127.0.0.1"]),
        ("first-bad.example", &["::1", "93.184.215.14"]),
    ];
    let mut names = Names::none();
    for (name, addresses) in hostile {
        names = names.with(name, &[addresses]);
    }
    let egress = egress(&[], names);
    for (name, addresses) in hostile {
        let url = server.url(name);
        // The form is fine; only the resolver can know.
        assert_eq!(egress.check(&url, TrustClass::Caller), Ok(()));
        let error = egress.send(get(url)).await.unwrap_err();
        assert!(matches!(error, HttpError::Blocked(_)), "{name}: {error}");
        // What the operator's names resolve to is nobody's business.
        for address in addresses {
            assert!(!error.to_string().contains(address));
        }
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_refused_at_the_next_connection() {
    let server = Server::start(answer("200 OK", "", "")).await;
    let names = Names::none().with("rebind.example", &[&["127.0.0.2"], &["127.0.0.1"]]);
    // 127.0.0.2 plays the public address; 127.0.0.1 is forbidden, and the server listens there, too.
    let egress = egress(&["127.0.0.2/32"], names);
    let url = server.url("rebind.example");
    assert_eq!(egress.send(get(url.as_str())).await.unwrap().status, 200);
    let second = egress.send(get(url)).await;
    assert!(matches!(second, Err(HttpError::Blocked(_))));
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn only_the_judged_addresses_are_dialled_and_the_host_header_keeps_the_name() {
    let server = Server::start(answer("200 OK", "", "")).await;
    let names = Names::none().with("hook.example", &[&["127.0.0.2"]]);
    let egress = egress(&["127.0.0.2/32"], names);
    egress.send(get(server.url("hook.example"))).await.unwrap();
    let request = server.requests().remove(0);
    assert!(request.contains(&format!("host: hook.example:{}\r\n", server.port())));
}

#[tokio::test]
async fn a_name_without_addresses_cannot_be_connected_to() {
    let egress = egress(&[], Names::none().with("empty.example", &[&[]]));
    for name in ["unknown.example", "empty.example"] {
        let error = egress
            .send(get(format!("https://{name}/")))
            .await
            .unwrap_err();
        assert_eq!(
            error,
            HttpError::Connect("the name does not resolve".to_owned())
        );
    }
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_costs_its_own_limit_or_the_requests() {
    let mute = |resolve_timeout| {
        Egress::new(Options {
            resolver: Arc::new(Mute),
            resolve_timeout,
            ..Options::default()
        })
        .unwrap()
    };
    let slow = mute(Duration::from_millis(50))
        .send(get("http://mute.example/"))
        .await;
    assert_eq!(
        slow.unwrap_err(),
        HttpError::Connect("the name did not resolve within the time limit".to_owned())
    );
    let late = mute(Duration::from_secs(60))
        .send(HttpRequest {
            timeout: SHORT,
            ..get("http://mute.example/")
        })
        .await;
    assert_eq!(late.unwrap_err(), HttpError::Timeout);
}

#[tokio::test]
async fn the_systems_resolver_is_guarded_as_well() {
    let server = Server::start(answer("200 OK", "", "")).await;
    let near = Egress::new(Options {
        allow: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        ..Options::default()
    })
    .unwrap();
    // May try ::1 first, where nothing listens.
    let response = near.send(get(server.url("localhost"))).await.unwrap();
    assert_eq!(response.status, 200);
}
