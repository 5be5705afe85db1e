//! What became of a call: who served it, and who did not.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Response, StatusCode};
use llm_exchange::{Call, NotRewritten, Verdict};

/// Who served a call, and which targets were left before: in the extensions of every answer to a
/// call that has a chain.
#[derive(Clone)]
pub struct Served {
    pub(crate) call: Arc<Call>,
    pub(crate) by: Option<Label>,
    pub(crate) attempts: u32,
    pub(crate) left: Vec<Left>,
    pub(crate) fell_back: bool,
    pub(crate) went_on: Option<WentOn>,
}

/// The targets that went on with an answer, as it comes.
pub(crate) type WentOn = Arc<Mutex<Vec<Label>>>;

/// What a target is called by.
#[derive(Clone)]
pub(crate) enum Label {
    Given(Arc<str>),
    Asked(Arc<Call>),
}

/// The longest text of a caller that is kept as the name of a target.
const LONGEST: usize = 128;

impl Label {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Given(label) => label,
            Self::Asked(call) => {
                let model = call.model().unwrap_or_default();
                let end = (0..=LONGEST.min(model.len())).rfind(|end| model.is_char_boundary(*end));
                &model[..end.unwrap_or(0)]
            }
        }
    }
}

impl Served {
    /// What became of the call that this is the answer to; `None` if it has no chain.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<&Self> {
        response.extensions().get()
    }

    /// The target whose answer this is, by its label. `None`: all failed, and the answer is the
    /// layer's own.
    #[must_use]
    pub fn by(&self) -> Option<&str> {
        self.by.as_ref().map(Label::as_str)
    }

    /// The model that the caller asked for.
    #[must_use]
    pub fn asked(&self) -> Option<&str> {
        self.call.model()
    }

    /// How many attempts the call has made, over all layers that send it again.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether another target than the first of the chain answered.
    #[must_use]
    pub const fn fell_back(&self) -> bool {
        self.fell_back
    }

    /// The targets that were left or skipped, in the order in which that happened.
    #[must_use]
    pub fn left(&self) -> &[Left] {
        &self.left
    }

    /// The targets that went on with the stream where it broke, by their labels, so far; ask at its
    /// end. Empty: it is all of [`by`](Self::by). See
    /// [`FallbackLayer::failover`](crate::FallbackLayer::failover).
    #[must_use]
    pub fn went_on(&self) -> Vec<String> {
        let Some(went_on) = &self.went_on else {
            return Vec::new();
        };
        let labels = went_on.lock().unwrap_or_else(PoisonError::into_inner);
        labels
            .iter()
            .map(|label| label.as_str().to_owned())
            .collect()
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("by", &self.by())
            .field("asked", &self.asked())
            .field("attempts", &self.attempts)
            .field("left", &self.left)
            .field("went_on", &self.went_on())
            .finish()
    }
}

/// A target that did not serve a call.
#[derive(Clone)]
pub struct Left {
    pub(crate) target: Label,
    pub(crate) why: Why,
    pub(crate) status: Option<StatusCode>,
    pub(crate) untranslatable: Option<Box<str>>,
}

impl Left {
    /// The target's label.
    #[must_use]
    pub fn target(&self) -> &str {
        self.target.as_str()
    }

    /// Why it did not.
    #[must_use]
    pub const fn why(&self) -> Why {
        self.why
    }

    /// The status of its answer, if it gave one.
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// What of the call cannot be carried over to the target's dialect, in a sentence that names the
    /// field, where it was skipped for that.
    #[must_use]
    pub fn untranslatable(&self) -> Option<&str> {
        self.untranslatable.as_deref()
    }
}

/// `gpt-4o: throttled (429)`, `llama3: skipped, disabled`.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.target())?;
        match self.why {
            Why::Outcome(verdict) => f.write_str(&verdict.as_str().replace('_', " "))?,
            Why::Skipped(why) => match &self.untranslatable {
                Some(what) => write!(f, "skipped, {what}")?,
                None => write!(f, "skipped, {why}")?,
            },
            Why::Outrun => f.write_str("another target was faster")?,
        }
        match self.status {
            Some(status) => write!(f, " ({})", status.as_u16()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Left({self})")
    }
}

/// Why a target did not serve a call.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was tried, and this came of it.
    Outcome(Verdict),
    /// It was not tried.
    Skipped(Skipped),
    /// Another one that was asked at the same time answered first.
    Outrun,
}

/// Why a target was not tried.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// It is disabled.
    Disabled,
    /// It does not speak the dialect of the call.
    Dialect,
    /// It failed too often in a short time, and there was another one.
    FailedLately,
    /// The prompt does not fit into its context window.
    ContextWindow,
    /// The estimated cost is above what one call may cost there.
    TooExpensive,
    /// What a call costs there may not pass a limit, and its price is not known.
    UnknownPrice,
    /// The call cannot be changed into what the target needs.
    NotRewritten(NotRewritten),
    /// Something in the call cannot be carried over to its dialect.
    Untranslatable,
    /// It does not go on from an answer that was begun, or is not known to.
    NotGoneOn,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::Dialect => "it speaks another dialect",
            Self::FailedLately => "it failed lately",
            Self::ContextWindow => "the prompt is too long for it",
            Self::TooExpensive => "too expensive",
            Self::UnknownPrice => "its price is not known",
            Self::NotRewritten(why) => return why.fmt(f),
            Self::Untranslatable => "the call cannot be carried over to its dialect",
            Self::NotGoneOn => "it does not go on from a beginning",
        })
    }
}
