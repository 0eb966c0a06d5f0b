//! Answers of platforms, sorted into what the engine does about them.

use bytes::Bytes;
use serde::Deserialize;

use super::*;

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResponse {
    HttpResponse {
        status,
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        truncated: false,
    }
}

fn now() -> Timestamp {
    "1994-11-06T08:49:07Z".parse().unwrap()
}

fn refused(status: u16, headers: &[(&str, &str)]) -> ConnectorError {
    success(Ok(answer(status, headers, "secret body")), now()).unwrap_err()
}

#[test]
fn every_status_says_what_to_do() {
    assert!(success(Ok(answer(204, &[], "")), now()).is_ok());
    assert_eq!(refused(401, &[]), ConnectorError::Unauthorized);
    assert_eq!(
        refused(429, &[]),
        ConnectorError::RateLimited { retry_after: None }
    );
    let wait = [("retry-after", "7")];
    let limited = ConnectorError::RateLimited {
        retry_after: Some(Duration::from_secs(7)),
    };
    assert_eq!(refused(429, &wait), limited);
    assert_eq!(refused(403, &wait), limited);
    assert_eq!(refused(503, &wait), limited);
    for status in [408, 425, 500, 502, 503, 599] {
        assert!(
            matches!(refused(status, &[]), ConnectorError::Transient(_)),
            "{status}"
        );
    }
    for status in [301, 400, 403, 404, 410, 422] {
        assert!(
            matches!(refused(status, &[]), ConnectorError::Permanent(_)),
            "{status}"
        );
    }
}

#[test]
fn the_body_is_never_repeated() {
    for status in [400, 500] {
        assert!(!refused(status, &[]).to_string().contains("secret"));
    }
    #[derive(Debug, Deserialize)]
    struct Shape {
        #[expect(dead_code, reason = "only its type matters")]
        a: u32,
    }
    for body in [
        "{\"a\": \"secret\"}",
        "secret",
        "{\"a\": ",
        "{\"secret\": 1}",
    ] {
        let error = json::<Shape>(&answer(200, &[], body)).unwrap_err();
        assert!(matches!(error, ConnectorError::Malformed(_)));
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn an_answer_that_was_cut_off_is_malformed_even_if_it_reads() {
    let mut cut = answer(200, &[], "[]");
    cut.truncated = true;
    assert!(matches!(
        json::<Vec<u8>>(&cut),
        Err(ConnectorError::Malformed(_))
    ));
    assert_eq!(json::<Vec<u8>>(&answer(200, &[], "[1]")), Ok(vec![1]));
}

#[test]
fn no_answer_passes_unless_the_address_is_forbidden() {
    for (error, transient) in [
        (HttpError::Timeout, true),
        (HttpError::Connect("refused".to_owned()), true),
        (HttpError::Broken("reset".to_owned()), true),
        (HttpError::Blocked("loopback".to_owned()), false),
        (HttpError::BadUrl("no scheme".to_owned()), false),
    ] {
        let failed = success(Err(error), now()).unwrap_err();
        assert_eq!(matches!(failed, ConnectorError::Transient(_)), transient);
        assert_eq!(matches!(failed, ConnectorError::Permanent(_)), !transient);
    }
}

#[test]
fn retry_after_is_read_in_all_its_forms() {
    for text in [
        "30",
        " 30 ",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        let wait = retry_after(&answer(429, &[("retry-after", text)], ""), now());
        assert_eq!(wait, Some(Duration::from_secs(30)), "{text}");
    }
    let past = answer(429, &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], "");
    assert_eq!(retry_after(&past, now()), Some(Duration::ZERO));
    for text in ["", "soon", "-5", "1.5"] {
        assert_eq!(
            retry_after(&answer(429, &[("retry-after", text)], ""), now()),
            None,
            "{text}"
        );
    }
}
