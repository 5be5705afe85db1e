//! A stream as it passes.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use llm_exchange::{BoxError, Cut, Framing, Meter, Reached};

use super::{caller::Caller, ending};
use crate::{
    quiet::{COMMENT, Quiet},
    tell,
    whole::{Passed, Whole},
};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Passes a stream on, event by event, and sees to its end. It never fails: what goes wrong is told
/// in the stream.
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
    /// And what after all else.
    trailers: Option<Frame<Bytes>>,
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
            trailers: None,
        }
    }

    /// What the caller leaves unread, if the upstream is not over.
    pub(super) const fn take_upstream(&mut self) -> Option<U> {
        self.upstream.take()
    }

    pub(super) fn is_over(&self) -> bool {
        self.upstream.is_none() && self.queue.is_empty() && self.trailers.is_none()
    }

    /// Data came: what of it goes on now. Anything else is queued.
    #[inline]
    fn data(&mut self, mut data: Bytes) -> Option<Bytes> {
        let start = self.came;
        self.came += data.len() as u64;
        if self.begun && start == 0 && data.starts_with(BYTE_ORDER_MARK) {
            data.advance(BYTE_ORDER_MARK.len());
        }
        if let Some(reached) = self.reached() {
            let left_out = self.came - reached.at();
            data.truncate(
                data.len()
                    .saturating_sub(usize::try_from(left_out).unwrap_or(usize::MAX)),
            );
            let Passed { held, data } = self.whole.push(data);
            self.queue.extend(held.into_iter().chain(data));
            self.cut(&reached);
            return None;
        }
        let Passed { held, data } = self.whole.push(data);
        match held {
            // mostly a frame is whole events
            None => data,
            Some(held) => {
                self.queue.extend(data);
                Some(held)
            }
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
        self.queue
            .push_back(reached.ending(self.caller.asked_usage));
        self.last(false);
    }

    /// The upstream is over, in order or by this error.
    fn over(&mut self, error: Option<&BoxError>) {
        self.upstream = None;
        let held = self.whole.release();
        let mut unfinished = false;
        match ending::of(&self.meter, error) {
            // an event without its end goes on as it came, unless it is known to be half of one
            None => {
                if let Some(held) = held {
                    self.queue.push_back(held);
                    unfinished = true;
                }
            }
            Some(answer) => {
                self.queue.extend(self.whole.missing_end());
                let dialect = Some(self.meter.dialect());
                self.queue.push_back(answer.in_stream(dialect));
            }
        }
        self.last(unfinished);
    }

    /// `unfinished`: the last event lacks its end.
    fn last(&mut self, unfinished: bool) {
        tell::ended(ending::end(&self.meter));
        if self.caller.settings.summary && self.meter.framing() == Some(Framing::Sse) {
            if unfinished {
                self.queue.push_back(Bytes::from_static(b"\n\n"));
            }
            let summary = ending::summary(&self.caller, &self.meter);
            self.queue.push_back(summary);
        }
    }
}

impl<U> Stream<U>
where
    U: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        loop {
            if let Some(data) = self.queue.pop_front() {
                self.quiet.said();
                return Poll::Ready(Some(Frame::data(data)));
            }
            let Some(upstream) = &mut self.upstream else {
                return Poll::Ready(self.trailers.take());
            };
            match Pin::new(upstream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        if let Some(data) = self.data(data) {
                            self.quiet.said();
                            return Poll::Ready(Some(Frame::data(data)));
                        }
                    }
                    // after what is still to be said
                    Err(trailers) => self.trailers = Some(trailers),
                },
                Poll::Ready(Some(Err(error))) => self.over(Some(&error)),
                Poll::Ready(None) => self.over(None),
                // a comment within an event would be part of it
                Poll::Pending if self.whole.is_within() => return Poll::Pending,
                Poll::Pending => {
                    ready!(self.quiet.poll(cx));
                    return Poll::Ready(Some(Frame::data(COMMENT)));
                }
            }
        }
    }
}
