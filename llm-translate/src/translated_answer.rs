//! The answer to a translated request, on its way to the caller.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Response, StatusCode, header, response::Parts};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, ErrorAnswer, Framing, Meter, Payload, Peeked, ProviderError, Refusal,
    Reshape,
};

use crate::{StreamTranslator, Translation, error::Unsaid};

/// On an answer: what came beside its content and is not carried over.
const DROPPED: HeaderName = HeaderName::from_static("x-llm-dropped");

/// What belongs to the bytes as they were.
const OF_THE_BYTES: [HeaderName; 8] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::ETAG,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// The future of [`Translation::answer`].
#[must_use = "futures do nothing unless polled"]
pub struct TranslatedAnswer<R>(State<R>);

enum State<R> {
    Ready(Option<Response<AnswerBody<R>>>),
    /// Boxed, as streams never are here.
    Reading(Box<Reading<R>>),
}

struct Reading<R> {
    translation: Translation,
    /// Taken when all was read.
    parts: Option<Parts>,
    body: AnswerBody<R>,
    read: BytesMut,
}

impl<R> TranslatedAnswer<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    pub(crate) fn new(translation: Translation, response: Response<AnswerBody<R>>) -> Self {
        let caller = translation.back().caller();
        let (mut parts, body) = response.into_parts();
        // what a layer further in knows is of other bytes
        parts.extensions.remove::<Meter>();
        parts.extensions.remove::<Peeked>();
        if let Some(model) = translation.model() {
            parts.extensions.insert(model.clone());
        }
        if let Some(refusal) = parts.extensions.get::<Refusal>().cloned() {
            let body = refusal.answer().body(Some(caller));
            return Self::ready(translation.replaced(parts, body));
        }
        let is_encoded = parts
            .headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|value| value != "identity");
        if is_encoded {
            let message = "the provider's answer is compressed, so it cannot be translated";
            let answer = ErrorAnswer::new(StatusCode::BAD_GATEWAY, "compressed_answer", message);
            return Self::ready(translation.failed(parts, &answer));
        }
        if let (Some(_), true, Some(framing)) = (
            translation.back().framing(),
            parts.status.is_success(),
            framing(&parts),
        ) {
            let body = body.reshaped(translation.back().stream(framing));
            let content_type = translation.stream_type();
            return Self::ready(translation.with_body(parts, content_type, body));
        }
        Self(State::Reading(Box::new(Reading {
            translation,
            parts: Some(parts),
            body,
            read: BytesMut::new(),
        })))
    }

    const fn ready(response: Response<AnswerBody<R>>) -> Self {
        Self(State::Ready(Some(response)))
    }
}

/// How a streamed answer is framed: it was asked for as server-sent events. `None`: it is not streamed.
fn framing(parts: &Parts) -> Option<Framing> {
    let content_type = parts.headers.get(header::CONTENT_TYPE)?.as_bytes();
    let start = content_type.get(..SSE.len());
    let is_sse = start.is_some_and(|start| start.eq_ignore_ascii_case(SSE.as_bytes()));
    is_sse.then_some(Framing::Sse)
}

impl Translation {
    fn stream_type(&self) -> &'static str {
        match self.back().framing() {
            Some(Framing::Array) => JSON,
            _ => SSE,
        }
    }

    fn with_body<R>(
        &self,
        mut parts: Parts,
        content_type: &'static str,
        body: AnswerBody<R>,
    ) -> Response<AnswerBody<R>>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        for name in OF_THE_BYTES {
            parts.headers.remove(name);
        }
        let content_type = HeaderValue::from_static(content_type);
        parts.headers.insert(header::CONTENT_TYPE, content_type);
        if let Some(length) = body.size_hint().exact() {
            parts.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        self.tell(&mut parts.headers);
        Response::from_parts(parts, body)
    }

    /// The same head with another JSON.
    fn replaced<R>(&self, parts: Parts, json: Bytes) -> Response<AnswerBody<R>>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let body = AnswerBody::own(json);
        self.with_body(parts, JSON, body)
    }

    /// An error in place of the answer; what its head said of when to come back stays.
    fn failed<R>(&self, mut parts: Parts, error: &ErrorAnswer) -> Response<AnswerBody<R>>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let caller = Some(self.back().caller());
        let (own, _) = error.clone().into_response::<R>(caller).into_parts();
        parts.status = own.status;
        for name in ["retry-after", "retry-after-ms"] {
            if let (false, Some(value)) = (parts.headers.contains_key(name), own.headers.get(name))
            {
                parts
                    .headers
                    .insert(HeaderName::from_static(name), value.clone());
            }
        }
        self.replaced(parts, error.body(caller))
    }

    /// All of an answer that is no stream.
    fn read<R>(&self, mut parts: Parts, body: Bytes) -> Response<AnswerBody<R>>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        if !parts.status.is_success() {
            let error = match ProviderError::from_body(&body) {
                Some(error) => self.back().error(parts.status, &error),
                None => ErrorAnswer::new(parts.status, "provider_error", "the provider failed"),
            };
            return self.failed(parts, &error);
        }
        let streamed = self.back().framing().is_some();
        let answer = match streamed {
            false => self.back().answer(&body),
            true => self.back().streamed_answer(&body),
        };
        match answer {
            Ok(answer) => {
                let dropped = self.back().dropped(&body).join(", ");
                if let (false, Ok(names)) = (dropped.is_empty(), HeaderValue::try_from(&dropped)) {
                    tracing::debug!(
                        dropped,
                        "an answer has what its caller's dialect has no place for"
                    );
                    parts.headers.insert(DROPPED, names);
                }
                let content_type = if streamed { self.stream_type() } else { JSON };
                self.with_body(parts, content_type, AnswerBody::own(answer))
            }
            Err(error) => self.failed(parts, &error),
        }
    }
}

impl Reshape for StreamTranslator {
    fn data(&mut self, data: Bytes) -> Bytes {
        self.push(data)
    }

    fn end(&mut self) -> Bytes {
        self.finish()
    }

    fn is_over(&self) -> bool {
        Self::is_over(self)
    }
}

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";

impl<R> Future for TranslatedAnswer<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Response<AnswerBody<R>>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reading = match &mut self.0 {
            State::Ready(response) => return Poll::Ready(response.take().expect(AFTER)),
            State::Reading(reading) => reading,
        };
        let broke = loop {
            match ready!(Pin::new(&mut reading.body).poll_frame(cx)) {
                None => break None,
                Some(Err(error)) => break Some(error),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        reading.read.extend_from_slice(data);
                    }
                    if reading.read.len() > Payload::DEFAULT_MAX_BYTES {
                        let parts = reading.parts.take().expect(AFTER);
                        let error = Unsaid::TooLarge.answer();
                        return Poll::Ready(reading.translation.failed(parts, &error));
                    }
                }
            }
        };
        let parts = reading.parts.take().expect(AFTER);
        let translation = &reading.translation;
        Poll::Ready(match broke {
            Some(error) => translation.with_body(parts, JSON, AnswerBody::broken(error)),
            None => translation.read(parts, mem::take(&mut reading.read).freeze()),
        })
    }
}

const AFTER: &str = "a future is not polled after it was ready";

/// Shows no content.
impl<R> fmt::Debug for TranslatedAnswer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            State::Ready(_) => "TranslatedAnswer(ready)",
            State::Reading(_) => "TranslatedAnswer(reading)",
        })
    }
}
