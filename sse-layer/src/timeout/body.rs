//! An answer's body with the clocks of its attempt.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use llm_exchange::{Ahead, AnswerBody, BoxError, Dialect, Meter};

use super::{
    clocks::Progress,
    cut::{CutOff, Form, Why},
    running::Running,
};
use crate::{
    tell,
    whole::{Passed, Whole},
};

/// The body of an answer that came through a [`StreamTimeoutLayer`](crate::StreamTimeoutLayer).
///
/// What the layer does not change passes byte for byte. Of a stream of events only whole ones are
/// passed on; one that has begun is held back until its end, up to 4 MiB.
pub struct StreamTimeoutBody<R> {
    /// `None`: it is over, or was let go.
    upstream: Option<AnswerBody<R>>,
    /// `None`: nothing is waited for with a clock.
    timed: Option<Timed>,
    /// What is to go on before the upstream is asked again.
    queue: VecDeque<Bytes>,
    /// And what then.
    last: Option<Result<Frame<Bytes>, BoxError>>,
}

struct Timed {
    running: Running,
    dialect: Dialect,
    /// Of a stream.
    meter: Option<Meter>,
    /// Of a stream.
    whole: Option<Whole>,
}

impl<R> StreamTimeoutBody<R> {
    pub(crate) const fn new(upstream: AnswerBody<R>) -> Self {
        Self {
            upstream: Some(upstream),
            timed: None,
            queue: VecDeque::new(),
            last: None,
        }
    }

    pub(crate) fn timed(
        upstream: AnswerBody<R>,
        running: Running,
        dialect: Dialect,
        meter: Option<Meter>,
    ) -> Self {
        let framing = meter.as_ref().and_then(Meter::framing);
        let timed = Timed {
            running,
            dialect,
            whole: framing.map(Whole::new),
            meter,
        };
        Self {
            timed: Some(timed),
            ..Self::new(upstream)
        }
    }

    /// Lets the upstream go, and leaves what its reader is told.
    fn cut(&mut self, why: Why) {
        self.upstream = None;
        if let Some(timed) = self.timed.take() {
            tell::cut_off(why.label());
            if timed.meter.as_ref().is_some_and(Meter::is_complete) {
                // all came but the end of the body
                self.queue
                    .extend(timed.whole.and_then(|whole| whole.unclosed()));
                return;
            }
            let missing = timed.whole.as_ref().and_then(Whole::missing_end);
            self.queue.extend(missing);
            match why.cut_off(timed.form(), timed.dialect) {
                CutOff::Data(data) => self.queue.push_back(data),
                CutOff::Last(last) => self.last = Some(last),
            }
        }
    }
}

impl Timed {
    fn form(&self) -> Form {
        if self.dialect.is_grpc() {
            return Form::Grpc;
        }
        match (&self.meter, &self.whole) {
            (Some(meter), Some(whole)) if whole.can_end() => match meter.framing() {
                Some(framing) => Form::Events {
                    framing,
                    begun: whole.has_begun(),
                    number: meter.next_event_number(),
                },
                None => Form::Other,
            },
            _ => Form::Other,
        }
    }

    fn progress(&self) -> Progress {
        match &self.meter {
            Some(meter) => Progress {
                events: meter.events(),
                contents: meter.contents(),
                tokens: meter.output_tokens(),
                over: meter.is_over(),
            },
            None => Progress::default(),
        }
    }

    /// The upstream has nothing to give: ready with the reason to give it up, which its meter knows.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Why> {
        let clock = ready!(self.running.poll_waiting(self.progress(), cx));
        Poll::Ready(self.give_up(self.running.why(clock)))
    }

    /// Whether the model says the same again and again.
    #[inline]
    fn repeats(&self) -> bool {
        match (self.running.repeats(), &self.meter) {
            (Some(most), Some(meter)) => meter.repeats() >= most,
            _ => false,
        }
    }

    fn repeating(&self) -> Why {
        let times = self.meter.as_ref().map_or(0, Meter::repeats);
        self.give_up(Why::Repeating { times })
    }

    fn give_up(&self, why: Why) -> Why {
        if let Some(meter) = &self.meter {
            meter.cut(why.cut());
        }
        why
    }
}

impl<R> StreamTimeoutBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// Reads ahead until there is something to hand on: content, an error, the end, or `most` bytes.
    /// An error: it is given up before.
    pub(crate) fn poll_ahead(&mut self, most: u64, cx: &mut Context<'_>) -> Poll<Result<(), Why>> {
        let (Some(upstream), Some(timed)) = (&mut self.upstream, &mut self.timed) else {
            return Poll::Ready(Ok(()));
        };
        loop {
            let Poll::Ready(ahead) = upstream.poll_ahead(cx) else {
                return timed.poll_waiting(cx).map(Err);
            };
            timed.running.came();
            let begun = timed
                .meter
                .as_ref()
                .is_none_or(|meter| meter.contents() > 0 || meter.is_over());
            if begun || ahead != Ahead::Frame || upstream.bytes_ahead() >= most {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether what came goes on as it is, as mostly it does. Otherwise it is to be
    /// [taken](Self::take).
    #[inline]
    fn passes(&mut self, came: &Came) -> bool {
        let Some(timed) = &mut self.timed else {
            return true;
        };
        timed.running.came();
        let whole = match (&mut timed.whole, came) {
            (None, _) => true,
            (Some(whole), Some(Ok(frame))) => {
                frame.data_ref().is_some_and(|data| whole.is_whole(data))
            }
            _ => false,
        };
        whole && !timed.repeats()
    }

    /// Queues what goes on of it.
    fn take(&mut self, came: Came) {
        let Some(timed) = &mut self.timed else { return };
        let why = timed.repeats().then(|| timed.repeating());
        let data = match came {
            Some(Ok(frame)) => frame.into_data().map_err(|trailers| Some(Ok(trailers))),
            last => {
                self.upstream = None;
                Err(last)
            }
        };
        match (data, &mut timed.whole) {
            (Ok(data), None) => self.queue.push_back(data),
            (Ok(data), Some(whole)) => {
                let Passed { held, data } = whole.push(data);
                self.queue.extend(held.into_iter().chain(data));
            }
            (Err(last), whole) => {
                // an event that was begun and is not whole is not ours to judge
                self.queue.extend(whole.as_mut().and_then(Whole::release));
                self.last = last;
            }
        }
        if let Some(why) = why {
            self.cut(why);
        }
    }
}

/// What a body gave: a frame, its error, or its end.
type Came = Option<Result<Frame<Bytes>, BoxError>>;

impl<R> Body for StreamTimeoutBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(data) = this.queue.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if let Some(last) = this.last.take() {
                return Poll::Ready(Some(last));
            }
            let Some(upstream) = &mut this.upstream else {
                return Poll::Ready(None);
            };
            let timed = this.timed.as_mut();
            let listening = timed.and_then(|timed| timed.running.listen(cx.waker()));
            let polled = match &listening {
                Some(waker) => Pin::new(upstream).poll_frame(&mut Context::from_waker(waker)),
                None => Pin::new(upstream).poll_frame(cx),
            };
            match polled {
                Poll::Ready(came) => {
                    if this.passes(&came) {
                        return Poll::Ready(came);
                    }
                    this.take(came);
                }
                Poll::Pending => {
                    let Some(timed) = &mut this.timed else {
                        return Poll::Pending;
                    };
                    let why = ready!(timed.poll_waiting(cx));
                    this.cut(why);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let whole = self.timed.as_ref().and_then(|timed| timed.whole.as_ref());
        let holding = whole.is_some_and(Whole::is_holding);
        self.queue.is_empty()
            && self.last.is_none()
            && !holding
            && self.upstream.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.upstream, &self.timed) {
            // a stream may be given another end
            (Some(upstream), timed) if timed.as_ref().is_none_or(|timed| timed.whole.is_none()) => {
                upstream.size_hint()
            }
            _ => SizeHint::default(),
        }
    }
}

impl<R> fmt::Debug for StreamTimeoutBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamTimeoutBody")
            .field("upstream", &self.upstream)
            .field("timed", &self.timed.is_some())
            .finish_non_exhaustive()
    }
}
