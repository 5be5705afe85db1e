//! A stream that is held to what is reserved for it.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use llm_exchange::{AnswerBody, BoxError, Cut, CutShort, Meter, Reached};

use crate::{
    extend::Allowed,
    open::Open,
    store::{MemoryStore, Store},
    tell,
};

/// A body that ends where what is reserved for it ends, in order: at the end of an event, with what
/// the dialect's streams end with at their own cap. Everything before that passes byte for byte.
pub struct Held<R, S: Store = MemoryStore> {
    /// `None`: the stream was ended.
    body: Option<AnswerBody<R>>,
    /// `None`: it passes.
    hold: Option<Hold<S>>,
    /// What comes instead of the rest.
    end: VecDeque<Result<Frame<Bytes>, BoxError>>,
}

struct Hold<S: Store> {
    open: Arc<Open<S>>,
    meter: Meter,
    /// Bytes that were handed on.
    came: u64,
    /// Output tokens so far, and the most that came at once.
    output: u64,
    largest: u64,
    /// Below so many output tokens nobody has to be asked.
    free: u64,
}

impl<R, S: Store> Held<R, S> {
    pub(crate) fn new(body: AnswerBody<R>, hold: Option<(Arc<Open<S>>, Meter)>) -> Self {
        Self {
            body: Some(body),
            hold: hold.map(|(open, meter)| Hold {
                open,
                meter,
                came: 0,
                output: 0,
                largest: 0,
                free: 0,
            }),
            end: VecDeque::new(),
        }
    }

    /// Ends the stream at this place; of the frame that holds it, what comes before stays.
    fn cut(&mut self, reached: &Reached, last: Bytes) {
        let Some(hold) = self.hold.take() else { return };
        hold.meter.cut(Cut::Limit);
        // upstream hears of it at once
        self.body = None;
        tell::cut(&hold.open.budget);
        let ending = reached.ending(hold.open.asks_usage);
        let trailers = reached.trailers();
        let is_told = !ending.is_empty() || trailers.is_some();
        let data = [last, ending].into_iter().filter(|data| !data.is_empty());
        self.end.extend(data.map(Frame::data).map(Ok));
        self.end
            .extend(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        if !is_told {
            // a format that has no such end
            let error = CutShort::new(Cut::Limit, "the budget is used up");
            self.end.push_back(Err(error.into()));
        }
    }
}

impl<S: Store> Hold<S> {
    /// Whether the stream may go on; if it may not, it ends at the next end of an event.
    fn poll_allowed(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let output = self.open.plan.measured(self.meter.output_tokens());
        self.largest = self.largest.max(output.saturating_sub(self.output));
        self.output = output;
        // what comes next is most likely no more than what came at once before
        let next = output.saturating_add(self.largest);
        if next < self.free || self.meter.is_over() {
            return Poll::Ready(true);
        }
        let model = self.meter.asked_model();
        Poll::Ready(match ready!(self.open.poll_ahead(next, model, cx)) {
            Allowed::UpTo(output) => {
                self.free = output;
                true
            }
            Allowed::NoMore => false,
        })
    }

    /// Where the stream can be ended, if that is within `start..=came` of what comes.
    fn end_within(&self, start: u64) -> Option<Reached> {
        let here = self.meter.here();
        (start..=self.came).contains(&here.at()).then_some(here)
    }
}

impl<R, S> Body for Held<R, S>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    S: Store,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(hold) = &mut this.hold
            && !ready!(hold.poll_allowed(cx))
            && let Some(reached) = hold.end_within(hold.came)
        {
            this.cut(&reached, Bytes::new());
        }
        let Some(body) = &mut this.body else {
            return Poll::Ready(this.end.pop_front());
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        let Some(hold) = &mut this.hold else {
            return Poll::Ready(frame);
        };
        let data = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            },
            other => return Poll::Ready(other),
        };
        let start = hold.came;
        hold.came += data.len() as u64;
        // what is waited for is waited for before the next frame
        if hold.poll_allowed(cx) == Poll::Ready(false)
            && let Some(reached) = hold.end_within(start)
        {
            let stays = usize::try_from(reached.at() - start).unwrap_or(data.len());
            this.cut(&reached, data.slice(..stays.min(data.len())));
            return Poll::Ready(this.end.pop_front());
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, &self.hold) {
            (Some(body), None) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

impl<R, S: Store> fmt::Debug for Held<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("body", &self.body)
            .field("is_held", &self.hold.is_some())
            .finish_non_exhaustive()
    }
}
