//! Answers of the gateway's own, in the caller's dialect.

use std::error::Error;

use axum::body::Body;
use http::{Response, StatusCode};
use http_body_util::Empty;
use llm_exchange::{AnswerBody, BoxError, Classify, Dialect, ErrorAnswer, Standard, Verdict};

use crate::{proxy::MAX_CALL_BYTES, upload::Cut};

fn answer(answer: ErrorAnswer, dialect: Option<Dialect>) -> Response<Body> {
    let response: Response<AnswerBody<Empty<bytes::Bytes>>> = answer.into_response(dialect);
    response.map(Body::new)
}

pub(crate) fn not_found() -> Response<Body> {
    let message = "no such path: the gateway serves paths under /v1/, and /health";
    answer(
        ErrorAnswer::new(StatusCode::NOT_FOUND, "unknown_path", message),
        None,
    )
}

pub(crate) fn invalid(dialect: Dialect, message: String) -> Response<Body> {
    let code = "invalid_request";
    answer(
        ErrorAnswer::new(StatusCode::BAD_REQUEST, code, message),
        Some(dialect),
    )
}

pub(crate) fn too_large(dialect: Dialect) -> Response<Body> {
    let message = format!("the request body is larger than {MAX_CALL_BYTES} bytes");
    let code = "request_too_large";
    answer(
        ErrorAnswer::new(StatusCode::PAYLOAD_TOO_LARGE, code, message),
        Some(dialect),
    )
}

pub(crate) fn cut(why: Cut, dialect: Option<Dialect>) -> Response<Body> {
    let (status, code) = match why {
        Cut::TooSlow => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
        Cut::Broken => (StatusCode::BAD_REQUEST, "request_broken"),
    };
    answer(ErrorAnswer::new(status, code, why.to_string()), dialect)
}

/// The provider could not be asked. What went wrong is for the log: it may name inner addresses.
pub(crate) fn unreachable(
    provider: &str,
    error: &BoxError,
    dialect: Option<Dialect>,
) -> Response<Body> {
    tracing::warn!(
        provider,
        error = causes(&**error),
        "the provider could not be reached"
    );
    let (status, code, what) = match Standard.error(error) {
        Verdict::TimedOut => (
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "did not answer in time",
        ),
        _ => (
            StatusCode::BAD_GATEWAY,
            "upstream_unreachable",
            "could not be reached",
        ),
    };
    answer(
        ErrorAnswer::new(status, code, format!("the provider {provider} {what}")),
        dialect,
    )
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
