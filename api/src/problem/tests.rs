//! The problem table.

use std::collections::BTreeSet;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use wharf_domain::{integrations, kernel::RunId, ports::DispatchError};

use super::{Code, Error, internal, problems, render};

/// The contract's 17 codes and the seven that it lacked.
const CODES: [&str; 24] = [
    "S10000", "F40000", "F40001", "F40003", "F40004", "F40009", "F40013", "F40015", "F40022",
    "F40029", "F42301", "F42302", "F42303", "F42304", "F42305", "F42306", "F42307", "F42308",
    "F42309", "F42310", "F50000", "F50401", "F50402", "F50403",
];

async fn rendered(error: Error) -> (StatusCode, serde_json::Value) {
    let response: Response = render(error.into_response(), "req-1");
    let status = response.status();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[test]
fn the_table_has_every_code_once_and_nothing_else() {
    let codes: Vec<_> = problems().iter().map(|problem| problem.code).collect();
    assert_eq!(codes, CODES);
}

#[test]
fn every_row_says_what_and_what_to_do_and_with_which_status() {
    let mut titles = BTreeSet::new();
    for problem in problems() {
        assert!(
            titles.insert(problem.title),
            "{} shares its title",
            problem.code
        );
        assert!(!problem.remedy.is_empty(), "{} has no remedy", problem.code);
        assert!(
            !problem.statuses.is_empty(),
            "{} has no status",
            problem.code
        );
        let success = problem.code.starts_with('S');
        for status in problem.statuses {
            assert_eq!(success, (200..300).contains(status), "{}", problem.code);
        }
    }
}

#[tokio::test]
async fn a_problem_is_an_envelope_with_everything_a_caller_needs() {
    let (status, body) = rendered(Error::field("url", "required")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        body,
        serde_json::json!({
            "code": "F40022",
            "msg": "request parameter validation failed",
            "content": {
                "title": "request parameter validation failed",
                "detail": null,
                "remedy": "correct the fields named in `errors`; unknown fields and parameters are refused",
                "errors": [{"field": "url", "message": "required"}],
                "request_id": "req-1",
                "docs": "/docs#F40022",
            }
        })
    );
}

#[tokio::test]
async fn an_internal_error_tells_the_caller_nothing_but_the_request_id() {
    let (status, body) = rendered(internal("the password is hunter2")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!body.to_string().contains("hunter2"), "{body}");
    assert_eq!(body["content"]["request_id"], "req-1");
}

#[tokio::test]
async fn a_refusal_of_an_aggregate_gets_its_own_code() {
    let run = RunId(uuid::Uuid::nil());
    let refusals = [
        (integrations::Refusal::NotFound, 404, "F42303"),
        (integrations::Refusal::AlreadyRunning(run), 409, "F42305"),
        (integrations::Refusal::NeedsReauth, 409, "F42308"),
        (integrations::Refusal::InvalidName, 422, "F40022"),
    ];
    for (refusal, status, code) in refusals {
        let (got, body) = rendered(DispatchError::Refused(refusal).into()).await;
        assert_eq!(
            (got.as_u16(), body["code"].as_str().unwrap()),
            (status, code)
        );
    }
}

#[test]
fn an_append_in_doubt_asks_to_come_again() {
    let error: Error = DispatchError::<integrations::Refusal>::InDoubt.into();
    let response = error.into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
}

#[test]
fn a_status_that_differs_from_the_usual_is_still_one_of_the_row() {
    let error = Error::new(Code::SyncFailed).status(StatusCode::CONFLICT);
    assert_eq!(error.parts().0, "F42305");
    assert!(Code::SyncFailed.problem().statuses.contains(&409));
}
