//! The data of a stream's events, in any framing.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

use super::StreamError;
use crate::{
    Framing, ProviderError,
    cut::{Cutter, Elements, Lines, Uncut},
    event_stream::{self, EventStream},
    grpc::Messages,
    sse::Decoder,
};

const DEFAULT_MAX_BYTES: usize = 4 << 20;

/// Cuts the body of a stream into the data of its events: of server-sent events the data, of lines and
/// arrays one JSON text each, of Amazon's frames the payload, of gRPC the message.
///
/// [`push`](Self::push) a chunk, take pieces until [`next_piece`](Self::next_piece) is `None`, and so
/// on; at the end of the body, [`finish`](Self::finish). A piece that lies in one chunk is a slice of
/// it.
///
/// ```
/// use bytes::Bytes;
/// use llm_exchange::{Framing, stream::PieceReader};
///
/// let mut reader = PieceReader::new(Framing::Lines);
/// reader.push(Bytes::from("{\"a\":1}\n\n{\"b\""));
/// assert_eq!(reader.next_piece().unwrap()?, "{\"a\":1}");
/// assert!(reader.next_piece().is_none());
/// reader.push(Bytes::from(":2}"));
/// assert!(reader.next_piece().is_none());
/// assert_eq!(reader.finish()?.unwrap(), "{\"b\":2}");
/// # Ok::<_, llm_exchange::stream::StreamError>(())
/// ```
///
/// # Memory
///
/// Kept is the beginning of one event, at most [`max_bytes`](Self::max_bytes) (twice that while it
/// grows), and the chunks that were pushed and not yet taken.
pub struct PieceReader {
    max_bytes: usize,
    cut: Cut,
}

enum Cut {
    Sse(Decoder),
    Lines(Cutter<Lines>),
    Array(Cutter<Elements>),
    EventStream(EventStream),
    Grpc(Messages),
}

impl Cut {
    fn new(framing: Framing, max: usize) -> Self {
        match framing {
            Framing::Sse => Self::Sse(Decoder::new().max_event_bytes(max)),
            Framing::Lines => Self::Lines(Cutter::new(Lines, max)),
            Framing::Array => Self::Array(Cutter::new(Elements::default(), max)),
            Framing::EventStream => Self::EventStream(EventStream::new(max)),
            Framing::Grpc => Self::Grpc(Messages::new(max)),
        }
    }

    const fn framing(&self) -> Framing {
        match self {
            Self::Sse(_) => Framing::Sse,
            Self::Lines(_) => Framing::Lines,
            Self::Array(_) => Framing::Array,
            Self::EventStream(_) => Framing::EventStream,
            Self::Grpc(_) => Framing::Grpc,
        }
    }
}

impl PieceReader {
    /// A reader at the start of a body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self {
            max_bytes: DEFAULT_MAX_BYTES,
            cut: Cut::new(framing, DEFAULT_MAX_BYTES),
        }
    }

    /// The longest event that is read, in bytes; 4 MiB by default. To be set before the first chunk.
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self {
            max_bytes: bytes,
            cut: Cut::new(self.cut.framing(), bytes),
        }
    }

    /// Gives the next bytes of the body.
    pub fn push(&mut self, chunk: Bytes) {
        match &mut self.cut {
            Cut::Sse(decoder) => decoder.push(chunk),
            Cut::Lines(lines) => lines.push(chunk),
            Cut::Array(elements) => elements.push(chunk),
            Cut::EventStream(stream) => stream.push(chunk),
            Cut::Grpc(messages) => messages.push(chunk),
        }
    }

    /// The data of the next event; `None`: more bytes are needed. Comments and blank lines are none.
    ///
    /// # Errors
    ///
    /// An event that is too large: the one after it is read as usual. Bytes that are not of the framing:
    /// nothing more comes. The provider's error, where the framing itself has errors (Amazon's).
    pub fn next_piece(&mut self) -> Option<Result<Bytes, StreamError>> {
        let uncut = |error: Uncut, max: usize| match error {
            Uncut::TooLarge => StreamError::too_large(max),
            Uncut::Broken => StreamError::unreadable("the bytes are not of its framing"),
        };
        let max = self.max_bytes;
        match &mut self.cut {
            Cut::Sse(decoder) => loop {
                let event = match decoder.next_event()? {
                    Ok(event) => event,
                    Err(error) => return Some(Err(error.into())),
                };
                match event.data() {
                    None => {}
                    Some(Cow::Borrowed(data)) => return Some(Ok(event.raw().slice_ref(data))),
                    Some(Cow::Owned(data)) => return Some(Ok(data.into())),
                }
            },
            Cut::Lines(lines) => loop {
                match lines.next_piece()? {
                    Ok(line) if line.trim_ascii().is_empty() => {}
                    Ok(line) => return Some(Ok(trimmed(&line))),
                    Err(error) => return Some(Err(uncut(error, max))),
                }
            },
            Cut::Array(elements) => {
                let piece = elements.next_piece()?;
                Some(piece.map_err(|error| uncut(error, max)))
            }
            Cut::EventStream(stream) => Some(match stream.next_message()? {
                Err(error) => Err(uncut(error, max)),
                Ok(message) if !message.is_event() => {
                    let error = ProviderError::from_amazon(message.name(), message.payload());
                    Err(StreamError::provider(error.into()))
                }
                Ok(message) => Ok(match event_stream::unwrapped(message.payload()) {
                    Some(inside) => inside.into(),
                    None => message.into_payload(),
                }),
            }),
            Cut::Grpc(messages) => Some(match messages.next_message()? {
                Err(error) => Err(uncut(error, max)),
                Ok(message) if message.compressed => {
                    Err(StreamError::unreadable("a message is compressed"))
                }
                Ok(message) => Ok(message.bytes),
            }),
        }
    }

    /// The body ended in order. What is left is the last line, where that has no end: whether it is
    /// whole, its JSON says.
    ///
    /// # Errors
    ///
    /// If an event was begun that did not end, or an array was not closed.
    pub fn finish(&mut self) -> Result<Option<Bytes>, StreamError> {
        let whole = match &mut self.cut {
            Cut::Sse(decoder) => !decoder.finish().is_truncated(),
            Cut::Lines(lines) => {
                let line = trimmed(&lines.rest());
                return Ok(Some(line).filter(|line| !line.is_empty()));
            }
            Cut::Array(elements) => elements.finder().is_closed(),
            Cut::EventStream(stream) => !stream.is_within(),
            Cut::Grpc(messages) => !messages.is_within(),
        };
        if whole {
            Ok(None)
        } else {
            Err(StreamError::truncated())
        }
    }
}

fn trimmed(line: &Bytes) -> Bytes {
    line.slice_ref(line.trim_ascii())
}

impl fmt::Debug for PieceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PieceReader")
            .field("framing", &self.cut.framing())
            .finish_non_exhaustive()
    }
}
