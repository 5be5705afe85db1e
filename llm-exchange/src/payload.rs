//! The request body that can be sent again.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body::{Body, Frame, SizeHint};

use crate::{BoxError, Call, Dialect, meter, route::Route};

mod place;
mod read;

use self::read::{Collect, ReadState};
pub use self::{place::InPlace, read::ReadPayload};

/// A request body: whole bytes that can be sent again at no cost, or a stream that passes through
/// once.
///
/// A layer turns the request it is given into one with [`Payload::read`]; the first layer to do so
/// reads the body, every further one finds a `Payload` and reads nothing.
///
/// `Debug` shows the kind and the length, never the content.
pub struct Payload {
    content: Content,
    call: Option<Arc<Call>>,
}

type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

enum Content {
    Whole {
        bytes: Bytes,
        trailers: Option<Box<HeaderMap>>,
    },
    /// The caller's upload broke: what was read, then its error.
    Broken {
        read: Bytes,
        error: Option<BoxError>,
    },
    /// What was read ahead, then the rest. The mutex is never contended: it makes the payload
    /// `Sync`, which axum asks for, and is entered by exclusive reference.
    Stream { front: Bytes, rest: Mutex<BoxBody> },
}

impl Payload {
    /// The most bytes of a body that are read into memory unless a layer is told otherwise: 16 MiB.
    pub const DEFAULT_MAX_BYTES: usize = 16 << 20;

    /// A payload of any body, which passes through once. A `Payload` is returned as it is.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        if let Some(payload) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>()
            && let Some(payload) = payload.take()
        {
            return payload;
        }
        match body {
            Some(body) if !body.is_end_stream() => Self::stream(Bytes::new(), boxed(body)),
            _ => Self::whole_of(Bytes::new()),
        }
    }

    /// Reads the request's body whole if it is an LLM call, and what the call asks for.
    ///
    /// Read whole are the bodies of requests of a known [`Dialect`] with a JSON content type (or
    /// none), or gRPC's, up to `max_bytes`. Everything else passes through as it comes, as one
    /// stream. The
    /// future never fails: if the caller's upload breaks, what was read and the error go on to the
    /// inner service, and [`upload_broke`](Self::upload_broke) remembers it.
    ///
    /// An [`Attempts`](crate::Attempts) that the app put into the request's extensions becomes the call's.
    #[inline]
    pub fn read<B>(request: Request<B>, max_bytes: usize) -> ReadPayload
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request = match Self::itself(request) {
            // mostly a layer further out read it: neither the body nor the path need be read again
            Ok(read) if Call::of(&read).is_some() => {
                return ReadPayload(ReadState::Ready(Some(read)));
            }
            Ok(unread) => unread,
            Err(request) => request.map(Self::new),
        };
        ReadPayload(Self::begin(request, max_bytes))
    }

    /// The request that [`read`](Self::read) would return as it is, because a layer further out read it:
    /// looked at in its place, and taken from there to be sent on. Moving a request costs more than most
    /// layers do with one.
    #[inline]
    pub fn already_read<B: 'static>(request: &mut Option<Request<B>>) -> Option<InPlace<'_>> {
        let request: &mut dyn Any = request;
        let place = request.downcast_mut::<Option<Request<Self>>>()?;
        InPlace::of(place)
    }

    /// The same request, if its body is a payload.
    #[inline]
    #[allow(clippy::result_large_err, reason = "the other way is as large")]
    fn itself<B: 'static>(request: Request<B>) -> Result<Request<Self>, Request<B>> {
        let mut request = Some(request);
        let same = (&mut request as &mut dyn Any)
            .downcast_mut::<Option<Request<Self>>>()
            .and_then(Option::take);
        match (same, request) {
            (Some(same), _) => Ok(same),
            (None, Some(other)) => Err(other),
            // one of them is there: it is taken from one to the other
            (None, None) => Ok(Request::new(Self::whole_of(Bytes::new()))),
        }
    }

    fn begin(request: Request<Self>, max_bytes: usize) -> ReadState {
        match Route::of_request(request.method(), request.uri()) {
            Some(route) if !is_readable(route.dialect, request.headers()) => {
                ReadState::Ready(Some(request))
            }
            Some(route) if route.dialect.goes_both_ways() => {
                ReadState::Ready(Some(read::both_ways(request, &route)))
            }
            Some(route) => ReadState::Collecting(Box::new(Collect::new(request, route, max_bytes))),
            None => ReadState::Ready(Some(request)),
        }
    }

    /// A copy that sends the same bytes, if there can be one. It costs no copy of the bytes.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        match &self.content {
            Content::Whole { bytes, trailers } => Some(Self {
                content: Content::Whole {
                    bytes: bytes.clone(),
                    trailers: trailers.clone(),
                },
                call: self.call.clone(),
            }),
            Content::Broken { .. } | Content::Stream { .. } => None,
        }
    }

    /// Whether [`try_clone`](Self::try_clone) gives a copy.
    #[must_use]
    pub const fn is_replayable(&self) -> bool {
        matches!(self.content, Content::Whole { .. })
    }

    /// Whether the caller went away while sending: then nobody retries the call or counts it as a
    /// failure of the provider.
    #[must_use]
    pub const fn upload_broke(&self) -> bool {
        matches!(self.content, Content::Broken { .. })
    }

    /// The bytes of a body that was read whole.
    #[must_use]
    pub const fn whole(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Whole { bytes, .. } => Some(bytes),
            Content::Broken { .. } | Content::Stream { .. } => None,
        }
    }

    pub(crate) const fn call(&self) -> Option<&Arc<Call>> {
        self.call.as_ref()
    }

    pub(crate) fn replace(&mut self, bytes: Bytes, call: Call) {
        let trailers = match &mut self.content {
            Content::Whole { trailers, .. } => trailers.take(),
            Content::Broken { .. } | Content::Stream { .. } => None,
        };
        self.content = Content::Whole { bytes, trailers };
        self.call = Some(Arc::new(call));
    }

    /// What is known of the call has changed, and not a byte of the body.
    pub(crate) fn call_is(&mut self, call: Call) {
        self.call = Some(Arc::new(call));
    }

    const fn whole_of(bytes: Bytes) -> Self {
        Self {
            content: Content::Whole {
                bytes,
                trailers: None,
            },
            call: None,
        }
    }

    const fn stream(front: Bytes, rest: BoxBody) -> Self {
        Self {
            content: Content::Stream {
                front,
                rest: Mutex::new(rest),
            },
            call: None,
        }
    }
}

/// Whether the body is of the type that the dialect has.
fn is_readable(dialect: Dialect, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return !dialect.is_grpc();
    };
    let value = value.as_bytes();
    let media_type = value
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let ends = |end: &[u8]| {
        let start = media_type.len().checked_sub(end.len());
        start.is_some_and(|start| media_type[start..].eq_ignore_ascii_case(end))
    };
    if dialect.is_grpc() {
        return meter::is_grpc(media_type);
    }
    media_type.eq_ignore_ascii_case(b"application/json") || ends(b"+json")
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn boxed<B>(body: B) -> BoxBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    pin_project_lite::pin_project! {
        struct BoxErrors<B> { #[pin] body: B }
    }

    impl<B: Body<Data = Bytes>> Body for BoxErrors<B>
    where
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

    Box::pin(BoxErrors { body })
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.content {
            Content::Whole { bytes, trailers } => {
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))));
                }
                Poll::Ready(
                    trailers
                        .take()
                        .map(|trailers| Ok(Frame::trailers(*trailers))),
                )
            }
            Content::Broken { read, error } => {
                if !read.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(read)))));
                }
                Poll::Ready(error.take().map(Err))
            }
            Content::Stream { front, rest } => {
                if !front.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(front)))));
                }
                rest.get_mut()
                    .unwrap_or_else(PoisonError::into_inner)
                    .as_mut()
                    .poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole { bytes, trailers } => bytes.is_empty() && trailers.is_none(),
            Content::Broken { read, error } => read.is_empty() && error.is_none(),
            Content::Stream { front, rest } => {
                front.is_empty()
                    && rest
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Content::Broken { .. } => SizeHint::default(),
            Content::Stream { front, rest } => {
                let rest = rest
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .size_hint();
                add(&rest, front.len() as u64)
            }
        }
    }
}

/// A size hint of this many bytes more.
pub(crate) fn add(hint: &SizeHint, bytes: u64) -> SizeHint {
    let mut sum = SizeHint::new();
    sum.set_lower(hint.lower().saturating_add(bytes));
    if let Some(upper) = hint.upper().and_then(|upper| upper.checked_add(bytes)) {
        sum.set_upper(upper);
    }
    sum
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Payload");
        match &self.content {
            Content::Whole { bytes, .. } => debug.field("whole_bytes", &bytes.len()),
            Content::Broken { read, .. } => debug.field("broken_after_bytes", &read.len()),
            Content::Stream { .. } => debug.field("stream", &self.size_hint()),
        };
        debug.field("call", &self.call).finish()
    }
}
