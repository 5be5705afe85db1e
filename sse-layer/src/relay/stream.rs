//! A stream as it passes.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame};
use llm_exchange::{BoxError, Cut, ErrorAnswer, Framing, Meter, Reached};

use super::{caller::Caller, ending};
use crate::{
    quiet::Quiet,
    tell,
    whole::{Passed, Whole},
};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Passes a stream on, event by event, and sees to its end. What goes wrong is told in the stream; it
/// fails only in the midst of an event that was too long to hold back.
pub(super) struct Stream<U> {
    /// `None`: it is over, or was let go.
    upstream: Option<U>,
    meter: Meter,
    caller: Caller,
    quiet: Quiet,
    whole: Whole,
    /// Bytes that came so far.
    came: u64,
    /// The stream has begun before its first byte came, which may be a byte order mark.
    begun: bool,
    /// What is to go on before the upstream is asked again.
    queue: VecDeque<Bytes>,
    /// And what after all else: trailers, or an error that has no other place.
    end: Option<Result<Frame<Bytes>, BoxError>>,
}

impl<U> Stream<U> {
    /// `begun`: something was written to the caller already.
    pub(super) const fn new(
        upstream: U,
        meter: Meter,
        caller: Caller,
        quiet: Quiet,
        whole: Whole,
        begun: bool,
    ) -> Self {
        Self {
            upstream: Some(upstream),
            meter,
            caller,
            quiet,
            whole,
            came: 0,
            begun,
            queue: VecDeque::new(),
            end: None,
        }
    }

    /// What the caller leaves unread, if the upstream is not over.
    pub(super) const fn take_upstream(&mut self) -> Option<U> {
        self.upstream.take()
    }

    pub(super) fn is_over(&self) -> bool {
        self.upstream.is_none() && self.queue.is_empty() && self.end.is_none()
    }

    /// Whether what came goes on as it is, as mostly it does. Otherwise it is to be
    /// [taken](Self::take).
    #[inline]
    fn passes(&mut self, came: &Came) -> bool {
        let Some(Ok(frame)) = came else { return false };
        let Some(data) = frame.data_ref() else {
            return false;
        };
        // where it has begun before its first byte, that may be a byte order mark
        let may_begin = self.begun && self.came == 0;
        self.came += data.len() as u64;
        !may_begin && self.reached().is_none() && self.whole.is_whole(data)
    }

    /// Queues what goes on of it.
    fn take(&mut self, came: Came) {
        match came {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.data(data),
                // after what is still to be said
                Err(trailers) => self.end = Some(Ok(trailers)),
            },
            Some(Err(error)) => self.over(Some(error)),
            None => self.over(None),
        }
    }

    fn data(&mut self, mut data: Bytes) {
        let start = self.came - data.len() as u64;
        if self.begun && start == 0 && data.starts_with(BYTE_ORDER_MARK) {
            data.advance(BYTE_ORDER_MARK.len());
        }
        let reached = self.reached();
        if let Some(reached) = &reached {
            let left_out = usize::try_from(self.came - reached.at()).unwrap_or(usize::MAX);
            data.truncate(data.len().saturating_sub(left_out));
        }
        let Passed { held, data } = self.whole.push(data);
        self.queue.extend(held.into_iter().chain(data));
        if let Some(reached) = reached {
            self.cut(&reached);
        }
    }

    /// The cap was reached in what came so far.
    #[inline]
    fn reached(&self) -> Option<Reached> {
        let cap = self.caller.cap?;
        if self.meter.output_tokens() < cap {
            return None;
        }
        // a layer further in may have read further ahead
        let reached = self.meter.reached(cap)?;
        (reached.at() <= self.came).then_some(reached)
    }

    fn cut(&mut self, reached: &Reached) {
        self.meter.cut(Cut::Limit);
        self.upstream = None;
        self.whole.release();
        self.queue.extend(self.whole.missing_end());
        self.say(reached.ending(self.caller.asked_usage));
        self.end = reached
            .trailers()
            .map(|trailers| Ok(Frame::trailers(trailers)));
        self.last(false);
    }

    /// The upstream is over, in order or by this error.
    fn over(&mut self, error: Option<BoxError>) {
        self.upstream = None;
        let held = self.whole.release();
        let mut unfinished = false;
        match ending::of(&self.meter, error.as_ref()) {
            None if error.is_some() && self.whole.unclosed().is_some() => {
                self.queue.extend(self.whole.unclosed());
            }
            // an event without its end goes on as it came, unless it is known to be half of one
            None => {
                if let Some(held) = held {
                    self.queue.push_back(held);
                    unfinished = true;
                }
            }
            Some(answer) => self.fail(&answer, error),
        }
        self.last(unfinished);
    }

    /// Tells the caller in the place that the framing has for it.
    fn fail(&mut self, answer: &ErrorAnswer, error: Option<BoxError>) {
        let (dialect, framing) = (self.meter.dialect(), self.meter.framing());
        if framing == Some(Framing::Grpc) {
            let mut trailers = match self.end.take() {
                Some(Ok(frame)) => frame.into_trailers().unwrap_or_default(),
                _ => HeaderMap::new(),
            };
            trailers.extend(answer.trailers());
            self.end = Some(Ok(Frame::trailers(trailers)));
        } else if self.whole.can_end() {
            self.queue.extend(self.whole.missing_end());
            let framing = framing.unwrap_or(Framing::Sse);
            let numbered = answer.clone().event_number(self.meter.next_event_number());
            self.say(numbered.in_framing(dialect, framing, self.whole.has_begun()));
        } else {
            // a stream that ended of itself is seen to lack its end
            self.end = error.map(Err);
        }
    }

    fn say(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.queue.push_back(data);
        }
    }

    /// `unfinished`: the last event lacks its end.
    fn last(&mut self, unfinished: bool) {
        tell::ended(ending::end(&self.meter));
        if self.caller.is_told_numbers() && self.meter.framing() == Some(Framing::Sse) {
            if unfinished {
                self.queue.push_back(Bytes::from_static(b"\n\n"));
            }
            let summary = ending::summary(&self.caller, &self.meter);
            self.queue.push_back(summary);
        }
    }
}

/// What a body gave: a frame, its error, or its end.
type Came = Option<Result<Frame<Bytes>, BoxError>>;

impl<U> Stream<U>
where
    U: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        loop {
            if let Some(data) = self.queue.pop_front() {
                self.quiet.said();
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let Some(upstream) = &mut self.upstream else {
                return Poll::Ready(self.end.take());
            };
            match Pin::new(upstream).poll_frame(cx) {
                Poll::Ready(came) => {
                    if self.passes(&came) {
                        self.quiet.said();
                        return Poll::Ready(came);
                    }
                    self.take(came);
                }
                // a comment within an event would be part of it
                Poll::Pending if self.whole.is_within() => return Poll::Pending,
                Poll::Pending => {
                    ready!(self.quiet.poll(cx));
                    return Poll::Ready(Some(Ok(Frame::data(self.caller.keep_alive()))));
                }
            }
        }
    }
}
