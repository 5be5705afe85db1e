use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use llm_exchange::{
    BoxError, Framing,
    stream::{PieceReader, StreamError},
};

/// The lines of an NDJSON body, each a JSON text; blank ones are left out.
///
/// The last line may lack its end: whether it is whole, its JSON says.
///
/// ```
/// use futures_util::TryStreamExt;
/// use serde::Deserialize;
/// use sse_layer::client::lines;
///
/// #[derive(Deserialize)]
/// struct Line { done: bool }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let body = http_body_util::Full::<bytes::Bytes>::from("{\"done\":false}\n{\"done\":true}\n");
/// let mut lines = lines(body);
/// while let Some(line) = lines.try_next().await? {
///     let line: Line = serde_json::from_slice(&line)?;
///     if line.done { break }
/// }
/// # Ok(())
/// # }
/// ```
pub fn lines<B>(body: B) -> LineStream<B> {
    LineStream {
        body: Some(body),
        lines: PieceReader::new(Framing::Lines),
    }
}

/// A body as its lines; see [`lines`].
///
/// A line over the limit is an error, and those after it come as usual. A body that breaks ends in an
/// error.
pub struct LineStream<B> {
    /// `None`: it is over.
    body: Option<B>,
    lines: PieceReader,
}

impl<B> LineStream<B> {
    /// The longest line, in bytes; 4 MiB by default. To be set before the first is read.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.lines = self.lines.max_bytes(bytes);
        self
    }
}

impl<B> Stream for LineStream<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(line) = this.lines.next_piece() {
                return Poll::Ready(Some(line));
            }
            let Some(body) = &mut this.body else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        this.lines.push(data);
                    }
                }
                Some(Err(error)) => {
                    this.body = None;
                    return Poll::Ready(Some(Err(StreamError::broken(error))));
                }
                None => {
                    this.body = None;
                    return Poll::Ready(this.lines.finish().transpose());
                }
            }
        }
    }
}

impl<B> fmt::Debug for LineStream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineStream")
            .field("over", &self.body.is_none())
            .finish_non_exhaustive()
    }
}
