//! A stream translated as it comes.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use llm_exchange::{
    Dialect, ErrorAnswer, Framing,
    stream::{DeltaReader, PieceReader, StreamError},
};

use super::Back;
use crate::{
    answer::{Head, Kind, Pieces},
    beside::Beside,
    error::Unsaid,
    media,
    write::{Out, Writer},
};

/// Makes of the bytes of the target's stream those of the caller's, event by event.
///
/// [`push`](Self::push) what comes, at the end of the body [`finish`](Self::finish); each gives what is
/// to be handed on, which may be nothing. Whatever comes and says nothing to the caller becomes a keep-alive
/// of its dialect. An error of the provider's becomes one of the caller's
/// dialect, and so does an end without the proof of a whole answer: it is never a clean end.
///
/// # Memory
///
/// Kept is the beginning of one event, at most 4 MiB (twice that while it grows), the numbers of the
/// calls of tools, at most 1,024, and of the choices, at most 128, and what the caller's dialect can say only whole: Gemini a call's
/// arguments, OpenAI responses all of the answer, at most 16 MiB.
pub struct StreamTranslator {
    back: Back,
    cut: PieceReader,
    read: DeltaReader,
    pieces: Pieces,
    head: Option<Head>,
    writer: Option<Writer>,
    out: Out,
    dropped: Beside,
    over: bool,
}

impl StreamTranslator {
    pub(super) fn new(back: Back, framing: Framing) -> Self {
        let caller = back.caller.stream.unwrap_or(Framing::Sse);
        Self {
            cut: PieceReader::new(framing),
            read: DeltaReader::new(back.target),
            pieces: Pieces::default(),
            head: None,
            writer: Writer::new(&back.caller),
            out: Out::new(back.caller.dialect, caller),
            dropped: Beside::default(),
            over: false,
            back,
        }
    }

    /// Takes the next bytes of the target's stream.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        if self.over {
            return Bytes::new();
        }
        // a ping, a comment, reasoning that is not shown: something is under way all the same
        let is_alive = chunk.ends_with(b"\n");
        self.cut.push(chunk);
        while let (false, Some(piece)) = (self.over, self.cut.next_piece()) {
            self.event(piece);
        }
        if let (true, true, Some(writer)) = (is_alive, self.out.is_empty(), &self.writer) {
            match self.head {
                Some(_) => writer.alive(&mut self.out),
                None => self.out.alive(),
            }
        }
        self.out.take()
    }

    /// The target's stream ended in order.
    pub fn finish(&mut self) -> Bytes {
        if self.over {
            return Bytes::new();
        }
        match self.cut.finish() {
            Ok(None) => {}
            Ok(Some(last)) => self.event(Ok(last)),
            Err(error) => self.event(Err(error)),
        }
        if !self.over {
            match self.read.finish() {
                Ok(()) => self.end(),
                Err(error) => self.fail(&self.error_of(&error)),
            }
        }
        self.out.take()
    }

    /// Whether the caller's stream has had its end, with or without an error. What still comes of the
    /// target's is nothing.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    fn event(&mut self, piece: Result<Bytes, StreamError>) {
        let read = piece.and_then(|data| self.read.push_data(&data).map(|()| data));
        let said = match read {
            Err(error) => {
                self.fail(&self.error_of(&error));
                return;
            }
            Ok(data) if media::is_in(self.back.target, &data) => Err(Unsaid::Media),
            Ok(data) => {
                self.tell(&data);
                self.say()
            }
        };
        if let Err(unsaid) = said {
            self.fail(&unsaid.answer());
            return;
        }
        // the other dialects have a last word, after which some servers let the connection stand
        if self.back.target != Dialect::Gemini && self.read.finish().is_ok() {
            self.end();
        }
    }

    /// What so far came beside the content and is not carried over, by its fields' names in the target's
    /// dialect. The stream tells each once, in a comment, where its framing has such.
    #[must_use]
    pub const fn dropped(&self) -> &[&'static str] {
        self.dropped.names()
    }

    fn tell(&mut self, data: &[u8]) {
        let seen = Beside::of(self.back.target, data);
        let new = self.dropped.add(seen);
        if !new.is_empty() {
            tracing::debug!(dropped = %new, "an answer has what its caller's dialect has no place for");
            self.out.comment(&format!("dropped {new}"));
        }
    }

    /// Writes what was read.
    fn say(&mut self) -> Result<(), Unsaid> {
        let Some(writer) = &mut self.writer else {
            return Err(Unsaid::NoAnswer);
        };
        // it begins as soon as it is known whose answer it is
        if self.read.id().is_some() {
            begun(&mut self.head, writer, &mut self.out, || {
                self.back.head(&self.read)
            });
        }
        while let Some(delta) = self.read.next_delta() {
            let head = begun(&mut self.head, writer, &mut self.out, || {
                self.back.head(&self.read)
            });
            let piece = self.pieces.piece(delta, head)?;
            if piece.kind == Kind::Reasoning && !self.back.caller.shows_reasoning() {
                continue;
            }
            writer.piece(piece, head, &mut self.out)?;
        }
        Ok(())
    }

    fn end(&mut self) {
        let end = self.pieces.end(&self.read);
        let said = end.and_then(|end| {
            let Some(writer) = &mut self.writer else {
                return Err(Unsaid::NoAnswer);
            };
            let head = begun(&mut self.head, writer, &mut self.out, || {
                self.back.head(&self.read)
            });
            writer.end(&end, head, &mut self.out)
        });
        match said {
            Ok(()) => {
                self.over = true;
                self.out.end();
            }
            Err(unsaid) => self.fail(&unsaid.answer()),
        }
    }

    fn error_of(&self, error: &StreamError) -> ErrorAnswer {
        match error.provider_error() {
            Some(error) => self.back.error(StatusCode::OK, error),
            None if error.is_too_large() => Unsaid::TooLarge.answer(),
            None => ErrorAnswer::new(
                StatusCode::BAD_GATEWAY,
                "stream_broke_off",
                "the provider's stream broke off",
            ),
        }
    }

    fn fail(&mut self, error: &ErrorAnswer) {
        self.over = true;
        let caller = Some(self.back.caller());
        if self.out.is_array() {
            self.out.event(None, &error.body(caller));
        } else {
            let number = self.writer.as_ref().map_or(0, Writer::next_event_number);
            let numbered = error.clone().event_number(number);
            self.out.framed(&numbered.in_stream(caller));
        }
        self.out.end();
    }
}

/// The stream's head, with which it begins.
fn begun<'h>(
    head: &'h mut Option<Head>,
    writer: &mut Writer,
    out: &mut Out,
    read: impl FnOnce() -> Head,
) -> &'h Head {
    head.get_or_insert_with(|| {
        let head = read();
        writer.begin(&head, out);
        head
    })
}

/// Shows no content.
impl fmt::Debug for StreamTranslator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamTranslator")
            .field("back", &self.back)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
