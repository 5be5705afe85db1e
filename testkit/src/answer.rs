//! One step of a [`Script`](crate::Script): what a call is answered.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{BoxError, ScriptedBody, Watch};

/// What a [`Script`](crate::Script) answers to one call: a response, an error, or nothing for ever.
///
/// `E` is the error of the call, `F` that of the body.
pub struct Answer<E = BoxError, F = BoxError> {
    pub(crate) delay: Duration,
    pub(crate) outcome: Outcome<E>,
    /// Also of an answer that is no response: its watch tells when the call was dropped.
    pub(crate) response: Response<ScriptedBody<F>>,
}

pub(crate) enum Outcome<E> {
    Respond,
    Fail(E),
    Hang,
}

impl<E, F> Answer<E, F> {
    /// A response with an empty body.
    ///
    /// # Panics
    /// If the status is not within `100..=999`.
    pub fn status(status: u16) -> Self {
        let mut answer = Self::of(Outcome::Respond);
        *answer.response.status_mut() =
            StatusCode::from_u16(status).expect("a status is within 100..=999");
        answer.body(ScriptedBody::default().sized().eager_end())
    }

    /// A response with a JSON text in one frame and its `content-length`. The text is not checked.
    ///
    /// # Panics
    /// If the status is not within `100..=999`.
    pub fn json(status: u16, json: impl Into<Bytes>) -> Self {
        let json = json.into();
        let mut answer = Self::status(status).header("content-type", "application/json");
        answer
            .response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, json.len().into());
        answer.body(ScriptedBody::default().data(json).sized().eager_end())
    }

    /// A 200 with `text/event-stream`, each item one frame; its end shows only at its end.
    pub fn sse<T: Into<Bytes>>(chunks: impl IntoIterator<Item = T>) -> Self {
        Self::stream(
            chunks
                .into_iter()
                .fold(ScriptedBody::default(), ScriptedBody::data),
        )
    }

    /// A 200 with `text/event-stream` and this body.
    pub fn stream(body: ScriptedBody<F>) -> Self {
        Self::status(200)
            .header("content-type", "text/event-stream")
            .body(body)
    }

    /// No response: the call fails.
    pub fn error(error: impl Into<E>) -> Self {
        Self::of(Outcome::Fail(error.into()))
    }

    /// No response, ever: the call hangs until it is dropped.
    pub fn hang() -> Self {
        Self::of(Outcome::Hang)
    }

    /// Adds a response header.
    ///
    /// # Panics
    /// If the name or value is none.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.response.headers_mut().append(
            HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
            HeaderValue::from_str(value).expect("a header value"),
        );
        self
    }

    /// Replaces the body, headers as they are.
    #[must_use]
    pub fn body(mut self, body: ScriptedBody<F>) -> Self {
        *self.response.body_mut() = body;
        self
    }

    /// The head or the error comes this long after the call, or once the request's body was
    /// collected, if that is later; default at once. By tokio's clock.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) fn watch(&self) -> Watch {
        self.response.body().watch()
    }

    fn of(outcome: Outcome<E>) -> Self {
        Self {
            delay: Duration::ZERO,
            outcome,
            response: Response::new(ScriptedBody::default()),
        }
    }
}

impl<E, F> fmt::Debug for Answer<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Respond => "respond",
            Outcome::Fail(_) => "fail",
            Outcome::Hang => "hang",
        };
        f.debug_struct("Answer")
            .field("delay", &self.delay)
            .field("outcome", &outcome)
            .field("response", &self.response)
            .finish()
    }
}
