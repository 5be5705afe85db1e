use std::{error::Error, fmt};

use crate::Cut;

/// The error of a body that a layer of ours ended before its end, where the protocol has no better way
/// to say so: an unstreamed answer whose head was handed on.
///
/// ```
/// use llm_exchange::{BoxError, Classify, Cut, CutShort, Standard, Verdict};
///
/// let error: BoxError = CutShort::new(Cut::Clock, "no byte came for 300 s").into();
/// assert_eq!(error.to_string(), "the answer was cut short: no byte came for 300 s");
/// assert_eq!(Standard.error(&error), Verdict::TimedOut);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutShort {
    cut: Cut,
    message: String,
}

impl CutShort {
    /// An answer cut short for this reason, with a sentence for people.
    #[must_use]
    pub fn new(cut: Cut, message: impl Into<String>) -> Self {
        Self {
            cut,
            message: message.into(),
        }
    }

    /// Why it was cut.
    #[must_use]
    pub const fn cut(&self) -> Cut {
        self.cut
    }
}

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer was cut short: {}", self.message)
    }
}

impl Error for CutShort {}
