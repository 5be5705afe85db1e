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
    BoxError, Dialect, Framing, Payload,
    stream::{Collector, PieceReader, StreamError},
};

const JSON: &[u8] = b"application/json";

/// Reads an answer whole: a stream is put together to the JSON that the same call would have been
/// answered with without streaming, anything else is read as it is. Every dialect's stream over HTTP
/// can be put together: server-sent events, lines, Gemini's array, Amazon's frames.
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
    let framing = Framing::of(response.headers(), dialect)
        .filter(|framing| response.status().is_success() && *framing != Framing::Grpc);
    let (parts, body) = response.into_parts();
    let is_json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().trim_ascii_start();
        kind.get(..JSON.len())
            .is_some_and(|kind| kind.eq_ignore_ascii_case(JSON))
    });
    let how = match framing {
        // a stream may have the type of the answer that is none
        Some(framing) if !is_json => {
            let pieces = PieceReader::new(framing).max_bytes(Payload::DEFAULT_MAX_BYTES);
            How::Events(Box::new((pieces, Collector::new(dialect))))
        }
        _ => How::Bytes(BytesMut::new()),
    };
    Collect {
        parts: Some(parts),
        body,
        dialect,
        framing,
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
    dialect: Dialect,
    framing: Option<Framing>,
    how: How,
    max_bytes: usize,
}

enum How {
    Events(Box<(PieceReader, Collector)>),
    Bytes(BytesMut),
}

impl<B> Collect<B> {
    /// The most bytes that are read; 16 MiB by default. To be set before it is polled.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        if let How::Events(events) = self.how {
            let (pieces, collector) = *events;
            let events = (pieces.max_bytes(bytes), collector.max_bytes(bytes));
            self.how = How::Events(Box::new(events));
        }
        self
    }

    fn data(&mut self, data: Bytes) -> Result<(), StreamError> {
        match &mut self.how {
            How::Events(events) => {
                push(events, data)?;
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
            How::Bytes(bytes) => match self.framing {
                Some(framing) if is_stream(framing, &bytes) => {
                    let pieces = PieceReader::new(framing).max_bytes(usize::MAX);
                    let collector = Collector::new(self.dialect).max_bytes(usize::MAX);
                    let mut stream = (pieces, collector);
                    push(&mut stream, bytes.freeze())?;
                    whole(stream, self.framing)?
                }
                _ => bytes.freeze(),
            },
            How::Events(events) => {
                let json = HeaderValue::from_static("application/json");
                parts.headers.insert(header::CONTENT_TYPE, json);
                whole(*events, self.framing)?
            }
        };
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts
            .headers
            .insert(header::CONTENT_LENGTH, body.len().into());
        Ok(Response::from_parts(parts, body))
    }
}

fn push(
    (pieces, collector): &mut (PieceReader, Collector),
    data: Bytes,
) -> Result<(), StreamError> {
    pieces.push(data);
    while let Some(piece) = pieces.next_piece() {
        collector.push_data(&piece?)?;
    }
    Ok(())
}

fn whole(
    (mut pieces, mut collector): (PieceReader, Collector),
    framing: Option<Framing>,
) -> Result<Bytes, StreamError> {
    match pieces.finish() {
        Ok(Some(last)) => collector.push_data(&last)?,
        Ok(None) => {}
        // an event that lacks its end is nothing; whether all was said, the collector knows
        Err(_) if framing == Some(Framing::Sse) => {}
        Err(error) => return Err(error),
    }
    collector.finish()
}

/// Whether JSON that was answered is a stream: an array, or more than one line that is an object.
fn is_stream(framing: Framing, json: &[u8]) -> bool {
    let json = json.trim_ascii();
    match framing {
        Framing::Array => json.starts_with(b"["),
        Framing::Lines => json
            .split(|byte| *byte == b'\n')
            .next()
            .is_some_and(|first| {
                first.len() < json.len() && first.trim_ascii_end().ends_with(b"}")
            }),
        _ => false,
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
