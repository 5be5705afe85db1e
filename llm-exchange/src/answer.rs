//! Answers that a layer gives itself, in the caller's dialect.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS};

use crate::{
    AnswerBody, Dialect, Framing, ProviderError, Room, decimal::decimal, dialect::Problem,
    provider_error, stream::ending,
};

/// What gRPC encodes in `grpc-message`: all but printable ASCII, and the sign itself.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// An error answer shaped as the caller's provider would shape it, so that an official SDK on the
/// other end understands it.
///
/// OpenAI's shape is `{"error":{"message","type","param":null,"code"}}`, Anthropic's
/// `{"type":"error","error":{"type","message"}}`, Google's `{"error":{"code","message","status"}}`,
/// Ollama's `{"error":"text"}`, Amazon's `{"message"}`; gRPC's is a status in a head without a body.
/// Where the dialect is unknown, OpenAI's is used.
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
    /// The provider's own, where it is its error.
    provider_code: Option<Box<str>>,
    event_number: u64,
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
            provider_code: None,
            event_number: 0,
        }
    }

    /// The provider's own error again, with its code and its message, for an answer that cannot be
    /// handed on as it came.
    #[must_use]
    pub fn of_provider(status: StatusCode, error: &ProviderError) -> Self {
        let message = error.message().unwrap_or("the provider failed").to_owned();
        Self {
            provider_code: error.code().map(Into::into),
            ..Self::new(status, "provider_error", message)
        }
    }

    /// Says when to come back: `retry-after` in whole seconds, rounded up, and `retry-after-ms`.
    #[must_use]
    pub const fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The number of its event in a stream that has begun, where a dialect's events are numbered:
    /// [`Meter::next_event_number`](crate::Meter::next_event_number). Default: 0, the first.
    #[must_use]
    pub const fn event_number(mut self, number: u64) -> Self {
        self.event_number = number;
        self
    }

    /// The JSON of the answer. gRPC has none; there it is what Google's JSON would be.
    #[must_use]
    pub fn body(&self, dialect: Option<Dialect>) -> Bytes {
        let dialect = dialect.unwrap_or(Dialect::OpenAiChat);
        (dialect.wire().error)(&self.problem()).into()
    }

    /// The answer as a gRPC status: the trailers of a call, or all of an answer that has only them.
    #[must_use]
    pub fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        let code = provider_error::code_of(self.status.as_u16());
        trailers.insert(HeaderName::from_static("grpc-status"), code.into());
        let message = percent_encoding::utf8_percent_encode(&self.message, GRPC_MESSAGE);
        if let Ok(message) = HeaderValue::try_from(message.to_string()) {
            trailers.insert(HeaderName::from_static("grpc-message"), message);
        }
        if let Some(millis) = self.millis() {
            // it counts in 31 bits; who is asked to wait for weeks had better not come back
            let text = i32::try_from(millis).map_or_else(|_| "-1".into(), |ms| ms.to_string());
            if let Ok(text) = HeaderValue::try_from(text) {
                trailers.insert(HeaderName::from_static("grpc-retry-pushback-ms"), text);
            }
        }
        trailers
    }

    /// The same error as the end of a stream that has begun: an error event, then what the dialect's
    /// streams end with, in the framing that they mostly have. Nothing in gRPC, whose end is in the
    /// [`trailers`](Self::trailers).
    #[must_use]
    pub fn in_stream(&self, dialect: Option<Dialect>) -> Bytes {
        let dialect = dialect.unwrap_or(Dialect::OpenAiChat);
        self.in_framing(dialect, dialect.wire().framing, true)
    }

    /// The same in this framing. `begun` is whether an event of the stream was handed on before, by
    /// which a JSON array goes on or begins; the last one has to be whole.
    #[must_use]
    pub fn in_framing(&self, dialect: Dialect, framing: Framing, begun: bool) -> Bytes {
        ending::of_error(&self.problem(), dialect, framing, begun)
    }

    /// The whole answer, in the dialect of the call.
    #[must_use]
    pub fn into_response<R>(self, dialect: Option<Dialect>) -> Response<AnswerBody<R>> {
        if dialect.is_some_and(Dialect::is_grpc) {
            return self.only_trailers();
        }
        let body = self.body(dialect);
        self.with_body(body, Room::default())
    }

    fn with_body<R>(&self, body: Bytes, room: Room) -> Response<AnswerBody<R>> {
        let length = body.len() as u64;
        let mut response = Response::new(AnswerBody::own(body));
        *response.status_mut() = self.status;
        *response.extensions_mut() = room.extensions;
        let headers = response.headers_mut();
        *headers = room.headers;
        headers.reserve(4);
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.insert(header::CONTENT_LENGTH, decimal(length));
        if let Some(millis) = self.millis() {
            headers.insert(header::RETRY_AFTER, decimal(millis.div_ceil(1000)));
            headers.insert(RETRY_AFTER_MS, decimal(millis));
        }
        response
    }

    fn only_trailers<R>(&self) -> Response<AnswerBody<R>> {
        let mut response = Response::new(AnswerBody::own(Bytes::new()));
        *response.headers_mut() = self.trailers();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        response
    }

    fn problem(&self) -> Problem<'_> {
        Problem {
            status: self.status.as_u16(),
            code: self.provider_code.as_deref().unwrap_or(self.code),
            message: &self.message,
            event_number: self.event_number,
        }
    }

    fn millis(&self) -> Option<u64> {
        let delay = self.retry_after?;
        Some(u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
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

    /// The answer that it is given, for another dialect.
    #[must_use]
    pub const fn answer(&self) -> &ErrorAnswer {
        &self.answer
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

    /// The same with this body, which is the answer's in JSON.
    pub(crate) fn into_response_of<R>(self, body: Bytes, room: Room) -> Response<AnswerBody<R>> {
        let mut response = self.answer.with_body(body, room);
        response.extensions_mut().insert(self);
        response
    }
}
