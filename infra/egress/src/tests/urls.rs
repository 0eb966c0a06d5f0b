//! Hostile URLs, each tried against a server that listens on loopback.

use wharf_domain::ports::{Http, HttpError, HttpRequest, TrustClass};

use super::{
    Names, egress, get,
    server::{Server, answer},
};

#[tokio::test]
async fn no_way_of_writing_a_forbidden_address_reaches_it() {
    let server = Server::start(answer("200 OK", "", "")).await;
    let egress = egress(&[], Names::none());
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0X7F.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.2",
        "127.255.255.254",
        "①②⑦.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "any.localhost",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.100.100.200",
    ] {
        let url = server.url(host);
        let sent = egress.send(get(url.as_str())).await.unwrap_err();
        assert!(matches!(sent, HttpError::Blocked(_)), "{host}: {sent}");
        assert_eq!(egress.check(&url, TrustClass::Caller), Err(sent), "{host}");
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn what_is_no_plain_http_url_is_refused_before_anything_is_resolved() {
    let server = Server::start(answer("200 OK", "", "")).await;
    let egress = egress(&["127.0.0.0/8"], Names::none());
    let port = server.port();
    for url in [
        String::new(),
        "/relative".to_owned(),
        "127.0.0.1".to_owned(),
        "http://".to_owned(),
        "http://:80/".to_owned(),
        "http:///".to_owned(),
        format!("ftp://127.0.0.1:{port}/"),
        format!("file://127.0.0.1:{port}/etc/passwd"),
        format!("gopher://127.0.0.1:{port}/"),
        format!("ws://127.0.0.1:{port}/"),
        "data:text/plain,x".to_owned(),
        format!("http://user@127.0.0.1:{port}/"),
        format!("http://user:password@127.0.0.1:{port}/"),
        format!("http://:password@127.0.0.1:{port}/"),
        "http://127.0.0.1:99999/".to_owned(),
        "http://[fe80::1%25eth0]/".to_owned(),
        "http://[::1/".to_owned(),
        "http://exa mple.com/".to_owned(),
        "http://999.0.0.1/".to_owned(),
    ] {
        let sent = egress.send(get(url.as_str())).await.unwrap_err();
        assert!(matches!(sent, HttpError::BadUrl(_)), "{url}: {sent}");
        assert_eq!(egress.check(&url, TrustClass::Caller), Err(sent), "{url}");
    }
    assert_eq!(server.hits(), 0);
}

#[test]
fn ports_of_other_protocols_are_refused() {
    let egress = egress(&[], Names::none());
    let check =
        |port: u16| egress.check(&format!("http://example.com:{port}/"), TrustClass::Caller);
    for port in [0, 22, 25, 110, 587, 6667, 10080] {
        assert!(matches!(check(port), Err(HttpError::Blocked(_))), "{port}");
    }
    for port in [80, 443, 3000, 8080, 8443, 65535] {
        assert_eq!(check(port), Ok(()), "{port}");
    }
}

#[test]
fn ordinary_urls_pass_the_check() {
    let egress = egress(&[], Names::none());
    for url in [
        "https://example.com/hooks/1?x=y#fragment",
        "http://example.com",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:8443/",
        "https://bücher.example/",
    ] {
        assert_eq!(egress.check(url, TrustClass::Caller), Ok(()), "{url}");
    }
}

#[tokio::test]
async fn the_allow_list_lets_its_addresses_through_and_no_others() {
    let server = Server::start(answer("200 OK", "", "hello")).await;
    let egress = egress(&["127.0.0.2/32"], Names::none());
    let response = egress.send(get(server.url("127.0.0.2"))).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"hello"[..]));
    for other in ["127.0.0.1", "127.0.0.3", "localhost", "[::1]"] {
        let refused = egress.send(get(server.url(other))).await;
        assert!(matches!(refused, Err(HttpError::Blocked(_))), "{other}");
    }
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn the_hub_reaches_loopback_and_nothing_else() {
    let server = Server::start(answer("200 OK", "", "")).await;
    let names = Names::none()
        .with("localhost", &[&["127.0.0.1"]])
        .with("public.example", &[&["93.184.215.14"]])
        .with("both.example", &[&["127.0.0.1", "93.184.215.14"]]);
    let egress = egress(&["10.0.0.0/8"], names);
    let hub = |url: String| HttpRequest {
        trust: TrustClass::Hub,
        ..get(url)
    };
    for near in ["127.0.0.1", "127.1", "localhost", "[::ffff:127.0.0.1]"] {
        let response = egress.send(hub(server.url(near))).await;
        assert_eq!(response.unwrap().status, 200, "{near}");
    }
    assert_eq!(server.hits(), 4);
    for far in [
        "8.8.8.8",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "public.example",
        "both.example",
    ] {
        let refused = egress.send(hub(server.url(far))).await;
        assert!(matches!(refused, Err(HttpError::Blocked(_))), "{far}");
    }
    assert_eq!(server.hits(), 4);
}
