use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use http_body::{Body, Frame};
use llm_exchange::{
    BoxError, Dialect, Framing, Usage,
    stream::{Delta, DeltaReader, PieceReader, StreamError},
};

use super::NotAStream;

/// What a streamed answer says, piece by piece: text, reasoning, refusals and tool calls, of any
/// dialect and in any of its framings.
///
/// # Errors
///
/// [`NotAStream`] where the answer is no success or its content type is none of a stream.
///
/// ```
/// use futures_util::TryStreamExt;
/// use llm_exchange::Dialect;
/// use sse_layer::{client::deltas, stream::DeltaKind};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let chunk = r#"data: {"choices":[{"index":0,"delta":{"content":"Lemon"},"finish_reason":"stop"}]}"#;
/// # let response = http::Response::builder()
/// #     .header("content-type", "text/event-stream")
/// #     .body(http_body_util::Full::<bytes::Bytes>::from(format!("{chunk}\n\ndata: [DONE]\n\n")))?;
/// let mut deltas = deltas(response, Dialect::OpenAiChat)?;
/// while let Some(delta) = deltas.try_next().await? {
///     if delta.kind == DeltaKind::Text {
///         print!("{}", delta.text);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub fn deltas<B>(response: Response<B>, dialect: Dialect) -> Result<DeltaStream<B>, NotAStream<B>> {
    let framing = Framing::of(response.headers(), dialect);
    match framing.filter(|_| response.status().is_success()) {
        Some(framing) => Ok(DeltaStream::new(response.into_body(), framing, dialect)),
        None => Err(NotAStream(response)),
    }
}

/// A body as the deltas in it. It ends in an error if the provider failed in it, if it broke, or if it
/// ended without the proof that its protocol gives of a whole answer; what came before is handed out
/// first.
pub struct DeltaStream<B> {
    /// `None`: it is over.
    body: Option<B>,
    pieces: PieceReader,
    reader: DeltaReader,
    /// Comes after the deltas that are there.
    error: Option<StreamError>,
}

impl<B> DeltaStream<B> {
    /// The deltas of any body.
    #[must_use]
    pub fn new(body: B, framing: Framing, dialect: Dialect) -> Self {
        Self {
            body: Some(body),
            pieces: PieceReader::new(framing),
            reader: DeltaReader::new(dialect),
            error: None,
        }
    }

    /// The longest event, in bytes; 4 MiB by default. To be set before the first delta is read.
    #[must_use]
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.pieces = self.pieces.max_bytes(bytes);
        self
    }

    /// The provider's usage so far, if it gave any; at the end, all of it.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.reader.usage()
    }

    /// Why the choices that have ended did so, as the provider writes it, in their order.
    pub fn finish_reasons(&self) -> impl Iterator<Item = &str> {
        self.reader.finish_reasons()
    }

    fn frame(&mut self, frame: Frame<Bytes>) -> Result<(), StreamError> {
        match frame.into_data() {
            Ok(data) => {
                self.pieces.push(data);
                while let Some(piece) = self.pieces.next_piece() {
                    self.reader.push_data(&piece?)?;
                }
                Ok(())
            }
            Err(frame) => match frame.trailers_ref() {
                Some(trailers) => self.reader.push_trailers(trailers),
                None => Ok(()),
            },
        }
    }

    fn finish(&mut self) -> Result<(), StreamError> {
        if let Some(last) = self.pieces.finish()? {
            self.reader.push_data(&last)?;
        }
        self.reader.finish()
    }
}

impl<B> Stream for DeltaStream<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Item = Result<Delta, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(delta) = this.reader.next_delta() {
                return Poll::Ready(Some(Ok(delta)));
            }
            if let Some(error) = this.error.take() {
                return Poll::Ready(Some(Err(error)));
            }
            let Some(body) = &mut this.body else {
                return Poll::Ready(None);
            };
            let read = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => this.frame(frame),
                Some(Err(error)) => Err(StreamError::broken(error)),
                None => {
                    this.body = None;
                    this.finish()
                }
            };
            if let Err(error) = read {
                this.body = None;
                this.error = Some(error);
            }
        }
    }
}

impl<B> fmt::Debug for DeltaStream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaStream")
            .field("reader", &self.reader)
            .field("over", &self.body.is_none())
            .finish()
    }
}
