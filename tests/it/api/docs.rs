//! The API's own documentation: it answers without internet, loads nothing from elsewhere and lets no
//! script in.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Shared;

static HUB: Shared = Shared::new();

/// Directives of a policy: name and sources.
fn directives(policy: &str) -> Vec<(String, Vec<String>)> {
    policy
        .split(';')
        .map(|directive| {
            let mut words = directive.split_whitespace().map(ToOwned::to_owned);
            (words.next().unwrap(), words.collect())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_files_come_from_this_hub_alone() {
    let hub = HUB.hub();
    let stranger = hub.stranger();
    let page = stranger.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    let mut files = vec![("/docs".to_owned(), page.clone())];
    let mut loaded = BTreeSet::new();
    for attribute in ["src=\"", "href=\""] {
        for rest in page.text.split(attribute).skip(1) {
            let address = rest.split('"').next().unwrap();
            assert!(
                address.starts_with('/') && !address.starts_with("//"),
                "{address} is elsewhere"
            );
            if loaded.insert(address.to_owned()) {
                files.push((address.to_owned(), stranger.get(address).await));
            }
        }
    }
    assert!(
        loaded.iter().any(|name| name.ends_with(".js")),
        "{loaded:?}"
    );
    assert!(
        loaded.iter().any(|name| name.ends_with(".css")),
        "{loaded:?}"
    );
    for (path, file) in &files {
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.headers["x-content-type-options"], "nosniff", "{path}");
        if path == "/openapi.json" {
            continue;
        }
        for elsewhere in ["http://", "https://", "//cdn", "@import", "url("] {
            assert!(!file.text.contains(elsewhere), "{path} names {elsewhere}");
        }
        let policy = file.headers["content-security-policy"].to_str().unwrap();
        for (directive, sources) in directives(policy) {
            for source in sources {
                assert!(
                    ["'none'", "'self'"].contains(&&*source),
                    "{path}: {directive} {source}"
                );
            }
        }
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(policy.contains("base-uri 'none'"), "{path}: {policy}");
    }
    // The policy would stop it anyway; it is not even there.
    assert!(
        !page.text.contains("<script>") && !page.text.contains(" onclick"),
        "inline script"
    );
    assert!(
        !page.text.contains("<style") && !page.text.contains(" style="),
        "inline style"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_openapi_31_and_names_every_answer() {
    let hub = HUB.hub();
    let answer = hub.stranger().get("/openapi.json").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let api = answer.body;
    assert!(
        api["openapi"].as_str().unwrap().starts_with("3.1."),
        "{}",
        api["openapi"]
    );
    assert_eq!(api["servers"][0]["url"], hub.url);
    let mut ids = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let said = format!("{method} {path}");
            let id = operation["operationId"]
                .as_str()
                .unwrap_or_else(|| panic!("{said}: no id"));
            assert!(ids.insert(id.to_owned()), "{said}: {id} twice");
            assert!(operation["summary"].is_string(), "{said}: no summary");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{said}"
            );
            for wanted in ["500", "503"] {
                assert!(responses.contains_key(wanted), "{said}: no {wanted}");
            }
            // Every `{name}` is a parameter, and every parameter of the path is a `{name}`.
            let named: BTreeSet<_> = path
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split('}').next())
                .collect();
            let parameters = operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let given: BTreeSet<_> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(given, named, "{said}");
        }
    }
    let mut dangling = vec![];
    references(&api, &api, &mut dangling);
    assert_eq!(dangling, Vec::<String>::new());
    let (code, out, errors) = hub.home.run(&["openapi"]);
    assert_eq!(code, 0, "{errors}");
    let mut printed: Value = serde_json::from_str(&out).unwrap();
    let mut served = api;
    // Only a running hub knows where it is.
    for description in [&mut printed, &mut served] {
        description.as_object_mut().unwrap().remove("servers");
    }
    assert!(
        printed == served,
        "wharf openapi prints another description"
    );
}

/// `$ref`s that lead nowhere.
fn references(whole: &Value, part: &Value, dangling: &mut Vec<String>) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref")
                && whole.pointer(reference.trim_start_matches('#')).is_none()
            {
                dangling.push(reference.clone());
            }
            members
                .values()
                .for_each(|member| references(whole, member, dangling));
        }
        Value::Array(elements) => {
            elements
                .iter()
                .for_each(|element| references(whole, element, dangling));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_locked_down() {
    let hub = HUB.hub();
    for path in [
        "/api/v1/health",
        "/api/v1/integrations",
        "/nothing",
        "/openapi.json",
    ] {
        let answer = hub.stranger().get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(answer.headers[name], value, "{path}");
        }
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
    }
    // What is public and changes with the program only may be kept.
    let types = hub.stranger().get("/api/v1/integrations/types").await;
    assert_eq!(types.headers["cache-control"], "public, max-age=300");
}
