//! Reading as little of an answer as tells what it is.

mod limits;
mod peeked;

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep_until};

pub use self::{
    limits::PeekLimits,
    peeked::{Depth, Ending, Peeked},
};
use crate::{
    AnswerBody, BoxError, Call, Cut, Dialect, End, Hints, Meter, ProviderError, WallClock,
    body::Ahead,
    meter::{Format, is_error},
};

/// Reads of an answer what tells how it went: an error's body, a stream's events up to the first
/// content, of other JSON what tells that it is no error (OpenAI's up to its `choices`), of anything else the head alone.
///
/// What was read is put back in front: the body of the result is byte for byte and frame for frame
/// the inner one. Until it is handed on, the call may be made again or elsewhere: that is the
/// commit point. The future needs a tokio timer once it has to wait.
///
/// A stream is read by its [`Meter`]: the one of a layer further in, or a new one, which goes on
/// reading as the body passes and travels in the response's extensions.
pub fn peek<R>(response: Response<R>, call: &Call, limits: PeekLimits, clock: &WallClock) -> Peek<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let asked = (call.dialect(), call.is_stream());
    let read = |response| Meter::attach(response, call).1;
    peek_with(response, asked, read, limits, clock)
}

/// The same for an answer that is no success, of a call that is not at hand any more. Not for gRPC, whose
/// errors are read by their meter.
pub fn peek_error<R>(
    response: Response<R>,
    dialect: Dialect,
    limits: PeekLimits,
    clock: &WallClock,
) -> Peek<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let read = |response: Response<R>| response.map(AnswerBody::inner);
    peek_with(response, (dialect, false), read, limits, clock)
}

fn peek_with<R>(
    response: Response<R>,
    (dialect, stream): (Dialect, bool),
    read: impl FnOnce(Response<R>) -> Response<AnswerBody<R>>,
    limits: PeekLimits,
    clock: &WallClock,
) -> Peek<R> {
    let (status, headers) = (response.status(), response.headers());
    let known = response
        .extensions()
        .get::<Peeked>()
        .filter(|known| known.depth > Depth::FirstEvent);
    let (peeked, how) = match known {
        Some(known) => (known.clone(), How::Head),
        None => {
            let mut peeked = Peeked::new(status);
            if is_error(status) {
                peeked.hints = Hints::read(headers, clock);
            }
            let format = Format::of(status, headers, dialect, stream);
            peeked.encoded = format == Format::Encoded;
            let all_in_head = headers.contains_key("grpc-status");
            let how = match How::of(status, format) {
                // its first answer may wait for a request that waits for the head
                How::Stream if dialect.goes_both_ways() && !all_in_head => How::Head,
                how => how,
            };
            (peeked, how)
        }
    };
    let answer = if how == How::Stream {
        read(response)
    } else {
        response.map(AnswerBody::inner)
    };
    Peek {
        answer: Some(answer),
        peeked,
        how,
        dialect,
        limits,
        clock: clock.clone(),
        timer: None,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Head,
    /// Whole, up to the limit.
    Error,
    /// Until it is clear that it is no error.
    Json,
    /// By its meter, which is in the extensions.
    Stream,
}

impl How {
    fn of(status: StatusCode, format: Format) -> Self {
        match format {
            Format::Json if is_error(status) => Self::Error,
            Format::Json => Self::Json,
            Format::Events(_) => Self::Stream,
            Format::Encoded | Format::Other => Self::Head,
        }
    }
}

/// The future of [`peek`]: the facts, and the answer with what was read put back in front.
///
/// It is `Unpin`: an answer that is there already is known without being pinned anywhere.
#[must_use = "futures do nothing unless polled"]
pub struct Peek<R> {
    /// Read ahead in place; taken when its facts are known.
    answer: Option<Response<AnswerBody<R>>>,
    peeked: Peeked,
    how: How,
    dialect: Dialect,
    limits: PeekLimits,
    clock: WallClock,
    /// Set when the body is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<R: Unpin> Unpin for Peek<R> {}

/// Whether to read on.
#[derive(PartialEq)]
enum Read {
    On,
    Enough,
}

impl<R> Peek<R> {
    /// The meter of the stream that is read.
    #[must_use]
    pub fn meter(&self) -> Option<&Meter> {
        Meter::of(self.answer.as_ref()?)
    }

    fn answer(&mut self) -> &mut Response<AnswerBody<R>> {
        self.answer
            .as_mut()
            .expect("a future is not polled after it was ready")
    }

    fn frame(&mut self) -> Read {
        let dialect = self.dialect;
        let read = match self.how {
            How::Head => Read::Enough,
            How::Error => Read::On,
            How::Json => match dialect.looks_like_error(&self.answer().body().data_ahead()) {
                None => Read::On,
                Some(true) => {
                    self.how = How::Error;
                    Read::On
                }
                Some(false) => {
                    self.peeked.depth = Depth::FirstContent;
                    Read::Enough
                }
            },
            How::Stream => self.stream(),
        };
        if read == Read::On && self.answer().body().bytes_ahead() >= self.limits.max_bytes {
            return Read::Enough;
        }
        read
    }

    fn stream(&mut self) -> Read {
        let Some(meter) = self.meter().cloned() else {
            return Read::Enough;
        };
        if meter.contents() > 0 || meter.is_over() {
            self.peeked.depth = Depth::FirstContent;
            return Read::Enough;
        }
        if meter.events() > 0 {
            self.peeked.depth = Depth::FirstEvent;
        }
        if meter.events() >= u64::from(self.limits.max_events) {
            return Read::Enough;
        }
        Read::On
    }

    fn ended(&mut self, ending: Ending) -> Read {
        let unsaid = match self.how {
            // an error is read by its beginning, whether it ended or not
            How::Head | How::Error => false,
            How::Json => true,
            // the last event may have lacked its blank line
            How::Stream => self.stream() == Read::On,
        };
        if unsaid {
            // a layer that waits no longer may end a stream in order, and says so to the meter
            let end = self.meter().and_then(Meter::end);
            let timed_out = matches!(end, Some(End::TimedOut | End::Cut(Cut::Clock)));
            self.peeked.ending = Some(if timed_out { Ending::TimedOut } else { ending });
        }
        self.peeked.depth = Depth::FirstContent;
        Read::Enough
    }

    /// Takes note of the error, if what was read is one.
    fn judge(&mut self) {
        let error = match self.how {
            How::Head | How::Json => None,
            // a body that is too long, or does not come to its end, tells by its beginning
            How::Error => {
                let answer = self.answer();
                let kind = ProviderError::amazon_kind(answer.headers());
                ProviderError::of_answer(kind, &answer.body().data_ahead()).map(Arc::new)
            }
            // content before it was handed on with it
            How::Stream => self
                .meter()
                .filter(|meter| meter.contents() == 0)
                .and_then(Meter::error),
        };
        if let Some(error) = error {
            if !is_error(self.peeked.status)
                && let Some(answer) = &self.answer
            {
                // gRPC says in its trailers when to come back
                let headers = answer.body().trailers_ahead();
                let headers = headers.unwrap_or(answer.headers());
                self.peeked.hints = Hints::read(headers, &self.clock);
            }
            self.peeked.fail(error);
        }
    }

    /// Ready when the answer is to be handed on, however little is known of it. The time runs from
    /// its head, also where a layer further in held it back before.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_none() {
            let head = self.meter().map_or_else(Instant::now, Meter::began);
            let end = head.checked_add(self.limits.commit_after);
            // a time beyond the end of time never comes
            let Some(end) = end else { return Poll::Pending };
            self.timer = Some(Box::pin(sleep_until(end)));
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<R> Future for Peek<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = (Peeked, Response<AnswerBody<R>>);

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let travels = matches!(this.how, How::Error | How::Stream);
        while this.how != How::Head {
            let Poll::Ready(ahead) = this.answer().body_mut().poll_ahead(cx) else {
                // the data was asked for first, so a slow reader cannot run this clock out
                ready!(this.poll_timer(cx));
                break;
            };
            let read = match ahead {
                Ahead::Frame => this.frame(),
                Ahead::End => this.ended(Ending::Truncated),
                Ahead::Broke => this.ended(Ending::Broken),
            };
            if read == Read::Enough {
                break;
            }
        }
        this.judge();
        let mut answer = this
            .answer
            .take()
            .expect("a future is not polled after it was ready");
        let peeked = mem::replace(&mut this.peeked, Peeked::new(StatusCode::OK));
        if travels || peeked.error.is_some() || peeked.ending.is_some() {
            answer.extensions_mut().insert(peeked.clone());
        }
        Poll::Ready((peeked, answer))
    }
}

impl<R> std::fmt::Debug for Peek<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peek")
            .field("peeked", &self.peeked)
            .finish_non_exhaustive()
    }
}
