//! Where a stream reached a number of output tokens.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{Meter, Reading};
use crate::{Attempts, Dialect, ErrorAnswer, Framing, Tokens, stream::ending};

/// The place in a stream where it reached a number of output tokens that somebody
/// [watches for](crate::Attempts::watch_output).
#[derive(Clone, Debug)]
pub struct Reached {
    at: u64,
    tokens: Tokens,
    dialect: Dialect,
    framing: Option<Framing>,
    /// An answer that is no stream can be given no further event.
    is_stream: bool,
    open: Open,
}

/// What of a stream is open at some place in it, and the names it goes by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    pub(crate) id: Option<Box<str>>,
    pub(crate) model: Option<Box<str>>,
    pub(crate) created: Option<u64>,
    /// The number of the event to come, where they are numbered.
    pub(crate) next_event: u64,
    /// Choices that have begun and not ended.
    pub(crate) choices: Vec<u64>,
    /// Content blocks that have begun and not ended.
    pub(crate) blocks: Vec<u64>,
}

impl Reached {
    /// The end of the event that reached it, as a place in the body.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// The tokens there.
    #[must_use]
    pub const fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// What ends the stream there in order, as the provider would where its own cap is reached: what
    /// is open is closed, then a finish reason that says so (`length`, `max_tokens`), the usage, and
    /// the terminator.
    ///
    /// `with_usage` is whether the caller asked for the usage, in dialects where that is asked for
    /// ([`Call::asks_usage`](crate::Call::asks_usage)).
    ///
    /// It is in the stream's own [`Framing`]. In gRPC the [`trailers`](Self::trailers) come after it;
    /// nothing where no message of the service says so (KServe's), or the answer is no stream of messages.
    #[must_use]
    pub fn ending(&self, with_usage: bool) -> Bytes {
        match self.framing {
            Some(framing) if self.is_stream => {
                let events =
                    (self.dialect.wire().ended_by_limit)(&self.open, self.tokens, with_usage);
                ending::framed(framing, self.dialect, events, self.at > 0)
            }
            _ => Bytes::new(),
        }
    }

    /// What comes after the ending, where a stream's end is in its trailers: gRPC's status, which is
    /// OK after a message that says why it ends, else RESOURCE_EXHAUSTED, not to be tried again.
    #[must_use]
    pub fn trailers(&self) -> Option<HeaderMap> {
        if self.framing != Some(Framing::Grpc) {
            return None;
        }
        let mut trailers = HeaderMap::new();
        if self.ending(true).is_empty() {
            let message = "the answer reached the most tokens that it may have";
            let status = StatusCode::TOO_MANY_REQUESTS;
            trailers = ErrorAnswer::new(status, "output_limit", message).trailers();
            let never = HeaderValue::from_static("-1");
            trailers.insert("grpc-retry-pushback-ms", never);
        } else {
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
        Some(trailers)
    }
}

/// A number of tokens, and the answer as it stood where it was reached.
#[derive(Debug)]
pub(crate) struct Mark {
    wanted: u64,
    at: u64,
    tokens: Tokens,
    open: Open,
}

/// The numbers of tokens that are watched for in one stream.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Those not reached yet, the lowest last.
    wanted: Vec<u64>,
}

impl Marks {
    pub(crate) fn of(attempts: &Attempts) -> Self {
        let mut wanted = attempts.watched_output();
        wanted.sort_unstable_by(|one, other| other.cmp(one));
        wanted.dedup();
        Self { wanted }
    }

    /// Whether the answer has reached the next mark. One that is over reaches none any more.
    #[inline]
    pub(crate) fn is_reached(&self, reading: &Reading) -> bool {
        self.wanted
            .last()
            .is_some_and(|wanted| reading.all_output() >= *wanted && !reading.is_over())
    }

    /// Notes the marks that the answer has reached at this place.
    #[cold]
    pub(crate) fn note(&mut self, at: u64, reading: &mut Reading) {
        while self.is_reached(reading)
            && let Some(wanted) = self.wanted.pop()
        {
            let mark = Mark {
                wanted,
                at,
                // the estimate of the prompt is the meter's to add
                tokens: reading.tokens(0),
                open: reading.open(),
            };
            reading.marks.push(mark);
        }
    }
}

impl Meter {
    /// Where the answer reached so many output tokens, if they are
    /// [watched for](crate::Attempts::watch_output) and it has. An answer that is over by its
    /// provider's word reaches none any more.
    #[must_use]
    pub fn reached(&self, tokens: u64) -> Option<Reached> {
        if self.output_tokens() < tokens {
            return None;
        }
        let reading = self.reading();
        let mark = reading.marks.iter().find(|mark| mark.wanted == tokens)?;
        Some(self.reached_at(mark.at, mark.tokens, mark.open.clone()))
    }

    /// The end of the last whole event that was read, as a place where the answer can be ended: for
    /// whoever learns only as it passes that it has to.
    #[must_use]
    pub fn here(&self) -> Reached {
        let reading = self.reading();
        self.reached_at(self.boundary(), reading.tokens(0), reading.open())
    }

    fn reached_at(&self, at: u64, mut tokens: Tokens, open: Open) -> Reached {
        if tokens.input_estimated {
            tokens.input = self.0.asked.last().estimated_input;
        }
        Reached {
            at,
            tokens,
            dialect: self.dialect(),
            framing: self.framing(),
            is_stream: self.is_stream(),
            open,
        }
    }
}
