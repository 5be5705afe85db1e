//! What one answer does: the struct that the code, the `x-fake` header and the model name all fill.

use std::{num::NonZeroUsize, time::Duration};

use crate::{
    dialect::Server,
    failure::{Failure, Hint},
    secret::Secret,
};

/// How one request is answered. [`Behaviour::ok`] is a healthy answer without any delay.
///
/// ```
/// use fake_provider::Behaviour;
/// use std::time::Duration;
///
/// let slow_and_broken = Behaviour::ok().delta_delay(Duration::from_millis(20)).break_at(3);
/// # let _ = slow_and_broken;
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Behaviour {
    pub(crate) fault: Option<Fault>,
    pub(crate) pace: Pace,
    pub(crate) shape: Shape,
    pub(crate) key: Option<Secret>,
}

/// The one thing that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// An error status instead of an answer.
    Fail(Failure),
    /// The request is read, then the connection is closed without a head.
    Close,
    /// The same, but with a TCP reset.
    Reset,
    /// The request is read, and nothing comes.
    Hang,
    /// The body goes wrong.
    Body(At, BodyFault),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BodyFault {
    /// Nothing more comes; the connection stays.
    Stall,
    /// The connection is closed without the end of the body.
    Break,
    /// The body ends cleanly, but the answer is not complete.
    End,
    /// An error event, then a clean end. `None`: the dialect's usual one.
    Error(Option<Box<Failure>>),
}

/// Where in a stream something goes wrong.
///
/// An answer that is not streamed has only two places: before its body (`First`), or half-way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// After the head, before the first byte of the body.
    First,
    /// After the opening events that carry no content (role chunk, `message_start`).
    Opened,
    /// After so many deltas of text, reasoning or tool arguments. An answer that would be shorter
    /// is made long enough, unless [`Behaviour::deltas`] or the request's cap says how long it is:
    /// then it goes wrong after the last delta.
    Delta(NonZeroUsize),
}

/// `0` is [`At::First`].
impl From<usize> for At {
    fn from(deltas: usize) -> Self {
        NonZeroUsize::new(deltas).map_or(Self::First, Self::Delta)
    }
}

/// When things are sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pace {
    pub(crate) head: Duration,
    pub(crate) think: Duration,
    pub(crate) delta: Duration,
    pub(crate) ping: Option<Duration>,
    pub(crate) ping_every: Option<NonZeroUsize>,
}

/// What is sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shape {
    pub(crate) deltas: Option<usize>,
    pub(crate) reasoning: usize,
    pub(crate) tool: bool,
    pub(crate) no_usage: bool,
    /// `None`: as the dialect does.
    pub(crate) line_end: Option<LineEnd>,
    pub(crate) segment: Option<NonZeroUsize>,
    pub(crate) server: Server,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnd {
    Lf,
    Cr,
    CrLf,
}

/// Most deltas of one answer, so that no option can make the server eat the machine.
pub(crate) const MOST_DELTAS: usize = 100_000;

impl Behaviour {
    /// A healthy answer at once.
    pub fn ok() -> Self {
        Self::default()
    }

    /// An error answer.
    pub fn fails(failure: Failure) -> Self {
        Self::faulty(Fault::Fail(failure))
    }

    /// A 429 of the rate-limit kind, with `hint`.
    pub fn throttled(hint: Hint) -> Self {
        Self::fails(Failure::rate_limited().hint(hint))
    }

    /// The connection is closed after the request was read, before a head.
    pub fn closes() -> Self {
        Self::faulty(Fault::Close)
    }

    /// The same with a TCP reset instead of an orderly close. On HTTP/2 it takes the whole
    /// connection, while [`Behaviour::closes`] resets only the stream.
    pub fn resets() -> Self {
        Self::faulty(Fault::Reset)
    }

    /// Nothing comes, not even a head, until the client goes away. (A head and then nothing is
    /// `stall_at(0)`.)
    pub fn hangs() -> Self {
        Self::faulty(Fault::Hang)
    }

    fn faulty(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    fn body_fault(mut self, at: impl Into<At>, fault: BodyFault) -> Self {
        self.fault = Some(Fault::Body(at.into(), fault));
        self
    }

    /// Nothing comes after `at`, until the client goes away. `0`: after the head.
    ///
    /// This and the next three replace whatever else was to go wrong.
    pub fn stall_at(self, at: impl Into<At>) -> Self {
        self.body_fault(at, BodyFault::Stall)
    }

    /// The connection is cut after `at`: no last chunk, or a body shorter than its
    /// `content-length`; on HTTP/2 the stream is reset.
    pub fn break_at(self, at: impl Into<At>) -> Self {
        self.body_fault(at, BodyFault::Break)
    }

    /// The body ends cleanly after `at`, as proxies make it look when the provider broke off.
    pub fn end_at(self, at: impl Into<At>) -> Self {
        self.body_fault(at, BodyFault::End)
    }

    /// An error event in the dialect's form after `at`, then the end: OpenAI's `server_error`,
    /// Anthropic's `overloaded_error`, an exception of Bedrock's, a status in gRPC's trailers. An
    /// answer that is not streamed becomes a 200 whose body is the error.
    pub fn error_at(self, at: impl Into<At>) -> Self {
        self.body_fault(at, BodyFault::Error(None))
    }

    /// [`Behaviour::error_at`] with the error that `failure` would have as a body. In gRPC it is the
    /// status in the trailers, with the hints of `failure`.
    pub fn error_like(self, at: impl Into<At>, failure: Failure) -> Self {
        self.body_fault(at, BodyFault::Error(Some(Box::new(failure))))
    }

    /// Time before the head, also of an error. Default: none.
    pub fn head_delay(mut self, delay: Duration) -> Self {
        self.pace.head = delay;
        self
    }

    /// Time between the opening events and the first delta. Default: none. An answer that is not
    /// streamed waits so long before its head.
    pub fn think(mut self, time: Duration) -> Self {
        self.pace.think = time;
        self
    }

    /// Time between two deltas. Default: none. An answer that is not streamed waits for all of
    /// them before its head.
    pub fn delta_delay(mut self, delay: Duration) -> Self {
        self.pace.delta = delay;
        self
    }

    /// A ping each so often during [`Behaviour::think`]. Default: none.
    pub fn ping_while_thinking(mut self, every: Duration) -> Self {
        self.pace.ping = (!every.is_zero()).then_some(every);
        self
    }

    /// A ping before the first delta and after each `deltas`; `0` is none, the default.
    /// Anthropic: `event: ping`; OpenAI: the comment `: keep-alive`; others have none.
    pub fn ping_every(mut self, deltas: usize) -> Self {
        self.pace.ping_every = NonZeroUsize::new(deltas);
        self
    }

    /// How many deltas (words) the text or the tool arguments have, at most 100,000; the echo is
    /// repeated or cut. Default: as many as the echo has.
    pub fn deltas(mut self, count: usize) -> Self {
        self.shape.deltas = Some(count.min(MOST_DELTAS));
        self
    }

    /// So many deltas of reasoning before the text, at most 100,000. Default: none.
    pub fn reasoning(mut self, deltas: usize) -> Self {
        self.shape.reasoning = deltas.min(MOST_DELTAS);
        self
    }

    /// The answer is a call of the request's first tool (`lookup` if it has none) with the echo as
    /// its argument `q`.
    pub fn tool_call(mut self) -> Self {
        self.shape.tool = true;
        self
    }

    /// No usage anywhere, whether asked for or not.
    pub fn no_usage(mut self) -> Self {
        self.shape.no_usage = true;
        self
    }

    /// Lines of a stream end in CR LF. Default: LF, and CR LF from Gemini.
    pub fn crlf(mut self) -> Self {
        self.shape.line_end = Some(LineEnd::CrLf);
        self
    }

    /// Lines of a stream end in a bare CR.
    pub fn cr(mut self) -> Self {
        self.shape.line_end = Some(LineEnd::Cr);
        self
    }

    /// Chat completions as this server speaks them. Default: OpenAI.
    pub fn like(mut self, server: Server) -> Self {
        self.shape.server = server;
        self
    }

    /// The body is written in pieces of so many bytes, each flushed; `0` is off, the default.
    pub fn segment(mut self, bytes: usize) -> Self {
        self.shape.segment = NonZeroUsize::new(bytes);
        self
    }

    /// Only requests with this credential (bearer, `x-api-key`, `api-key` or `x-goog-api-key`) are
    /// answered, others get a 401 (from Bedrock a 403). Default: everybody is.
    pub fn require_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Secret(key.into()));
        self
    }
}
