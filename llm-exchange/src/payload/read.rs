//! Reading a request body whole, once.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, request};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{Content, Payload, is_encoded};
use crate::{Attempts, BoxError, Call, Unreadable, route::Route};

/// The future of [`Payload::read`].
#[must_use = "futures do nothing unless polled"]
pub struct ReadPayload(pub(super) ReadState);

#[allow(
    clippy::large_enum_variant,
    reason = "the ready request is the hot path, and moved on at once"
)]
pub(super) enum ReadState {
    Ready(Option<Request<Payload>>),
    /// Boxed, with the body in it: a call is read once, and moved by every layer. The mutex makes the
    /// future `Sync` and is entered by exclusive reference.
    Collecting(Mutex<Option<Pin<Box<dyn Collecting>>>>),
}

/// A request's body that is being read, whatever its type. As a body it is what was not read.
pub(super) trait Collecting: Body<Data = Bytes, Error = BoxError> + Send {
    fn poll_collect(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Collected>;
}

/// What came of reading a body.
pub(super) struct Collected {
    parts: request::Parts,
    call: Call,
    bytes: Bytes,
    left: Left,
}

/// What comes behind the bytes that were read.
enum Left {
    Trailers(Option<Box<HeaderMap>>),
    Error(BoxError),
    /// The rest of a body that is too large.
    Rest,
}

pin_project! {
    pub(super) struct Collect<B> {
        // taken when the request is whole
        parts: Option<request::Parts>,
        #[pin]
        body: B,
        route: Route,
        max_bytes: usize,
        // the first frame stays as it came: most bodies have only that one
        first: Bytes,
        more: BytesMut,
        trailers: Option<Box<HeaderMap>>,
    }
}

/// The most that is reserved for a body because its length says so; it grows beyond as it comes.
const MOST_RESERVED: usize = 1 << 20;

impl<B> Collect<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn boxed(
        request: Request<B>,
        route: Route,
        max_bytes: usize,
    ) -> Pin<Box<dyn Collecting>> {
        let (parts, body) = request.into_parts();
        Box::pin(Self {
            parts: Some(parts),
            body,
            route,
            max_bytes,
            first: Bytes::new(),
            more: BytesMut::new(),
            trailers: None,
        })
    }

    fn push(self: Pin<&mut Self>, data: Bytes) {
        let this = self.project();
        let (first, more) = (this.first, this.more);
        if first.is_empty() && more.is_empty() {
            *first = data;
            return;
        }
        if more.is_empty() {
            // what is announced is reserved at once, up to a bound: the caller wrote it
            let announced = usize::try_from(this.body.size_hint().lower()).unwrap_or(usize::MAX);
            let capacity = announced.saturating_add(first.len() + data.len());
            more.reserve(capacity.min(*this.max_bytes).min(MOST_RESERVED));
            more.extend_from_slice(&std::mem::take(first));
        }
        more.extend_from_slice(&data);
    }

    fn finish(self: Pin<&mut Self>, read: Result<(), Unreadable>, left: Left) -> Collected {
        let this = self.project();
        let bytes = if this.more.is_empty() {
            std::mem::take(this.first)
        } else {
            std::mem::take(this.more).freeze()
        };
        let parts = this
            .parts
            .take()
            .unwrap_or_else(|| Request::new(()).into_parts().0);
        let attempts = parts.extensions.get::<Attempts>();
        let attempts = attempts.cloned().unwrap_or_default();
        let read = if is_encoded(&parts.headers) {
            read.and(Err(Unreadable::Encoded))
        } else {
            read
        };
        let call = match read {
            Ok(()) => Call::read(this.route, &parts.uri, &bytes, attempts),
            Err(why) => Call::unreadable_because(this.route, &parts.uri, why, attempts),
        };
        Collected {
            parts,
            call,
            bytes,
            left,
        }
    }
}

impl<B> Collecting for Collect<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn poll_collect(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Collected> {
        // the length is known to be too large: nothing is read
        if self.body.size_hint().lower() > self.max_bytes as u64 {
            return Poll::Ready(self.finish(Err(Unreadable::TooLarge), Left::Rest));
        }
        loop {
            let this = self.as_mut().project();
            if this.body.is_end_stream() {
                let trailers = this.trailers.take();
                return Poll::Ready(self.finish(Ok(()), Left::Trailers(trailers)));
            }
            let room = this
                .max_bytes
                .saturating_sub(this.first.len() + this.more.len());
            match ready!(this.body.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let fits = data.len() <= room;
                        self.as_mut().push(data);
                        if !fits {
                            return Poll::Ready(self.finish(Err(Unreadable::TooLarge), Left::Rest));
                        }
                    }
                    Err(frame) => *this.trailers = frame.into_trailers().ok().map(Box::new),
                },
                Some(Err(error)) => {
                    let error = Left::Error(error.into());
                    return Poll::Ready(self.finish(Err(Unreadable::Broken), error));
                }
                None => {
                    let trailers = this.trailers.take();
                    return Poll::Ready(self.finish(Ok(()), Left::Trailers(trailers)));
                }
            }
        }
    }
}

impl<B> Body for Collect<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().body.poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Collected {
    /// The request with what was read of its body, and the rest of it.
    fn request(self, rest: Pin<Box<dyn Collecting>>) -> Request<Payload> {
        let content = match self.left {
            Left::Trailers(trailers) => Content::Whole {
                bytes: self.bytes,
                trailers,
            },
            Left::Error(error) => Content::Broken {
                read: self.bytes,
                error: Some(error),
            },
            Left::Rest => Content::Stream {
                front: self.bytes,
                rest: Mutex::new(rest),
            },
        };
        let payload = Payload {
            content,
            call: Some(Arc::new(self.call)),
        };
        Request::from_parts(self.parts, payload)
    }
}

/// A call whose requests go on while it is answered: known, and not read.
pub(super) fn both_ways(mut request: Request<Payload>, route: &Route) -> Request<Payload> {
    let attempts = request.extensions().get::<Attempts>();
    let attempts = attempts.cloned().unwrap_or_default();
    let call = Call::unreadable_because(route, request.uri(), Unreadable::BothWays, attempts);
    request.body_mut().call = Some(Arc::new(call));
    request
}

impl ReadPayload {
    /// The request at once, where nothing has to be waited for: it was read before, or is not read.
    ///
    /// # Errors
    ///
    /// The future itself, to be polled.
    #[inline]
    #[allow(clippy::result_large_err, reason = "the other way is as large")]
    pub fn now(self) -> Result<Request<Payload>, Self> {
        match self.0 {
            ReadState::Ready(Some(request)) => Ok(request),
            state => Err(Self(state)),
        }
    }
}

impl Future for ReadPayload {
    type Output = Request<Payload>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const OVER: &str = "a future is not polled after it was ready";
        Poll::Ready(match &mut self.0 {
            ReadState::Ready(request) => request.take().expect(OVER),
            ReadState::Collecting(collecting) => {
                let collecting = collecting.get_mut().unwrap_or_else(PoisonError::into_inner);
                let collect = collecting.as_mut().expect(OVER);
                let collected = ready!(collect.as_mut().poll_collect(cx));
                collected.request(collecting.take().expect(OVER))
            }
        })
    }
}

impl fmt::Debug for ReadPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadPayload").finish_non_exhaustive()
    }
}
