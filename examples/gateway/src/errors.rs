//! What the caller is told when there is no answer of a provider, in the caller's dialect.

use std::{error::Error, io};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use hyper_util::client::legacy;
use llm_exchange::{BoxError, Dialect, ErrorAnswer, Unreadable};

use crate::{provider::ProviderDialect, upload::Fault};

/// The shape in which a caller reads errors: of the API that is called, and of other paths that of
/// the provider's.
pub(crate) fn dialect(uri: &Uri, headers: &HeaderMap) -> Option<Dialect> {
    // whatever the method: an error of it is told in the same shape
    let called = Dialect::of(&Method::POST, uri);
    called.or(match ProviderDialect::of(uri, headers) {
        ProviderDialect::OpenAi => Some(Dialect::OpenAiChat),
        ProviderDialect::Anthropic => Some(Dialect::AnthropicMessages),
        ProviderDialect::Gemini => Some(Dialect::Gemini),
        ProviderDialect::Bedrock => Some(Dialect::BedrockConverse),
        ProviderDialect::Ollama => Some(Dialect::Ollama),
        ProviderDialect::KServe => Some(Dialect::KServeGrpc),
    })
}

pub(crate) fn response(answer: ErrorAnswer, dialect: Option<Dialect>) -> Response<Body> {
    let mut response = answer.into_response::<Body>(dialect).map(Body::new);
    if response.status() == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        let name = header::WWW_AUTHENTICATE;
        response.headers_mut().insert(name, bearer);
    }
    response
}

pub(crate) fn not_found() -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::NOT_FOUND,
        "unknown_path",
        "the gateway serves the paths under /v1/, /v1beta/, /model/ and /api/, gRPC, and GET /health",
    )
}

pub(crate) fn method_not_allowed() -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the gateway does not pass this method on",
    )
}

pub(crate) fn bad_path() -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::BAD_REQUEST,
        "invalid_path",
        "the path is too long or has '.' or '..' segments",
    )
}

pub(crate) fn foreign_page() -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::FORBIDDEN,
        "origin_not_allowed",
        "a web page of another origin may not use the key of this gateway",
    )
}

pub(crate) fn no_key() -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::UNAUTHORIZED,
        "invalid_api_key",
        "the call has no key that this gateway knows",
    )
}

pub(crate) fn no_user() -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::UNAUTHORIZED,
        "user_required",
        "the call does not say whose it is: the proxy in front of this gateway names one user",
    )
}

pub(crate) fn unreadable(why: Unreadable) -> ErrorAnswer {
    ErrorAnswer::new(StatusCode::BAD_REQUEST, "invalid_request", why.to_string())
}

pub(crate) fn no_model() -> ErrorAnswer {
    ErrorAnswer::new(
        StatusCode::BAD_REQUEST,
        "model_required",
        "the request names no model",
    )
}

pub(crate) fn upload(fault: Fault) -> ErrorAnswer {
    match fault {
        Fault::TooLong => ErrorAnswer::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            "the request body of an LLM call may have 32 MiB",
        ),
        Fault::Stalled => ErrorAnswer::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the request body stopped coming",
        ),
        // nobody is there to read it, most likely
        Fault::Broken => ErrorAnswer::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "the request body broke off",
        ),
    }
}

/// The provider gave no answer. It is named as configured; its address is not told.
pub(crate) fn upstream(error: &BoxError, provider: &str) -> ErrorAnswer {
    let facts = Facts::of(&**error);
    if facts.timed_out {
        ErrorAnswer::new(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            format!("the provider {provider} did not answer in time"),
        )
    } else if facts.connecting {
        ErrorAnswer::new(
            StatusCode::BAD_GATEWAY,
            "upstream_unreachable",
            format!("the provider {provider} could not be reached"),
        )
    } else {
        ErrorAnswer::new(
            StatusCode::BAD_GATEWAY,
            "upstream_failed",
            format!("the connection to the provider {provider} broke before it answered"),
        )
    }
}

#[derive(Default)]
struct Facts {
    connecting: bool,
    timed_out: bool,
}

impl Facts {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut facts = Self::default();
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<legacy::Error>() {
                facts.connecting |= error.is_connect();
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                facts.timed_out |= error.kind() == io::ErrorKind::TimedOut;
            }
            cause = error.source();
        }
        facts
    }
}
