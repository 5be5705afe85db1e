//! Errors, as OpenAI writes them and as others do.

use serde_json::{Value, json};

use super::{Problem, Server};
use crate::failure::{Failure, Kind};

struct Said<'a> {
    status: u16,
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
    message: &'a str,
}

pub(super) fn problem(failure: &Failure, padding: &str, server: Server) -> Problem {
    let said = said(&failure.kind);
    let status = said.status;
    let message = format!("{}{padding}", said.message);
    let body = match server {
        Server::Mistral => json!({
            "object": "error",
            "message": message,
            "type": said.kind,
            "param": said.param,
            "code": said.code,
        }),
        Server::Tgi => {
            let kind = match status {
                429 => "overloaded",
                422 | 400 => "validation",
                _ => "generation",
            };
            json!({"error": message, "error_type": kind})
        }
        Server::OpenRouter => json!({
            "error": {
                "code": status,
                "message": message,
                "metadata": {"error_type": said.code.unwrap_or(said.kind)},
            },
        }),
        Server::OpenAi
        | Server::Azure
        | Server::Groq
        | Server::DeepSeek
        | Server::Xai
        | Server::Vllm
        | Server::Ollama
        | Server::Gemini => {
            let code = match server {
                Server::Azure if status == 429 => "429".into(),
                Server::Vllm => status.into(),
                Server::Ollama => Value::Null,
                _ => said.code.into(),
            };
            let error = json!({
                "message": message,
                "type": said.kind,
                "param": said.param,
                "code": code,
            });
            json!({ "error": error })
        }
    };
    Problem::new(status, body.to_string())
}

fn said(kind: &Kind) -> Said<'_> {
    let invalid = |status, code, message| Said {
        status,
        kind: "invalid_request_error",
        param: None,
        code,
        message,
    };
    match kind {
        Kind::RateLimited => Said {
            status: 429,
            kind: "tokens",
            param: None,
            code: Some("rate_limit_exceeded"),
            message: "Rate limit reached for the fake model on tokens per min (TPM): Limit 2000000, Used 1999000, Requested 9000.",
        },
        Kind::Quota => Said {
            status: 429,
            kind: "insufficient_quota",
            param: None,
            code: Some("insufficient_quota"),
            message: "You exceeded your current quota, please check your plan and billing details.",
        },
        Kind::Overloaded => Said {
            status: 503,
            kind: "service_unavailable_error",
            param: None,
            code: Some("server_is_overloaded"),
            message: "The model is currently overloaded.",
        },
        Kind::ContextTooLong => Said {
            param: Some("messages"),
            ..invalid(
                400,
                Some("context_length_exceeded"),
                "This model's maximum context length is 128000 tokens. However, your messages resulted in 130021 tokens.",
            )
        },
        Kind::Invalid(message) => invalid(400, None, message),
        Kind::MissingKey => invalid(401, Some("invalid_api_key"), "Incorrect API key provided."),
        Kind::UnknownPath(message) => invalid(404, None, message),
        Kind::Status(status @ 500..) => Said {
            status: *status,
            kind: "server_error",
            param: None,
            code: None,
            message: "The server had an error while processing your request.",
        },
        Kind::Status(status) => {
            let code = match status {
                401 => Some("invalid_api_key"),
                404 => Some("model_not_found"),
                _ => None,
            };
            invalid(*status, code, "The request was refused.")
        }
    }
}
