//! Why a call cannot be translated.

use std::{borrow::Cow, error::Error, fmt};

use http::StatusCode;
use llm_exchange::{ErrorAnswer, NotRewritten};

/// Longest name of a field that is told; callers choose the names of fields nobody knows.
const LONGEST_NAME: usize = 64;

/// A request that cannot be carried over to another dialect, and the field for which.
///
/// `Display` and `Debug` show the field's place and never its value.
#[derive(Clone, PartialEq, Eq)]
pub struct NotTranslated {
    field: String,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is not known here, so nobody knows what it would mean elsewhere.
    Unknown,
    /// The target has nothing like it.
    Nowhere,
    /// The target has something like it, but not this.
    Not(&'static str),
    /// It is not what the caller's own dialect says it is.
    Malformed(&'static str),
    Missing,
    Twice,
    /// Nothing of it can be changed.
    Rewritten(NotRewritten),
}

impl NotTranslated {
    pub(crate) fn new(field: &str, why: Why) -> Self {
        let end = (0..=LONGEST_NAME.min(field.len())).rfind(|end| field.is_char_boundary(*end));
        Self {
            // it may come to stand in a line of a log
            field: field[..end.unwrap_or(0)].replace(char::is_control, "\u{fffd}"),
            why,
        }
    }

    /// The target has nothing like this field.
    pub(crate) fn nowhere(field: &str) -> Self {
        Self::new(field, Why::Nowhere)
    }

    /// The target does not have it in this form.
    pub(crate) fn not(field: &str, what: &'static str) -> Self {
        Self::new(field, Why::Not(what))
    }

    pub(crate) fn malformed(field: &str, what: &'static str) -> Self {
        Self::new(field, Why::Malformed(what))
    }

    /// The same, seen from the object around it.
    pub(crate) fn inside(mut self, name: &str) -> Self {
        let dot = match self.field.as_bytes().first() {
            None | Some(b'[') => "",
            Some(_) => ".",
        };
        self.field = format!("{name}{dot}{}", self.field);
        self
    }

    /// The same, seen from the list around it.
    pub(crate) fn item(self, index: usize) -> Self {
        self.inside(&format!("[{index}]"))
    }

    /// Where the field stands, such as `messages[2].content[0].file`. Empty: it is the request itself.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Whether the request is faulty in its own dialect too, as far as that was looked at.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        matches!(self.why, Why::Malformed(_) | Why::Missing | Why::Twice)
    }
}

impl fmt::Display for NotTranslated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.field {
            "" => f.write_str("the request")?,
            field => write!(f, "`{field}`")?,
        }
        match self.why {
            Why::Unknown => f.write_str(" is not known, so it cannot be carried over"),
            Why::Nowhere => f.write_str(" cannot be carried over"),
            Why::Not(what) => write!(f, " cannot be carried over: {what}"),
            Why::Malformed(what) => write!(f, " is not valid: {what}"),
            Why::Missing => f.write_str(" is missing"),
            Why::Twice => f.write_str(" stands twice"),
            Why::Rewritten(why) => write!(f, " cannot be translated: {why}"),
        }
    }
}

impl fmt::Debug for NotTranslated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotTranslated({self})")
    }
}

impl Error for NotTranslated {}

impl From<NotRewritten> for NotTranslated {
    fn from(why: NotRewritten) -> Self {
        Self::new("", Why::Rewritten(why))
    }
}

/// Why an answer cannot be said in the caller's dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsaid {
    /// It is not what the target's dialect says an answer is.
    NoAnswer,
    /// It ended for a reason that is no end of an answer, by the provider's word.
    Ended(String),
    /// A call's arguments are not an object, which they have to be there.
    Arguments,
    /// The pieces of two calls came mixed, which cannot be there.
    Mixed,
    /// There is an image, a sound or another file in it.
    Media,
    /// It has more choices than any call can ask for.
    Choices,
    TooLarge,
}

impl Unsaid {
    pub(crate) fn answer(&self) -> ErrorAnswer {
        let (code, message) = match self {
            Self::NoAnswer => (
                "no_answer",
                "the provider's answer could not be read".into(),
            ),
            Self::Ended(reason) => (
                "failed_answer",
                format!("the provider ended its answer for the reason {reason}").into(),
            ),
            Self::Arguments => (
                "invalid_arguments",
                "the model called a tool with arguments that are no JSON object".into(),
            ),
            Self::Mixed => (
                "mixed_calls",
                "the provider sent pieces of two tool calls mixed".into(),
            ),
            Self::Media => (
                "media_answer",
                "the provider's answer has an image, a sound or a file in it, which cannot be carried over"
                    .into(),
            ),
            Self::Choices => (
                "too_many_choices",
                "the provider's answer has a choice numbered above 127".into(),
            ),
            Self::TooLarge => (
                "answer_too_large",
                "the provider's answer is too large".into(),
            ),
        };
        let message: Cow<'static, str> = message;
        ErrorAnswer::new(StatusCode::BAD_GATEWAY, code, message)
    }
}
