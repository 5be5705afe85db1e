//! The paths for a shell: `GET /fake/log` (`?bodies` shows request bodies too), `POST /fake/reset`.

use http::{HeaderMap, Method, Response, StatusCode, request::Parts};
use serde_json::{Value, json};

use crate::{answer::response, body::FakeBody, state::State};

/// `None`: the request is none of these. They are not written down.
pub(crate) fn answer(state: &State, head: &Parts) -> Option<Response<FakeBody>> {
    let (status, json) = match (&head.method, head.uri.path()) {
        (&Method::GET, "/fake/log") => {
            let bodies = head.uri.query() == Some("bodies");
            let entries = state.log.entries();
            let all: Vec<_> = entries.iter().map(|entry| entry.to_json(bodies)).collect();
            (StatusCode::OK, Value::from(all))
        }
        (&Method::POST, "/fake/reset") => {
            state.reset();
            (StatusCode::OK, json!({"reset": true}))
        }
        (_, "/fake/log" | "/fake/reset") => (
            StatusCode::METHOD_NOT_ALLOWED,
            json!({"error": "GET /fake/log, POST /fake/reset"}),
        ),
        _ => return None,
    };
    let body = FakeBody::plain(None, format!("{json:#}\n").into());
    Some(response(status, "application/json", HeaderMap::new(), body))
}
