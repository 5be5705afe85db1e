//! The facts of an answer so far.

use std::{mem, sync::Arc};

use http::StatusCode;

use crate::{Hints, ProviderError, Verdict};

/// How deep an answer was read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Its head alone.
    Head,
    /// At least one event of its stream, none of them content.
    FirstEvent,
    /// Its first content, its error, or its end.
    FirstContent,
}

/// How an answer ended before its first content.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The body ended in order, but with nothing in it.
    Truncated,
    /// The connection broke.
    Broken,
    /// A clock of a layer further in ran out.
    TimedOut,
}

/// The facts of an answer so far. Made by [`peek`](crate::peek); where more than the head was read for it, it
/// travels in the response's extensions, so that the next layer reads nothing again.
#[derive(Clone, Debug)]
pub struct Peeked {
    pub(super) status: StatusCode,
    pub(super) depth: Depth,
    pub(super) hints: Hints,
    pub(super) error: Option<Arc<ProviderError>>,
    pub(super) ending: Option<Ending>,
    pub(super) encoded: bool,
}

impl Peeked {
    /// The facts of an answer of which only the status is known; for tests of one's own
    /// [`Classify`](crate::Classify).
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            depth: Depth::Head,
            hints: Hints::default(),
            error: None,
            ending: None,
            encoded: false,
        }
    }

    /// The same answer with this error in its body or stream.
    #[must_use]
    pub fn with_error(mut self, error: ProviderError) -> Self {
        self.fail(Arc::new(error));
        self
    }

    pub(super) fn fail(&mut self, error: Arc<ProviderError>) {
        self.depth = Depth::FirstContent;
        let hints = mem::take(&mut self.hints);
        self.hints = hints.or_retry_info(error.retry_info());
        self.error = Some(error);
    }

    /// The status of the head. A stream that failed has 200 here.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// How deep was read.
    #[must_use]
    pub const fn depth(&self) -> Depth {
        self.depth
    }

    /// When to come back, and whether, as far as the provider said so. Read of failures only.
    #[must_use]
    pub const fn hints(&self) -> &Hints {
        &self.hints
    }

    /// The provider's error: the body of an error answer, the error event of a stream before any
    /// content, or a 200 whose JSON is an error.
    #[must_use]
    pub fn error(&self) -> Option<&ProviderError> {
        self.error.as_deref()
    }

    /// How the answer ended before its first content, if it did.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Whether the answer is compressed, so that only its head could be read.
    #[must_use]
    pub const fn is_encoded(&self) -> bool {
        self.encoded
    }

    /// What the facts mean, by [`Verdict::of`]; an answer that ended before its first content has
    /// [failed](Verdict::Failed).
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match Verdict::of(self.status, self.error()) {
            Verdict::Ok => match self.ending {
                None => Verdict::Ok,
                Some(Ending::TimedOut) => Verdict::TimedOut,
                Some(Ending::Truncated | Ending::Broken) => Verdict::Failed,
            },
            verdict => verdict,
        }
    }
}
