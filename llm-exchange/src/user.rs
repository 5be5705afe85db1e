//! Who is spending.

use std::{fmt, sync::Arc};

use http::Request;

/// Who is spending: an extension that the app puts into the request after its own authentication.
///
/// Limits, books and caches per user go by it. What a request's body says of its user
/// ([`Call::end_user`](crate::Call::end_user)) was written by the caller, and is used only where a
/// layer is told to trust it.
///
/// `Debug` does not show the name. Clones share it.
///
/// ```
/// use http::Request;
/// use llm_exchange::User;
///
/// let mut request = Request::post("/v1/chat/completions").body(()).unwrap();
/// assert_eq!(User::of(&request), None);
///
/// request.extensions_mut().insert(User::new("u_5f2c9e"));
/// assert_eq!(User::of(&request).unwrap().as_str(), "u_5f2c9e");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User(Arc<str>);

impl User {
    /// The user of this name, whatever the app knows its users by.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The user whom the app put into the request.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_name() {
        assert_eq!(format!("{:?}", User::new("canary")), "User(..)");
    }
}
