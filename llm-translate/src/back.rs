//! An answer on its way to the caller.

mod stream;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use llm_exchange::{
    Dialect, ErrorAnswer, Framing, ProviderError, WallClock,
    sse::Event,
    stream::{DeltaReader, expand},
};

pub use self::stream::StreamTranslator;
use crate::{
    answer::{Answer, Head, Kind, Pieces, some_id},
    beside::Beside,
    error::Unsaid,
    media,
    write::{self, Caller},
};

/// What makes of the target's answer the caller's: see [`Translated::back`](crate::Translated::back).
#[derive(Clone, Debug)]
pub struct Back {
    caller: Caller,
    target: Dialect,
    /// As the caller asked for it, for answers that name none.
    model: Box<str>,
    clock: WallClock,
}

impl Back {
    pub(crate) fn new(caller: Caller, target: Dialect, model: &str) -> Self {
        Self {
            caller,
            target,
            model: model.into(),
            clock: WallClock::default(),
        }
    }

    /// Where the time of an answer comes from whose own dialect does not say it.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// The caller's dialect.
    #[must_use]
    pub const fn caller(&self) -> Dialect {
        self.caller.dialect
    }

    /// The target's.
    #[must_use]
    pub const fn target(&self) -> Dialect {
        self.target
    }

    /// How the caller's stream is framed; `None`: it asked for none.
    #[must_use]
    pub const fn framing(&self) -> Option<Framing> {
        self.caller.stream
    }

    /// A whole answer, in the caller's dialect.
    ///
    /// # Errors
    ///
    /// The error to be answered instead: the provider's own, which some put into a 200, or a 502 where
    /// the answer cannot be read or said.
    pub fn answer(&self, body: &[u8]) -> Result<Bytes, ErrorAnswer> {
        if media::is_in(self.target, body) {
            return Err(Unsaid::Media.answer());
        }
        let (mut read, mut pieces) = (DeltaReader::new(self.target), Pieces::default());
        let mut answer = Answer::default();
        let mut head = None;
        let provider = || ProviderError::from_body(body);
        for event in self.events(body).ok_or_else(|| match provider() {
            Some(error) => self.error(StatusCode::OK, &error),
            None => Unsaid::NoAnswer.answer(),
        })? {
            if let Err(error) = read.push(&event) {
                return Err(match error.provider_error() {
                    Some(error) => self.error(StatusCode::OK, error),
                    None => Unsaid::NoAnswer.answer(),
                });
            }
            let head = head.get_or_insert_with(|| self.head(&read));
            while let Some(delta) = read.next_delta() {
                let piece = pieces.piece(delta, head);
                let piece = piece.map_err(|unsaid| unsaid.answer())?;
                // a text on both sides of what is not shown is one
                if piece.kind != Kind::Reasoning || self.caller.shows_reasoning() {
                    answer.push(piece);
                }
            }
        }
        read.finish().map_err(|_| Unsaid::NoAnswer.answer())?;
        let end = pieces.end(&read);
        let end = end.map_err(|unsaid| unsaid.answer())?;
        let head = head.unwrap_or_else(|| self.head(&read));
        let whole = write::whole(&self.caller, &head, answer, &end);
        whole.map(Bytes::from).map_err(|unsaid| unsaid.answer())
    }

    /// What a whole answer has beside its content that is not carried over, by the fields' names in the
    /// target's dialect: `annotations`, `citations`, `logprobs`, `groundingMetadata`, …
    #[must_use]
    pub fn dropped(&self, body: &[u8]) -> Vec<&'static str> {
        Beside::of(self.target, body).names().to_vec()
    }

    /// The events that the answer would have had as a stream: what is read is one thing.
    fn events(&self, body: &[u8]) -> Option<Vec<Event>> {
        match self.target {
            Dialect::Gemini => Some(vec![Event::new(body)]),
            target => expand(target, body, true).ok(),
        }
    }

    /// A whole answer as the stream that the caller asked for, for targets that gave none.
    ///
    /// # Errors
    ///
    /// As with [`answer`](Self::answer).
    pub fn streamed_answer(&self, body: &[u8]) -> Result<Bytes, ErrorAnswer> {
        // what is no answer is an error before it is a stream
        self.answer(body)?;
        let events = self.events(body).into_iter().flatten();
        let mut translator = self.stream(Framing::Sse);
        let mut all = BytesMut::new();
        for event in events {
            all.extend_from_slice(&translator.push(event.raw().clone()));
        }
        all.extend_from_slice(&translator.finish());
        Ok(all.freeze())
    }

    /// A translator at the start of a stream that comes in this framing.
    #[must_use]
    pub fn stream(&self, framing: Framing) -> StreamTranslator {
        StreamTranslator::new(self.clone(), framing)
    }

    /// The provider's error, to be answered in the caller's dialect with the status of its head.
    #[must_use]
    pub fn error(&self, status: StatusCode, error: &ProviderError) -> ErrorAnswer {
        let failed = |status: &StatusCode| !status.is_success();
        let status = Some(status).filter(failed).or(error.status());
        let answer = ErrorAnswer::of_provider(status.unwrap_or(StatusCode::BAD_GATEWAY), error);
        match error.retry_info() {
            Some(delay) => answer.retry_after(delay),
            None => answer,
        }
    }

    fn head(&self, read: &DeltaReader) -> Head {
        let now = || {
            let since = self.clock.now().duration_since(std::time::UNIX_EPOCH);
            since.map_or(0, |since| since.as_secs())
        };
        Head {
            id: read.id().map_or_else(some_id, str::to_owned),
            model: read.model().unwrap_or(&self.model).to_owned(),
            created: read.created().unwrap_or_else(now),
        }
    }
}
