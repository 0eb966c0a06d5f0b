//! What requests may not be.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::Value;

use super::{Pages, body, double, fingerprint, query};
use crate::{ApiOptions, problem::Error};

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Full,
    Delta,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    count: u32,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Closed {
    name: String,
    kind: Option<Kind>,
    #[serde(default)]
    flag: bool,
    #[serde(default, deserialize_with = "double")]
    inner: Option<Option<Inner>>,
    #[serde(default)]
    list: Vec<Inner>,
    #[serde(default)]
    map: BTreeMap<String, Option<String>>,
}

fn json_type() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers
}

fn parse(body: &str) -> Result<Closed, Error> {
    body::parse(&json_type(), body.as_bytes())
}

/// Code, field and message of a refusal.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (String, String, String) {
    let error = result.unwrap_err();
    let (code, fields) = error.parts();
    let (field, message) = fields
        .first()
        .map(|first| (first.field.clone(), first.message.clone()))
        .unwrap_or_default();
    (code.to_owned(), field, message)
}

#[test]
fn a_body_that_fits_is_read() {
    let body =
        parse(r#"{"name": "a", "kind": "delta", "inner": {"count": 3}, "map": {"x": null}}"#);
    let body = body.unwrap();
    assert_eq!(body.kind, Some(Kind::Delta));
    assert_eq!(body.inner, Some(Some(Inner { count: 3 })));
    assert_eq!(body.map, BTreeMap::from([("x".to_owned(), None)]));
}

#[test]
fn null_and_absence_are_told_apart() {
    assert_eq!(
        parse(r#"{"name": "a", "inner": null}"#).unwrap().inner,
        Some(None)
    );
    assert_eq!(parse(r#"{"name": "a"}"#).unwrap().inner, None);
}

#[test]
fn an_unknown_field_is_refused_by_name_at_any_depth() {
    let (code, field, message) = refused(parse(r#"{"name": "a", "nme": 1}"#));
    assert_eq!((code.as_str(), field.as_str()), ("F40022", "nme"));
    assert!(message.contains("known here are name, kind"), "{message}");
    let (_, field, _) = refused(parse(
        r#"{"name": "a", "list": [{"count": 1}, {"count": 1, "x": 1}]}"#,
    ));
    assert_eq!(field, "list.1.x");
}

#[test]
fn a_missing_field_is_named() {
    let (code, field, message) = refused(parse("{}"));
    assert_eq!(
        (code.as_str(), field.as_str(), message.as_str()),
        ("F40022", "name", "required")
    );
    let (_, field, _) = refused(parse(r#"{"name": "a", "inner": {}}"#));
    assert_eq!(field, "inner.count");
}

#[test]
fn an_object_is_no_array_of_its_fields() {
    for (body, place) in [
        (r#"["a", "full", true]"#, ""),
        ("[]", ""),
        ("null", ""),
        (r#"{"name": "a", "inner": [3]}"#, "inner"),
        (r#"{"name": "a", "list": [[3]]}"#, "list.0"),
    ] {
        let (code, field, message) = refused(parse(body));
        assert_eq!((code.as_str(), field.as_str()), ("F40022", place), "{body}");
        assert!(
            message.starts_with("expected an object, got "),
            "{body}: {message}"
        );
    }
}

#[test]
fn a_wrong_type_is_named_without_its_value() {
    let (_, field, message) = refused(parse(r#"{"name": "a", "inner": {"count": "hunter2"}}"#));
    assert_eq!(field, "inner.count");
    assert_eq!(message, "expected u32, got a string");
    let (_, field, message) = refused(parse(r#"{"name": "a", "inner": {"count": -1}}"#));
    assert_eq!(
        (field.as_str(), message.as_str()),
        ("inner.count", "out of range: expected u32")
    );
    let (_, field, message) = refused(parse(r#"{"name": "a", "kind": "hunter2"}"#));
    assert_eq!(
        (field.as_str(), message.as_str()),
        ("kind", "expected one of full, delta")
    );
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for body in ["[]", "1", "null", "\"text\""] {
        assert_eq!(refused(parse(body)).0, "F40022", "{body}");
    }
}

#[test]
fn malformed_json_is_not_a_wrong_field() {
    for body in [
        "{",
        "{\"name\": }",
        "nope",
        "{} {}",
        "{\"name\": \"\u{0}\"}",
    ] {
        assert_eq!(refused(parse(body)).0, "F40000", "{body}");
    }
    assert_eq!(
        refused(body::parse::<Closed>(&json_type(), b"{\"name\": \"\xff\"}")).0,
        "F40000"
    );
}

#[test]
fn json_may_not_be_nested_without_end() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(body::parse::<Value>(&json_type(), deep(100).as_bytes()).is_ok());
    let refusal = body::parse::<Value>(&json_type(), deep(100_000).as_bytes());
    assert_eq!(refused(refusal).0, "F40000");
}

#[test]
fn only_json_is_read() {
    let typed = |content_type: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        body::parse::<Closed>(&headers, br#"{"name": "a"}"#)
    };
    for good in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/merge-patch+json",
    ] {
        assert!(typed(good).is_ok(), "{good}");
    }
    for bad in [
        "text/plain",
        "application/xml",
        "application/json; charset=latin1",
        "json",
    ] {
        assert_eq!(refused(typed(bad)).0, "F40015", "{bad}");
    }
    let none = body::parse::<Closed>(&HeaderMap::new(), br#"{"name": "a"}"#);
    assert_eq!(refused(none).0, "F40015");
}

#[test]
fn no_body_is_an_empty_object() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Optional {
        flag: Option<bool>,
    }
    let none: Optional = body::parse(&HeaderMap::new(), b"").unwrap();
    assert_eq!(none.flag, None);
    assert_eq!(
        refused(body::parse::<Closed>(&HeaderMap::new(), b"")).1,
        "name"
    );
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Parameters {
    page: Option<u32>,
    flag: Option<bool>,
    kind: Option<Kind>,
    text: Option<String>,
    id: Option<uuid::Uuid>,
}

#[test]
fn query_parameters_are_read_as_their_types() {
    let id = "0198f3c2-7c1e-7a52-9d57-1f6c2a3b4d5e";
    let read: Parameters = query::read(&format!(
        "page=7&flag=true&kind=full&text=a%20b%26c&id={id}"
    ))
    .unwrap();
    assert_eq!(read.page, Some(7));
    assert_eq!(read.flag, Some(true));
    assert_eq!(read.kind, Some(Kind::Full));
    assert_eq!(read.text.as_deref(), Some("a b&c"));
    assert_eq!(read.id.unwrap().to_string(), id);
    assert_eq!(query::read::<Parameters>("").unwrap().page, None);
}

#[test]
fn a_wrong_parameter_is_refused_by_name() {
    for (query, field) in [
        ("pgae=1", "pgae"),
        ("page=one", "page"),
        ("page=-1", "page"),
        ("page=", "page"),
        ("page=99999999999", "page"),
        ("flag=yes", "flag"),
        ("kind=half", "kind"),
        ("id=7", "id"),
        ("page=1&page=2", "page"),
    ] {
        let (code, got, _) = refused(query::read::<Parameters>(query));
        assert_eq!((code.as_str(), got.as_str()), ("F40022", field), "{query}");
    }
}

#[test]
fn pages_have_the_contracts_bounds() {
    let options = ApiOptions::default();
    let of = |page, size| Pages::of(page, size, &options);
    assert_eq!(of(None, None).unwrap(), Pages { page: 1, size: 20 });
    assert_eq!(
        of(Some(3), Some(100)).unwrap(),
        Pages { page: 3, size: 100 }
    );
    assert_eq!(refused(of(Some(0), None)).1, "page");
    assert_eq!(refused(of(None, Some(0))).1, "size");
    assert_eq!(refused(of(None, Some(101))).1, "size");
}

#[test]
fn a_fingerprint_is_of_method_path_query_and_body() {
    let of = |method, uri: &'static str, body: &str| {
        fingerprint(method, &http::Uri::from_static(uri), body.as_bytes())
    };
    let one = of("POST", "/a?x=1", "{}");
    assert_eq!(one, of("POST", "/a?x=1", "{}"));
    for other in [
        of("PUT", "/a?x=1", "{}"),
        of("POST", "/b?x=1", "{}"),
        of("POST", "/a?x=2", "{}"),
        of("POST", "/a?x=1", "{ }"),
    ] {
        assert_ne!(one, other);
    }
}
