//! Errors of our own in OpenAI's shape.

use serde::Serialize;

use super::{json, wire::Problem};
use crate::stream::ending::Last;

/// `{"error":{"message","type","param":null,"code"}}`.
pub(super) fn error(problem: &Problem<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: Error<'a>,
    }

    #[derive(Serialize)]
    struct Error<'a> {
        message: &'a str,
        r#type: &'a str,
        param: Option<&'a str>,
        code: &'a str,
    }

    json::written(&Body {
        error: Error {
            message: problem.message,
            r#type: error_type(problem.status),
            param: None,
            code: problem.code,
        },
    })
}

const fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

pub(super) fn ended_by_error(problem: &Problem<'_>) -> Vec<Last> {
    vec![Last::new(error(problem)), Last::new("[DONE]")]
}
