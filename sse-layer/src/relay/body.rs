//! The body that the caller reads.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use llm_exchange::{AnswerBody, BoxError, Framing, Meter, Refusal, UsageHidden};

use super::{
    Abandon, Upstream,
    caller::Caller,
    early::{Early, Next},
    stream::Stream,
};
use crate::{quiet::Quiet, whole::Whole};

/// Tells nginx, and whoever took this up from it, not to hold an answer back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The body of an answer that came through an [`SseLayer`](crate::SseLayer).
///
/// An answer that is no stream passes as it is. What goes wrong in a stream is told in it, by an event
/// or by trailers. Of its events only whole ones are passed on; one that has begun is held back until
/// its end, up to 4 MiB. Only a stream that breaks within a longer element of an array or frame of
/// Amazon's fails as its upstream did.
pub struct SseBody<F, R, D: Abandon<Upstream<R>>> {
    inner: Inner<F, R>,
    abandon: D,
}

/// Boxed but for the first: an answer is moved often, and most are no streams.
enum Inner<F, R> {
    Other(AnswerBody<R>),
    Stream(Box<Stream<Upstream<R>>>),
    Early(Box<Early<F, R>>),
    Over,
}

/// An answer as this layer sees it.
pub(super) enum Answered<R> {
    Stream(Response<Box<Stream<Upstream<R>>>>),
    Other(Response<AnswerBody<R>>, Caller),
}

/// Looks at the head of an answer. `begun`: something was written to the caller already.
pub(super) fn answered<R>(response: Response<R>, caller: Caller, begun: bool) -> Answered<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    if Refusal::of(&response).is_some() || !response.status().is_success() {
        return Answered::Other(response.map(AnswerBody::inner), caller);
    }
    let (meter, mut response) = Meter::attach(response, &caller.call);
    // no stream, or a compressed one
    let framing = meter.framing().filter(|framing| {
        let all_in_head = response.headers().contains_key("grpc-status");
        meter.is_stream() && !all_in_head && (!begun || *framing == Framing::Sse)
    });
    let Some(framing) = framing else {
        return Answered::Other(response, caller);
    };
    let whole = Whole::new(framing);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    // over HTTP/2 no proxy holds back what is gRPC
    if framing != Framing::Grpc {
        mark(response.headers_mut());
    }
    // nothing else has comments
    let keep_alive = caller
        .settings
        .keep_alive
        .filter(|_| framing == Framing::Sse);
    let quiet = Quiet::new(keep_alive);
    Answered::Stream(response.map(|body| {
        let hide = caller.hides_usage.then(|| meter.clone());
        let upstream = UsageHidden::new(body, hide);
        Box::new(Stream::new(upstream, meter, caller, quiet, whole, begun))
    }))
}

/// The headers of a stream.
fn mark(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

impl<F, R, D: Abandon<Upstream<R>>> SseBody<F, R, D> {
    pub(super) const fn other(body: AnswerBody<R>, abandon: D) -> Self {
        Self {
            inner: Inner::Other(body),
            abandon,
        }
    }

    pub(super) fn answered(answered: Answered<R>, abandon: D) -> Response<Self> {
        match answered {
            Answered::Other(response, _) => response.map(|body| Self::other(body, abandon)),
            Answered::Stream(response) => response.map(|stream| Self {
                inner: Inner::Stream(stream),
                abandon,
            }),
        }
    }

    /// The head of an answer that is still waited for.
    pub(super) fn early(call: Pin<Box<F>>, caller: Caller, abandon: D) -> Response<Self> {
        let mut response = Response::new(Self {
            inner: Inner::Early(Box::new(Early::new(call, caller))),
            abandon,
        });
        let stream = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, stream);
        mark(response.headers_mut());
        response
    }
}

impl<F, R, D, E> Body for SseBody<F, R, D>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    D: Abandon<Upstream<R>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            match &mut self.inner {
                Inner::Other(body) => return Pin::new(body).poll_frame(cx),
                Inner::Stream(stream) => return stream.poll_frame(cx),
                Inner::Over => return Poll::Ready(None),
                Inner::Early(early) => {
                    let (data, next) = match ready!(early.poll_next(cx)) {
                        Some(Next::Stream(stream)) => (None, Some(Inner::Stream(stream))),
                        Some(Next::Data(data)) => (Some(data), None),
                        Some(Next::Last(data)) => (Some(data), Some(Inner::Over)),
                        None => (None, Some(Inner::Over)),
                    };
                    if let Some(next) = next {
                        self.inner = next;
                    }
                    if let Some(data) = data {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Other(body) => body.is_end_stream(),
            Inner::Stream(stream) => stream.is_over(),
            Inner::Early(_) => false,
            Inner::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Other(body) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

impl<F, R, D: Abandon<Upstream<R>>> Drop for SseBody<F, R, D> {
    fn drop(&mut self) {
        if let Inner::Stream(stream) = &mut self.inner
            && let Some(upstream) = stream.take_upstream()
        {
            self.abandon.abandon(upstream);
        }
    }
}

impl<F, R, D: Abandon<Upstream<R>>> fmt::Debug for SseBody<F, R, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.inner {
            Inner::Other(_) => "other",
            Inner::Stream(_) => "stream",
            Inner::Early(_) => "early",
            Inner::Over => "over",
        };
        f.debug_struct("SseBody")
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}
