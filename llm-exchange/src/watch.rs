//! Watching a body to its end.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::{BoxError, Meter};

/// How a body ended.
#[non_exhaustive]
#[derive(Debug)]
pub enum BodyEnd<'a> {
    /// All of it was handed on. A body whose reader stopped at the last byte that the length or
    /// `is_end_stream` promised counts as whole, as hyper reads no further.
    Whole,
    /// It broke with this error, which is handed on.
    Failed(&'a BoxError),
    /// The reader dropped it before its end: the caller went away.
    Dropped,
}

/// What a layer does with a body that passes. Every method but [`end`](Observe::end) is optional.
pub trait Observe {
    /// A data frame passes.
    fn data(&mut self, data: &Bytes) {
        let _ = data;
    }

    /// The trailers pass.
    fn trailers(&mut self, trailers: &HeaderMap) {
        let _ = trailers;
    }

    /// The meter of the answer, if the observer reads it: then the end is noted there before
    /// [`end`](Observe::end) is called.
    fn meter(&self) -> Option<&Meter> {
        None
    }

    /// The body is over. Called exactly once, also when the body is dropped unread, and nothing is
    /// called after it.
    fn end(&mut self, end: BodyEnd<'_>);
}

/// A body that tells an observer what passes and, exactly once, how it ended.
///
/// It changes nothing: frames, `is_end_stream` and `size_hint` are the inner body's. It is `Unpin`. Any body
/// can be watched as an [`AnswerBody`](crate::AnswerBody), which makes one error type of all.
pub struct Watch<B, O>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
    O: Observe,
{
    body: B,
    /// Taken when the end was told.
    observer: Option<O>,
}

impl<B, O> Watch<B, O>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
    O: Observe,
{
    /// Watches a body. Without an observer it is passed through.
    pub fn new(body: B, observer: impl Into<Option<O>>) -> Self {
        Self {
            body,
            observer: observer.into(),
        }
    }

    fn end(&mut self, end: BodyEnd<'_>) {
        if let Some(mut observer) = self.observer.take() {
            tell(&mut observer, end);
        }
    }
}

fn tell(observer: &mut impl Observe, end: BodyEnd<'_>) {
    // a body further in hears of its drop only after this one
    if let Some(meter) = observer.meter() {
        meter.note(&end);
    }
    observer.end(end);
}

// an observer is never pinned
impl<B, O> Unpin for Watch<B, O>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
    O: Observe,
{
}

impl<B, O> Body for Watch<B, O>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
    O: Observe,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        // handed on where it is: a frame is large enough for moving it to cost something
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => this.end(BodyEnd::Whole),
            Poll::Ready(Some(Err(error))) => this.end(BodyEnd::Failed(error)),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(observer) = &mut this.observer {
                    if let Some(data) = frame.data_ref() {
                        observer.data(data);
                    } else if let Some(trailers) = frame.trailers_ref() {
                        observer.trailers(trailers);
                    }
                }
                // the reader may stop here, without asking for the end
                if this.body.is_end_stream() {
                    this.end(BodyEnd::Whole);
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B, O> Drop for Watch<B, O>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
    O: Observe,
{
    fn drop(&mut self) {
        // hyper stops reading at the announced length and drops the body: that is its end
        let whole = self.body.is_end_stream() || self.body.size_hint().exact() == Some(0);
        // the observer goes after the body: its own drop knows what the bodies further in settled
        if let Some(observer) = &mut self.observer {
            let end = if whole {
                BodyEnd::Whole
            } else {
                BodyEnd::Dropped
            };
            tell(observer, end);
        }
    }
}

impl<B, O> fmt::Debug for Watch<B, O>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin + fmt::Debug,
    O: Observe,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("body", &self.body)
            .field("ended", &self.observer.is_none())
            .finish()
    }
}
