//! Where a stream reached a number of output tokens.

use bytes::Bytes;

use super::{Meter, Reading};
use crate::{Attempts, Dialect, Framing, Tokens};

/// The place in a stream where it reached a number of output tokens that somebody
/// [watches for](crate::Attempts::watch_output).
#[derive(Clone, Debug)]
pub struct Reached {
    at: u64,
    tokens: Tokens,
    dialect: Dialect,
    framing: Option<Framing>,
    open: Open,
}

/// What of a stream is open at some place in it, and the names it goes by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    pub(crate) id: Option<Box<str>>,
    pub(crate) model: Option<Box<str>>,
    pub(crate) created: Option<u64>,
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
    /// Nothing where the end is not a part of the body (gRPC), or is not written here: Amazon's
    /// binary event stream, and Gemini's array.
    #[must_use]
    pub fn ending(&self, with_usage: bool) -> Bytes {
        match self.framing {
            Some(Framing::Sse | Framing::Lines) => {
                (self.dialect.wire().ended_by_limit)(&self.open, self.tokens, with_usage)
            }
            _ => Bytes::new(),
        }
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
            .is_some_and(|wanted| reading.output().0 >= *wanted && !reading.is_over())
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
            tokens.input = self.0.estimated_input;
        }
        Reached {
            at,
            tokens,
            dialect: self.dialect(),
            framing: self.framing(),
            open,
        }
    }
}
