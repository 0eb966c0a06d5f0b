//! The API's description in OpenAPI 3.1: collected from the handlers, then completed with what holds for
//! every route, so that no handler has to repeat it.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::{
    OpenApi,
    openapi::{
        Components, Content, Ref, RefOr, Response, Server,
        extensions::Extensions,
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::problem::{ProblemEnvelope, problems};

/// What does not come from a handler.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Wharfinger",
        description = "Integration hub: connects accounts, syncs their data, delivers signed webhooks. \
            Every answer is `{code, msg, content}`; every write names its position in the log in \
            `X-Wharf-Position`, and a read with `?after=` that position shows it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "integrations", description = "A project's use of platform accounts"),
        (name = "platforms", description = "What can be integrated"),
        (name = "syncs", description = "Runs that fetch data"),
        (name = "imports", description = "Export files"),
        (name = "records", description = "What syncs and imports brought"),
        (name = "webhooks", description = "Where messages are sent, and what is sent"),
        (name = "events", description = "The log itself"),
        (name = "health", description = "The hub"),
    ),
    components(schemas(ProblemEnvelope))
)]
struct Base;

/// What the collected routes are added to.
pub(crate) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The API's description, as `wharf openapi` prints it.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut api = crate::routes::all().into_openapi();
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            complete(operation);
        }
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A JWT with `sub`, `project` and `roles`; for development `wharf token` makes one.",
        ))
        .build();
    api.components
        .get_or_insert_with(Components::default)
        .security_schemes
        .insert("bearer".to_owned(), SecurityScheme::Http(bearer).into());
    let table: Vec<_> = problems()
        .iter()
        .map(|problem| {
            json!({
                "code": problem.code,
                "statuses": problem.statuses,
                "title": problem.title,
                "remedy": problem.remedy,
            })
        })
        .collect();
    let mut extensions = Extensions::default();
    extensions.insert("x-problems".to_owned(), json!(table));
    api.extensions = Some(extensions);
    api
}

/// The description as it is served from `base_url`.
pub(crate) fn document(base_url: &str) -> bytes::Bytes {
    let mut api = openapi();
    api.servers = Some(vec![Server::new(base_url)]);
    // Made of strings and numbers: it has a JSON form.
    api.to_json().unwrap_or_default().into()
}

/// Every operation of a path.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.head,
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// Adds the problems that any such operation can answer, and explains every code.
fn complete(operation: &mut Operation) {
    let secured = operation.security.is_some();
    let json_body = matches!(&operation.request_body, Some(RefOr::T(body))
        if body.content.keys().any(|name| name.ends_with("json")));
    let mut codes: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    let mut add = |status: &str, code: &'static str| {
        let known = codes.entry(status.to_owned()).or_default();
        if !known.contains(&code) {
            known.push(code);
        }
    };
    for (status, response) in &operation.responses.responses {
        if let RefOr::T(response) = response {
            for word in response.description.split_whitespace() {
                if let Some(problem) = problems().iter().find(|problem| problem.code == word) {
                    add(status, problem.code);
                }
            }
        }
    }
    if secured {
        add("401", "F40001");
        add("403", "F40003");
    }
    if json_body {
        add("400", "F40000");
        add("413", "F40013");
        add("415", "F40015");
    }
    add("500", "F50000");
    add("503", "F50401");
    add("503", "F50403");
    for (status, codes) in codes {
        let text: Vec<_> = codes
            .into_iter()
            .filter_map(|code| problems().iter().find(|problem| problem.code == code))
            .map(|problem| format!("`{}` {}", problem.code, problem.title))
            .collect();
        let mut response = Response::new(text.join(", "));
        response.content.insert(
            "application/json".to_owned(),
            Content::new(Some(Ref::from_schema_name("ProblemEnvelope"))).into(),
        );
        operation
            .responses
            .responses
            .insert(status, response.into());
    }
}
