//! Answers that a layer gives itself, in the caller's dialect.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::{AnswerBody, Dialect, stream::ending};

/// An error answer shaped as the caller's provider would shape it, so that an official SDK on the
/// other end understands it.
///
/// OpenAI's shape is `{"error":{"message","type","param":null,"code"}}`, Anthropic's
/// `{"type":"error","error":{"type","message"}}`. Where the dialect is unknown, OpenAI's is used.
///
/// ```
/// use http::StatusCode;
/// use llm_exchange::{AnswerBody, Dialect, ErrorAnswer};
///
/// let answer = ErrorAnswer::new(StatusCode::NOT_FOUND, "model_not_found", "no provider serves it");
/// let response: http::Response<AnswerBody<http_body_util::Empty<bytes::Bytes>>> =
///     answer.into_response(Some(Dialect::AnthropicMessages));
/// assert_eq!(response.status(), 404);
/// ```
#[derive(Clone, Debug)]
pub struct ErrorAnswer {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl ErrorAnswer {
    /// An answer of this status, with a machine-readable code and a sentence for people.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// Says when to come back: `retry-after` in whole seconds, rounded up, and `retry-after-ms`.
    #[must_use]
    pub const fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The JSON of the answer.
    #[must_use]
    pub fn body(&self, dialect: Option<Dialect>) -> Bytes {
        #[derive(Serialize)]
        struct OpenAi<'a> {
            error: OpenAiError<'a>,
        }

        #[derive(Serialize)]
        struct OpenAiError<'a> {
            message: &'a str,
            r#type: &'a str,
            param: Option<&'a str>,
            code: &'a str,
        }

        #[derive(Serialize)]
        struct Anthropic<'a> {
            r#type: &'a str,
            error: AnthropicError<'a>,
        }

        #[derive(Serialize)]
        struct AnthropicError<'a> {
            r#type: &'a str,
            message: &'a str,
            details: Details<'a>,
        }

        #[derive(Serialize)]
        struct Details<'a> {
            error_code: &'a str,
        }

        let (status, message, code) = (self.status.as_u16(), &*self.message, self.code);
        let json = match dialect {
            Some(Dialect::AnthropicMessages) => serde_json::to_vec(&Anthropic {
                r#type: "error",
                error: AnthropicError {
                    r#type: anthropic_type(status),
                    message,
                    details: Details { error_code: code },
                },
            }),
            Some(Dialect::OpenAiChat) | None => serde_json::to_vec(&OpenAi {
                error: OpenAiError {
                    message,
                    r#type: openai_type(status),
                    param: None,
                    code,
                },
            }),
        };
        // strings always serialise
        json.unwrap_or_default().into()
    }

    /// The same error as the end of a stream that has begun: an error event, then what the dialect's
    /// streams end with.
    #[must_use]
    pub fn in_stream(&self, dialect: Option<Dialect>) -> Bytes {
        ending::by_error(dialect, &self.body(dialect))
    }

    /// The whole answer, in the dialect of the call.
    #[must_use]
    pub fn into_response<R>(self, dialect: Option<Dialect>) -> Response<AnswerBody<R>> {
        let body = self.body(dialect);
        let length = body.len();
        let mut response = Response::new(AnswerBody::own(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::CONTENT_LENGTH, length.into());
        if let Some(delay) = self.retry_after {
            let millis = u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            headers.insert(header::RETRY_AFTER, millis.div_ceil(1000).into());
            headers.insert(HeaderName::from_static("retry-after-ms"), millis.into());
        }
        response
    }
}

const fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

const fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// "No call was sent, by policy": a layer's answer instead of the provider's.
///
/// It travels in the extensions of the response that [`into_response`](Self::into_response) makes.
/// Layers further out look for it with [`Refusal::of`] before they look at any header: a retry never
/// sends a refused call again, a fallback may try another target.
///
/// A clock that ran out is no refusal, as a call was sent: that is a plain 504.
#[derive(Clone, Debug)]
pub struct Refusal {
    layer: &'static str,
    answer: ErrorAnswer,
}

impl Refusal {
    /// A refusal by the named layer, answered so.
    #[must_use]
    pub const fn new(layer: &'static str, answer: ErrorAnswer) -> Self {
        Self { layer, answer }
    }

    /// The refusal that a response is, if it is one.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<&Self> {
        response.extensions().get()
    }

    /// The layer that refused.
    #[must_use]
    pub const fn layer(&self) -> &'static str {
        self.layer
    }

    /// The machine-readable code of the answer.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.answer.code
    }

    /// When the call may be tried again, if the layer knows.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.answer.retry_after
    }

    /// The whole answer, in the dialect of the call, marked as this refusal.
    #[must_use]
    pub fn into_response<R>(self, dialect: Option<Dialect>) -> Response<AnswerBody<R>> {
        let mut response = self.answer.clone().into_response(dialect);
        response.extensions_mut().insert(self);
        response
    }
}
