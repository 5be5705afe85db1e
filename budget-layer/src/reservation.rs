use http::Response;

/// What was reserved for a call when it was sent: an extension of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    tokens: u64,
}

impl Reservation {
    pub(crate) const fn new(tokens: u64) -> Self {
        Self { tokens }
    }

    /// What was reserved for the call that this answers; `None` if no budget did.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<Self> {
        response.extensions().get().copied()
    }

    /// The tokens of the prompt, as they were counted on the safe side, and of the answer. A stream
    /// without a cap may reserve more while it runs.
    #[must_use]
    pub const fn tokens(self) -> u64 {
        self.tokens
    }
}
