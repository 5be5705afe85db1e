//! Reading a request body whole, once.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, request};
use http_body::Body;

use super::{Content, Payload, boxed, is_encoded};
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
    /// Boxed: a call is read once, and moved by every layer.
    Collecting(Box<Collect>),
}

pub(super) struct Collect {
    /// Taken when the request is whole.
    parts: Option<request::Parts>,
    body: Payload,
    route: Route,
    encoded: bool,
    max_bytes: usize,
    /// The first frame stays as it came: most bodies have only that one.
    first: Bytes,
    more: BytesMut,
    trailers: Option<Box<HeaderMap>>,
}

/// The most that is reserved for a body because its length says so; it grows beyond as it comes.
const MOST_RESERVED: usize = 1 << 20;

impl Collect {
    pub(super) fn new(request: Request<Payload>, route: Route, max_bytes: usize) -> Self {
        let encoded = is_encoded(request.headers());
        let (parts, body) = request.into_parts();
        Self {
            parts: Some(parts),
            body,
            route,
            encoded,
            max_bytes,
            first: Bytes::new(),
            more: BytesMut::new(),
            trailers: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Request<Payload>> {
        // the length is known to be too large: nothing is read
        if self.body.size_hint().lower() > self.max_bytes as u64 {
            return Poll::Ready(self.finish(Err(Unreadable::TooLarge), None));
        }
        loop {
            let (bytes, why, error) = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    match frame.into_data() {
                        Ok(data) if data.len() > self.max_bytes.saturating_sub(self.len()) => {
                            self.push(data);
                            return Poll::Ready(self.finish(Err(Unreadable::TooLarge), None));
                        }
                        Ok(data) => self.push(data),
                        Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
                    }
                    continue;
                }
                Some(Err(error)) => (self.take(), Err(Unreadable::Broken), Some(error)),
                None => (self.take(), Ok(()), None),
            };
            self.first = bytes;
            return Poll::Ready(self.finish(why, error));
        }
    }

    fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
        } else {
            if self.more.is_empty() {
                // what is announced is reserved at once, up to a bound: the caller wrote it
                let announced =
                    usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
                let capacity = announced.saturating_add(self.first.len() + data.len());
                self.more
                    .reserve(capacity.min(self.max_bytes).min(MOST_RESERVED));
                self.more
                    .extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.more.extend_from_slice(&data);
        }
    }

    fn take(&mut self) -> Bytes {
        if self.more.is_empty() {
            std::mem::take(&mut self.first)
        } else {
            std::mem::take(&mut self.more).freeze()
        }
    }

    fn finish(
        &mut self,
        read: Result<(), Unreadable>,
        error: Option<BoxError>,
    ) -> Request<Payload> {
        let bytes = self.take();
        let parts = self
            .parts
            .take()
            .unwrap_or_else(|| Request::new(()).into_parts().0);
        let attempts = parts
            .extensions
            .get::<Attempts>()
            .cloned()
            .unwrap_or_default();
        let read = if self.encoded {
            read.and(Err(Unreadable::Encoded))
        } else {
            read
        };
        let call = match read {
            Ok(()) => Call::read(&self.route, parts.uri.path(), &bytes, attempts),
            Err(why) => Call::unreadable_because(&self.route, parts.uri.path(), why, attempts),
        };
        let content = match (read, error) {
            (Err(Unreadable::TooLarge), _) => {
                let rest = std::mem::replace(&mut self.body, Payload::whole_of(Bytes::new()));
                if bytes.is_empty() {
                    rest.content
                } else {
                    Content::Stream {
                        front: bytes,
                        rest: Mutex::new(boxed(rest)),
                    }
                }
            }
            (_, Some(error)) => Content::Broken {
                read: bytes,
                error: Some(error),
            },
            _ => Content::Whole {
                bytes,
                trailers: self.trailers.take(),
            },
        };
        let payload = Payload {
            content,
            call: Some(Arc::new(call)),
        };
        Request::from_parts(parts, payload)
    }
}

/// A call whose requests go on while it is answered: known, and not read.
pub(super) fn both_ways(mut request: Request<Payload>, route: &Route) -> Request<Payload> {
    let attempts = request.extensions().get::<Attempts>().cloned();
    let attempts = attempts.unwrap_or_default();
    let path = request.uri().path();
    let call = Call::unreadable_because(route, path, Unreadable::BothWays, attempts);
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
        match &mut self.0 {
            ReadState::Ready(request) => Poll::Ready(
                request
                    .take()
                    .expect("a future is not polled after it was ready"),
            ),
            ReadState::Collecting(collect) => collect.poll(cx),
        }
    }
}

impl fmt::Debug for ReadPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadPayload").finish_non_exhaustive()
    }
}
