//! Answers for which no call was made.

use http::Response;

/// An answer for which this caller's call was not made: an extension that a cache puts into its
/// response.
///
/// Its usage is what was saved. A layer further out neither charges nor limits it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FromCache {
    /// It was known already.
    Hit,
    /// It is the answer to another caller's equal call, which is made at the same time.
    Shared,
}

impl FromCache {
    /// Whether and how an answer came from a cache.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<Self> {
        response.extensions().get().copied()
    }
}
