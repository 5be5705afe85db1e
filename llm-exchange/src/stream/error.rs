use std::{error::Error, fmt, sync::Arc};

use crate::{BoxError, ProviderError, sse::TooLarge};

/// Why a stream could not be read to its end as an answer.
///
/// `Display` and `Debug` show nothing of the stream's content.
#[derive(Debug)]
pub struct StreamError(Kind);

#[derive(Debug)]
enum Kind {
    Truncated,
    Provider(Arc<ProviderError>),
    TooLarge { limit: usize },
    Unreadable { what: &'static str },
    Broken(BoxError),
}

impl StreamError {
    /// The stream ended without the proof that its protocol gives of a whole answer. Public, like
    /// the next, for readers of one's own and for tests.
    #[must_use]
    pub const fn truncated() -> Self {
        Self(Kind::Truncated)
    }

    /// The body broke with this error.
    #[must_use]
    pub fn broken(error: impl Into<BoxError>) -> Self {
        Self(Kind::Broken(error.into()))
    }

    pub(crate) const fn provider(error: Arc<ProviderError>) -> Self {
        Self(Kind::Provider(error))
    }

    /// More than so many bytes came.
    #[must_use]
    pub const fn too_large(limit: usize) -> Self {
        Self(Kind::TooLarge { limit })
    }

    pub(crate) const fn unreadable(what: &'static str) -> Self {
        Self(Kind::Unreadable { what })
    }

    /// Whether the stream ended too early, in order or not.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        matches!(self.0, Kind::Truncated | Kind::Broken(_))
    }

    /// The error that the provider sent in its stream.
    #[must_use]
    pub fn provider_error(&self) -> Option<&ProviderError> {
        match &self.0 {
            Kind::Provider(error) => Some(error),
            _ => None,
        }
    }

    /// Whether a limit on bytes was passed.
    #[must_use]
    pub const fn is_too_large(&self) -> bool {
        matches!(self.0, Kind::TooLarge { .. })
    }

    /// Whether the data was not what the dialect's protocol says it is.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        matches!(self.0, Kind::Unreadable { .. })
    }
}

impl From<TooLarge> for StreamError {
    fn from(error: TooLarge) -> Self {
        Self::too_large(error.limit())
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Truncated => f.write_str("the stream ended before the answer was complete"),
            Kind::Provider(error) => write!(
                f,
                "the provider failed in its stream: {}",
                error.code().unwrap_or("no code")
            ),
            Kind::TooLarge { limit } => write!(f, "the stream passed a limit of {limit} bytes"),
            Kind::Unreadable { what } => write!(f, "the stream could not be read: {what}"),
            Kind::Broken(_) => f.write_str("the stream broke"),
        }
    }
}

impl Error for StreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Broken(error) => Some(&**error),
            _ => None,
        }
    }
}
