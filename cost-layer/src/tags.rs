//! What the app adds to its calls' records.

use std::fmt;

use http::Request;

/// Tags of a call, by which its costs can be asked for: an extension that the app puts into the request.
///
/// At most 16, with names up to 64 bytes and values up to 256; what is beyond that is left out. Choose
/// names and values that are few: each combination is a sum of its own.
///
/// ```
/// use cost_layer::Tags;
///
/// let mut request = http::Request::post("/v1/chat/completions").body(()).unwrap();
/// request.extensions_mut().insert(Tags::new().with("team", "search").with("feature", "summary"));
/// assert_eq!(Tags::of(&request).unwrap().get("team"), Some("search"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags(Vec<(Box<str>, Box<str>)>);

const MOST: usize = 16;
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 256;

impl Tags {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The same and this one; it replaces one of its name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let fits = !name.is_empty() && name.len() <= LONGEST_NAME && value.len() <= LONGEST_VALUE;
        match self.0.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) if fits => self.0[at].1 = value.into(),
            // in order of their names, so that equal sets are equal
            Err(at) if fits && self.0.len() < MOST => {
                self.0.insert(at, (name.into(), value.into()))
            }
            _ => {}
        }
        self
    }

    /// The tags of a request.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// The value of a tag.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Names and values, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_bounded_and_equal_in_any_order() {
        let tags = Tags::new().with("b", "1").with("a", "2").with("b", "3");
        assert_eq!(tags, Tags::new().with("a", "2").with("b", "3"));
        assert_eq!(tags.get("b"), Some("3"));
        let many = (0..99).fold(Tags::new(), |tags, n| tags.with(&n.to_string(), "x"));
        assert_eq!(many.iter().count(), 16);
        assert!(
            Tags::new()
                .with(&"n".repeat(65), "x")
                .with("", "x")
                .is_empty()
        );
        assert_eq!(tags.with("a", &"x".repeat(257)).get("a"), Some("2"));
    }
}
