//! What an attempt that took too long comes to.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use llm_exchange::{AnswerBody, BoxError, Cut, CutShort, Dialect, ErrorAnswer};

use super::settings::Clock;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Why an attempt is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Clock { clock: Clock, limit: Duration },
    Repeating { times: u64 },
}

/// The form of an answer, by which it can be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A stream of events, in this dialect.
    Events(Dialect),
    Grpc,
    /// Anything else, which can only break off.
    Other,
}

/// What still goes to the reader of an answer that is cut off.
pub(crate) enum CutOff {
    Data(Bytes),
    Last(Result<Frame<Bytes>, BoxError>),
}

impl Why {
    pub(crate) const fn cut(self) -> Cut {
        match self {
            Self::Clock { .. } => Cut::Clock,
            Self::Repeating { .. } => Cut::Repeating,
        }
    }

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Clock { clock, .. } => clock.as_str(),
            Self::Repeating { .. } => "repeating",
        }
    }

    fn message(self) -> Cow<'static, str> {
        match self {
            Self::Clock { clock, limit } => {
                let what = match clock {
                    Clock::Headers => "no response head within",
                    Clock::FirstEvent => "no event within",
                    Clock::FirstContent => "no content within",
                    Clock::Silence => "no byte for",
                    Clock::Idle => "no content for",
                    Clock::Total => "the answer was not complete within",
                    Clock::Throughput => "too few tokens within",
                };
                format!("{what} {limit:?}").into()
            }
            Self::Repeating { times } => format!("the same text {times} times in a row").into(),
        }
    }

    fn answer(self) -> ErrorAnswer {
        let (status, code) = match self {
            Self::Clock { .. } => (StatusCode::GATEWAY_TIMEOUT, "stream_timeout"),
            Self::Repeating { .. } => (StatusCode::BAD_GATEWAY, "repeating_output"),
        };
        ErrorAnswer::new(status, code, self.message())
    }

    /// The answer in place of the upstream's, of which nothing was handed on.
    pub(crate) fn stand_in<R>(self, dialect: Option<Dialect>) -> Response<AnswerBody<R>> {
        let mut response = match dialect {
            Some(_) => self.answer().into_response(dialect),
            None => self.grpc(),
        };
        if let Self::Clock { clock, .. } = self {
            response.extensions_mut().insert(clock);
        }
        response
    }

    /// A head that is the trailers too.
    fn grpc<R>(self) -> Response<AnswerBody<R>> {
        let mut response = Response::new(AnswerBody::own(Bytes::new()));
        *response.headers_mut() = self.trailers();
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(header::CONTENT_TYPE, grpc);
        response
    }

    fn trailers(self) -> HeaderMap {
        // DEADLINE_EXCEEDED
        let mut trailers = HeaderMap::new();
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("4"));
        // of ASCII without a percent sign, as grpc-message wants it
        if let Ok(message) = HeaderValue::from_str(&self.message()) {
            trailers.insert(GRPC_MESSAGE, message);
        }
        trailers
    }

    /// The end of an answer that has begun. `within`: what was handed on ends within an event.
    pub(crate) fn cut_off(self, form: Form, within: bool) -> CutOff {
        match form {
            Form::Events(dialect) => {
                let end = self.answer().in_stream(Some(dialect));
                CutOff::Data(if within {
                    [b"\n\n", &*end].concat().into()
                } else {
                    end
                })
            }
            Form::Grpc => CutOff::Last(Ok(Frame::trailers(self.trailers()))),
            Form::Other => CutOff::Last(Err(CutShort::new(self.cut(), self.message()).into())),
        }
    }
}

impl Clock {
    /// The clock that ran out, if the response is the 504 that a
    /// [`StreamTimeoutLayer`](crate::StreamTimeoutLayer) gave in place of the upstream's answer.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<Self> {
        response.extensions().get().copied()
    }
}
