//! What is sent, what comes back, and what happens when it does not.

use bytes::Bytes;
use tokio::net::TcpListener;
use wharf_domain::ports::{Http, HttpError, HttpRequest};

use super::{
    Names, SHORT, egress, get,
    server::{Behaviour, Server, answer},
};
use crate::Egress;

/// 200,000 zero bytes, compressed.
const BOMB: &str = include_str!("bomb.gz.hex");

fn near() -> Egress {
    egress(&["127.0.0.0/8"], Names::none())
}

fn head(more: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{more}\r\n").into_bytes()
}

#[tokio::test]
async fn method_headers_and_body_go_out_as_given() {
    let server = Server::start(answer("201 Created", "X-Answer: Yes\r\n", "done")).await;
    let response = near()
        .send(HttpRequest {
            method: "POST",
            headers: vec![
                ("webhook-id".to_owned(), "msg_1".to_owned()),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: Bytes::from_static(b"{\"a\":1}"),
            ..get(server.url("127.0.0.1"))
        })
        .await
        .unwrap();
    assert_eq!(response.status, 201);
    assert_eq!(response.header("x-answer"), Some("Yes"));
    assert_eq!(&response.body[..], b"done");
    assert!(!response.truncated);

    let request = server.requests().remove(0);
    assert!(request.starts_with("POST /hook?token=QUERY-SECRET HTTP/1.1\r\n"));
    for line in [
        "webhook-id: msg_1\r\n",
        "content-type: application/json\r\n",
        "content-length: 7\r\n",
        concat!("user-agent: wharf/", env!("CARGO_PKG_VERSION"), "\r\n"),
    ] {
        assert!(request.contains(line), "{line} is missing in {request}");
    }
    assert!(request.ends_with("\r\n\r\n{\"a\":1}"));
    assert!(!request.contains("content-encoding"));
}

#[tokio::test]
async fn an_empty_body_is_announced_where_the_method_has_one() {
    let server = Server::start(answer("204 No Content", "", "")).await;
    let egress = near();
    for method in ["POST", "GET"] {
        egress
            .send(HttpRequest {
                method,
                ..get(server.url("127.0.0.1"))
            })
            .await
            .unwrap();
    }
    let [post, get] = server.requests().try_into().unwrap();
    assert!(post.contains("content-length: 0\r\n"), "{post}");
    assert!(!get.contains("content-length"), "{get}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let target = Server::start(answer("200 OK", "", "")).await;
    let location = format!("Location: http://127.0.0.1:{}/\r\n", target.port());
    for status in ["301 Moved", "302 Found", "307 Again", "308 Moved"] {
        let server = Server::start(answer(status, &location, "")).await;
        let response = near().send(get(server.url("127.0.0.1"))).await.unwrap();
        assert_eq!(response.status.to_string(), status[..3]);
        assert!(response.header("location").is_some());
        assert_eq!(server.hits(), 1);
    }
    assert_eq!(target.hits(), 0);
}

#[tokio::test]
async fn headers_of_the_connection_and_broken_ones_are_refused() {
    let server = Server::start(answer("200 OK", "", "")).await;
    let egress = near();
    for (name, value) in [
        ("host", "internal.example"),
        ("Host", "internal.example"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic HEADER-SECRET"),
        ("bad name", "x"),
        ("", "x"),
        ("x-split", "HEADER-SECRET\r\nx-smuggled: 1"),
        ("x-null", "HEADER-SECRET\0"),
    ] {
        let error = egress
            .send(HttpRequest {
                headers: vec![(name.to_owned(), value.to_owned())],
                ..get(server.url("127.0.0.1"))
            })
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::BadUrl(_)), "{name}: {error}");
        assert!(!error.to_string().contains("SECRET"));
    }
    let broken_method = HttpRequest {
        method: "GET /\r\n",
        ..get(server.url("127.0.0.1"))
    };
    assert!(matches!(
        egress.send(broken_method).await,
        Err(HttpError::BadUrl(_))
    ));
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_body_is_cut_off_at_the_limit() {
    let server = Server::start(answer("200 OK", "", "0123456789")).await;
    let egress = near();
    for (limit, expected, truncated) in [
        (0, "", true),
        (9, "012345678", true),
        (10, "0123456789", false),
        (11, "0123456789", false),
    ] {
        let response = egress
            .send(HttpRequest {
                max_body_bytes: limit,
                ..get(server.url("127.0.0.1"))
            })
            .await
            .unwrap();
        assert_eq!(&response.body[..], expected.as_bytes());
        assert_eq!(response.truncated, truncated, "limit {limit}");
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_off_and_its_connection_closed() {
    for framing in ["", "transfer-encoding: chunked\r\n"] {
        // A chunk of a terabyte and more.
        let mut bytes = head(framing);
        if !framing.is_empty() {
            bytes.extend_from_slice(b"fffffffffff\r\n");
        }
        let mut server = Server::start(Behaviour::Floods(bytes)).await;
        let response = near()
            .send(HttpRequest {
                max_body_bytes: 10_000,
                ..get(server.url("127.0.0.1"))
            })
            .await
            .unwrap();
        assert!(response.truncated);
        assert_eq!(response.body.len(), 10_000);
        // The rest is what fits into the kernel's buffers.
        let sent = server.flooded().await;
        assert!(sent < 16 << 20, "{sent} bytes were taken");
    }
}

#[tokio::test]
async fn a_compressed_body_is_cut_off_by_its_real_size() {
    let packed = hex::decode(BOMB.trim()).unwrap();
    assert!(packed.len() < 1_000);
    let mut bytes = head(&format!(
        "content-encoding: gzip\r\ncontent-length: {}\r\n",
        packed.len()
    ));
    bytes.extend_from_slice(&packed);
    let server = Server::start(Behaviour::Sends(bytes)).await;
    let response = near()
        .send(HttpRequest {
            max_body_bytes: 10_000,
            ..get(server.url("127.0.0.1"))
        })
        .await
        .unwrap();
    assert!(response.truncated);
    assert_eq!(&response.body[..], &[0; 10_000]);
}

#[tokio::test]
async fn the_deadline_covers_headers_and_body_and_no_trickle_extends_it() {
    for behaviour in [
        Behaviour::Stalls(Vec::new()),
        Behaviour::Stalls(b"HTTP/1.1 200 OK\r\nx-half: ".to_vec()),
        Behaviour::Stalls(head("content-length: 1000\r\n")),
        Behaviour::Stalls([head("content-length: 1000\r\n"), b"some".to_vec()].concat()),
        Behaviour::Floods(head("")),
    ] {
        let server = Server::start(behaviour).await;
        let error = near()
            .send(HttpRequest {
                timeout: SHORT,
                max_body_bytes: usize::MAX,
                ..get(server.url("127.0.0.1"))
            })
            .await
            .unwrap_err();
        assert_eq!(error, HttpError::Timeout);
        assert_eq!(server.hits(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_broken_and_not_tried_again() {
    for behaviour in [
        Behaviour::Resets,
        Behaviour::Sends(Vec::new()),
        Behaviour::Sends(b"HTTP/1.1 200 OK\r\nx-half: ".to_vec()),
        Behaviour::Sends(b"this is not HTTP\r\n\r\n".to_vec()),
        Behaviour::Sends([head("content-length: 1000\r\n"), b"some".to_vec()].concat()),
        Behaviour::Sends(
            [
                head("content-length: 4\r\ncontent-encoding: gzip\r\n"),
                b"some".to_vec(),
            ]
            .concat(),
        ),
    ] {
        let server = Server::start(behaviour).await;
        let error = near().send(get(server.url("127.0.0.1"))).await.unwrap_err();
        assert!(matches!(error, HttpError::Broken(_)), "{error}");
        assert_eq!(server.hits(), 1);
    }
}

#[tokio::test]
async fn where_nothing_listens_or_tls_fails_there_is_no_connection() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let refused = near()
        .send(get(format!("http://127.0.0.1:{port}/?token=QUERY-SECRET")))
        .await
        .unwrap_err();
    assert!(matches!(refused, HttpError::Connect(_)), "{refused}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let egress = near();
    let (tls, ()) = tokio::join!(
        egress.send(get(format!("https://127.0.0.1:{port}/?token=QUERY-SECRET"))),
        async {
            let (stream, _) = listener.accept().await.unwrap();
            stream
                .try_write(b"HTTP/1.1 400 no TLS here\r\n\r\n")
                .unwrap();
        }
    );
    let tls = tls.unwrap_err();
    assert!(matches!(tls, HttpError::Connect(_)), "{tls}");
}

#[tokio::test]
async fn no_message_repeats_a_query_a_credential_or_a_body() {
    let planted = "QUERY-SECRET";
    let server = Server::start(Behaviour::Sends(b"BODY-SECRET, not HTTP\r\n\r\n".to_vec())).await;
    let names = Names::none().with("inner.example", &[&["10.0.0.1"]]);
    let egress = egress(&["127.0.0.2/32"], names);
    let port = server.port();
    for url in [
        format!("http://127.0.0.2:{port}/{planted}?q={planted}"),
        format!("http://127.0.0.1:{port}/{planted}?q={planted}"),
        format!("http://inner.example/{planted}?q={planted}"),
        format!("http://unknown.example/{planted}?q={planted}"),
        format!("http://user:{planted}@127.0.0.2/"),
        format!("http://127.0.0.2:{planted}/"),
        format!("{planted}://127.0.0.2/"),
        format!("http://[{planted}]/"),
    ] {
        let error = egress
            .send(HttpRequest {
                headers: vec![("authorization".to_owned(), format!("Bearer {planted}"))],
                ..get(url.as_str())
            })
            .await
            .unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("SECRET"), "{url}: {shown}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let mut kept_open = head("content-length: 2\r\n");
    kept_open.extend_from_slice(b"ok");
    let server = Server::start(Behaviour::Answers(kept_open)).await;
    let egress = near();
    for _ in 0..3 {
        let response = egress.send(get(server.url("127.0.0.1"))).await.unwrap();
        assert_eq!(&response.body[..], b"ok");
    }
    assert_eq!(server.requests().len(), 3);
    assert_eq!(server.hits(), 1);
}
