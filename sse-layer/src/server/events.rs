use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use http_body::{Body, Frame};
use llm_exchange::{BoxError, sse::Event};
use pin_project_lite::pin_project;

use crate::quiet::{COMMENT, Quiet};

pin_project! {
    /// A body of server-sent events, each written as it comes out of a stream.
    ///
    /// An error of the stream breaks the body. To end it in order, make an event of the error:
    /// [`ErrorAnswer::in_stream`](llm_exchange::ErrorAnswer::in_stream) has the bytes in the
    /// caller's dialect.
    ///
    /// Nothing is read ahead: the stream is asked for the next event when the last one was taken. The
    /// body is `Unpin` if the stream is.
    ///
    /// ```
    /// use std::{convert::Infallible, time::Duration};
    /// use futures_util::stream;
    /// use llm_exchange::sse::Event;
    /// use sse_layer::server::EventBody;
    ///
    /// let events = stream::iter(["{}", "[DONE]"]).map(|data| Ok::<_, Infallible>(Event::new(data)));
    /// // an axum handler returns it as it is
    /// let response = EventBody::new(events).keep_alive(Duration::from_secs(15)).into_response();
    /// assert_eq!(response.headers()["content-type"], "text/event-stream");
    /// # use futures_util::StreamExt;
    /// ```
    pub struct EventBody<S> {
        #[pin]
        events: S,
        quiet: Quiet,
        over: bool,
    }
}

impl<S> EventBody<S> {
    /// A body of these events.
    pub const fn new(events: S) -> Self {
        Self {
            events,
            quiet: Quiet::new(None),
            over: false,
        }
    }

    /// Writes a comment whenever the stream was silent for so long. Off by default, and at zero.
    #[must_use]
    pub fn keep_alive(mut self, every: Duration) -> Self {
        self.quiet = Quiet::new(Some(every));
        self
    }

    /// The answer with this body: 200, `text/event-stream`, and what keeps proxies from holding it up.
    pub fn into_response(self) -> Response<Self> {
        super::response(self, "text/event-stream")
    }
}

impl<S, E> Body for EventBody<S>
where
    S: Stream<Item = Result<Event, E>>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = this.events.poll_next(cx) else {
            ready!(this.quiet.poll(cx));
            return Poll::Ready(Some(Ok(Frame::data(COMMENT))));
        };
        this.quiet.said();
        *this.over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next.map(|event| match event {
            Ok(event) => Ok(Frame::data(event.raw().clone())),
            Err(error) => Err(error.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

impl<S> fmt::Debug for EventBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBody")
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
