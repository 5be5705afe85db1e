//! What an attempt that took too long comes to.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use llm_exchange::{AnswerBody, BoxError, Cut, CutShort, Dialect, ErrorAnswer, Framing};

use super::settings::Clock;

/// Why an attempt is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Clock { clock: Clock, limit: Duration },
    Repeating { times: u64 },
}

/// How an answer that has begun can be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// By an event of its framing; whether one came before it, and its number.
    Events {
        framing: Framing,
        begun: bool,
        number: u64,
    },
    /// Streamed or not: in the trailers.
    Grpc,
    /// It can only break off.
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
    pub(crate) fn stand_in<R>(self, dialect: Dialect) -> Response<AnswerBody<R>> {
        let mut response = self.answer().into_response(Some(dialect));
        if let Self::Clock { clock, .. } = self {
            response.extensions_mut().insert(clock);
        }
        response
    }

    /// The end of an answer that has begun.
    pub(crate) fn cut_off(self, form: Form, dialect: Dialect) -> CutOff {
        match form {
            Form::Events {
                framing,
                begun,
                number,
            } => {
                let answer = self.answer().event_number(number);
                CutOff::Data(answer.in_framing(dialect, framing, begun))
            }
            Form::Grpc => CutOff::Last(Ok(Frame::trailers(self.answer().trailers()))),
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
