use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, header, response};
use http_body::Body;
use llm_exchange::{
    BoxError, Dialect, Payload,
    sse::Decoder,
    stream::{Collector, StreamError},
};

use super::is_event_stream;

/// Reads an answer whole: a stream is put together to the JSON that the same call would have been
/// answered with without streaming, anything else is read as it is. OpenAI chat completions and
/// Anthropic messages can be put together.
///
/// ```
/// use llm_exchange::Dialect;
/// use sse_layer::client::collect;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let chunk = r#"data: {"choices":[{"index":0,"delta":{"content":"Lemon"},"finish_reason":"stop"}]}"#;
/// # let response = http::Response::builder()
/// #     .header("content-type", "text/event-stream")
/// #     .body(http_body_util::Full::<bytes::Bytes>::from(format!("{chunk}\n\ndata: [DONE]\n\n")))?;
/// let response = collect(response, Dialect::OpenAiChat).await?;
/// let answer: serde_json::Value = serde_json::from_slice(response.body())?;
/// assert_eq!(answer["choices"][0]["message"]["content"], "Lemon");
/// # Ok(())
/// # }
/// ```
pub fn collect<B>(response: Response<B>, dialect: Dialect) -> Collect<B> {
    let how = if is_event_stream(&response) {
        How::Events(Box::new((Decoder::new(), Collector::new(dialect))))
    } else {
        How::Bytes(BytesMut::new())
    };
    let (parts, body) = response.into_parts();
    Collect {
        parts: Some(parts),
        body,
        how,
        max_bytes: Payload::DEFAULT_MAX_BYTES,
    }
}

/// The future of [`collect`].
#[must_use = "futures do nothing unless polled"]
pub struct Collect<B> {
    /// Taken when the answer is whole.
    parts: Option<response::Parts>,
    body: B,
    how: How,
    max_bytes: usize,
}

enum How {
    Events(Box<(Decoder, Collector)>),
    Bytes(BytesMut),
}

impl<B> Collect<B> {
    /// The most bytes that are read; 16 MiB by default. To be set before it is polled.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        if let How::Events(events) = self.how {
            let (decoder, collector) = *events;
            self.how = How::Events(Box::new((decoder, collector.max_bytes(bytes))));
        }
        self
    }

    fn data(&mut self, data: Bytes) -> Result<(), StreamError> {
        match &mut self.how {
            How::Events(events) => {
                let (decoder, collector) = &mut **events;
                decoder.push(data);
                while let Some(event) = decoder.next_event() {
                    collector.push(&event?)?;
                }
            }
            How::Bytes(bytes) => {
                if bytes.len() + data.len() > self.max_bytes {
                    return Err(StreamError::too_large(self.max_bytes));
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Response<Bytes>, StreamError> {
        let mut parts = self.parts.take().expect(AFTER);
        let how = std::mem::replace(&mut self.how, How::Bytes(BytesMut::new()));
        let body = match how {
            How::Bytes(bytes) => bytes.freeze(),
            How::Events(events) => {
                let json = HeaderValue::from_static("application/json");
                parts.headers.insert(header::CONTENT_TYPE, json);
                events.1.finish()?
            }
        };
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts
            .headers
            .insert(header::CONTENT_LENGTH, body.len().into());
        Ok(Response::from_parts(parts, body))
    }
}

impl<B> Future for Collect<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Bytes>, StreamError>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && let Err(error) = self.data(data)
                    {
                        return Poll::Ready(Err(error));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(StreamError::broken(error))),
                None => return Poll::Ready(self.finish()),
            }
        }
    }
}

const AFTER: &str = "a future is not polled after it was ready";

impl<B> fmt::Debug for Collect<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collect").finish_non_exhaustive()
    }
}
