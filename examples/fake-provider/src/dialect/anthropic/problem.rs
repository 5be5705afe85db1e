//! Errors.

use super::{Problem, request_id};
use crate::{ask::quoted, failure::Kind};

pub(super) fn problem(number: u64, kind: &Kind, padding: &str) -> Problem {
    let rate_limit = "rate_limit_error";
    let (status, error, message, details) = match kind {
        Kind::RateLimited => (
            429,
            rate_limit,
            "This request would exceed the input tokens per minute limit.",
            "",
        ),
        Kind::Quota => (
            429,
            rate_limit,
            "The organization has reached its monthly usage limit.",
            r#","details":{"error_code":"enforced_spend_limit_reached"}"#,
        ),
        Kind::Overloaded => (529, "overloaded_error", "Overloaded", ""),
        Kind::ContextTooLong => (
            400,
            "invalid_request_error",
            "prompt is too long: 210021 tokens > 200000 maximum",
            "",
        ),
        Kind::Invalid(message) => (400, "invalid_request_error", message.as_str(), ""),
        Kind::MissingKey => (401, "authentication_error", "invalid x-api-key", ""),
        Kind::UnknownPath(message) => (404, "not_found_error", message.as_str(), ""),
        Kind::Status(status) => {
            let (error, message) = match status {
                401 => ("authentication_error", "invalid x-api-key"),
                402 => ("billing_error", "Your credit balance is too low."),
                403 => ("permission_error", "Not permitted."),
                404 => ("not_found_error", "model: not found"),
                409 => ("conflict_error", "Conflict."),
                413 => ("request_too_large", "Request exceeds the maximum size"),
                504 => ("timeout_error", "Timed out."),
                503 | 529 => ("overloaded_error", "Overloaded"),
                500.. => ("api_error", "Internal server error"),
                _ => ("invalid_request_error", "The request was refused."),
            };
            (*status, error, message, "")
        }
    };
    let body = format!(
        r#"{{"type":"error","error":{{"type":"{error}","message":{}{details}}},"request_id":"{}"}}"#,
        quoted(&format!("{message}{padding}")),
        request_id(number),
    );
    Problem::new(status, body)
}
