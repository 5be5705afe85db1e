//! Watching an answer that was handed on.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use llm_exchange::{AnswerBody, BodyEnd, BoxError, Meter, Observe, Verdict, Watch};
use tokio::time::Instant;

use crate::{failover::Joined, memory::Memories, served::Label};

/// The body of an answer that came through the layer.
pub struct FallbackBody<R>(Kind<R>)
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>;

enum Kind<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// Byte for byte what the target said.
    One(Watch<AnswerBody<R>, Remember>),
    /// A stream that goes on elsewhere if it breaks. Boxed, as few are and all are moved often.
    Joined(Box<AnswerBody<Joined<R>>>),
}

impl<R> FallbackBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    pub(crate) fn new(body: AnswerBody<R>, remember: Option<Remember>) -> Self {
        Self(Kind::One(Watch::new(body, remember)))
    }

    /// Makes of an answer one that goes on.
    pub(crate) fn join(
        response: Response<Self>,
        around: impl FnOnce(Response<Watch<AnswerBody<R>, Remember>>) -> Response<AnswerBody<Joined<R>>>,
    ) -> Response<Self> {
        let (head, body) = response.into_parts();
        match body.0 {
            Kind::One(body) => around(Response::from_parts(head, body))
                .map(|body| Self(Kind::Joined(Box::new(body)))),
            joined @ Kind::Joined(_) => Response::from_parts(head, Self(joined)),
        }
    }

    /// The answer of one target.
    pub(crate) fn into_one(self) -> Option<Watch<AnswerBody<R>, Remember>> {
        match self.0 {
            Kind::One(body) => Some(body),
            Kind::Joined(_) => None,
        }
    }
}

impl<R> Body for FallbackBody<R>
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
        match &mut self.0 {
            Kind::One(body) => Pin::new(body).poll_frame(cx),
            Kind::Joined(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::One(body) => body.is_end_stream(),
            Kind::Joined(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::One(body) => body.size_hint(),
            Kind::Joined(body) => body.size_hint(),
        }
    }
}

impl<R> fmt::Debug for FallbackBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = matches!(self.0, Kind::Joined(_));
        f.debug_struct("FallbackBody")
            .field("goes_on", &joined)
            .finish_non_exhaustive()
    }
}

/// Watches the answer of a target to its end: only there it is known whether the target failed.
pub struct Remember {
    pub(crate) memories: Arc<Memories>,
    /// Of host and model: a failure in the middle is never the account's.
    pub(crate) key: u64,
    pub(crate) target: Label,
    /// Of a stream: it knows of errors in it, and whether it came to its end.
    pub(crate) meter: Option<Meter>,
}

impl Observe for Remember {
    fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    fn end(&mut self, end: BodyEnd<'_>) {
        let verdict = match (&self.meter, end) {
            (Some(meter), _) => meter.verdict(),
            (None, BodyEnd::Whole) => Verdict::Ok,
            (None, BodyEnd::Failed(_)) => Verdict::Failed,
            // a caller who goes away says nothing about the target
            (None, _) => Verdict::CallerGone,
        };
        match verdict {
            Verdict::Ok => self.memories.went_well(|| self.key),
            Verdict::Overloaded | Verdict::Failed | Verdict::TimedOut => {
                let (target, now) = (self.target.as_str(), Instant::now());
                self.memories.failed(self.key, target, verdict, now);
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Remember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remember")
            .field("target", &self.target.as_str())
            .finish_non_exhaustive()
    }
}
