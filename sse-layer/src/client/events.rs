use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use http_body::Body;
use llm_exchange::{
    BoxError,
    sse::{Decoder, Event},
    stream::StreamError,
};

use super::{NotAStream, is_event_stream};

/// The events of a streamed answer.
///
/// # Errors
///
/// [`NotAStream`] where the answer is no success or its content type is not `text/event-stream`.
///
/// ```
/// use futures_util::TryStreamExt;
/// use sse_layer::client::events;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let response = http::Response::builder()
/// #     .header("content-type", "text/event-stream")
/// #     .body(http_body_util::Full::<bytes::Bytes>::from("event: ping\ndata: {}\n\n"))?;
/// let mut events = events(response)?;
/// while let Some(event) = events.try_next().await? {
///     if let Some(data) = event.data() {
///         println!("{}: {} bytes", event.name(), data.len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub fn events<B>(response: Response<B>) -> Result<EventStream<B>, NotAStream<B>> {
    if is_event_stream(&response) {
        Ok(EventStream::new(response.into_body()))
    } else {
        Err(NotAStream(response))
    }
}

/// A body as the events in it, comments included: what [`Event::data`] is `None` of.
///
/// An event over the limit is an error, and those after it come as usual. A body that breaks, or ends
/// within an event, ends in an error.
pub struct EventStream<B> {
    /// `None`: it is over.
    body: Option<B>,
    decoder: Decoder,
}

impl<B> EventStream<B> {
    /// The events of any body.
    #[must_use]
    pub const fn new(body: B) -> Self {
        Self {
            body: Some(body),
            decoder: Decoder::new(),
        }
    }

    /// The longest event, in bytes; 4 MiB by default. To be set before the first is read.
    #[must_use]
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.decoder = Decoder::new().max_event_bytes(bytes);
        self
    }
}

impl<B> Stream for EventStream<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Item = Result<Event, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.decoder.next_event() {
                return Poll::Ready(Some(event.map_err(Into::into)));
            }
            let Some(body) = &mut this.body else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        this.decoder.push(data);
                    }
                }
                Some(Err(error)) => {
                    this.body = None;
                    return Poll::Ready(Some(Err(StreamError::broken(error))));
                }
                None => {
                    this.body = None;
                    if this.decoder.finish().is_truncated() {
                        return Poll::Ready(Some(Err(StreamError::truncated())));
                    }
                }
            }
        }
    }
}

impl<B> fmt::Debug for EventStream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("decoder", &self.decoder)
            .field("over", &self.body.is_none())
            .finish()
    }
}
