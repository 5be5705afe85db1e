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

/// A hit without an allocation of its own: hits are to cost nothing.
#[derive(Clone, Copy)]
struct Known;

impl FromCache {
    /// Says so of an answer.
    pub fn mark<B>(self, response: &mut Response<B>) {
        match self {
            Self::Hit => drop(response.extensions_mut().insert(Known)),
            Self::Shared => drop(response.extensions_mut().insert(self)),
        }
    }

    /// Whether and how an answer came from a cache.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<Self> {
        let extensions = response.extensions();
        let known = || extensions.get::<Known>().map(|Known| Self::Hit);
        extensions.get().copied().or_else(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_marked_either_way_is_known_as_what_it_is() {
        for from in [FromCache::Hit, FromCache::Shared] {
            let (mut marked, mut inserted) = (Response::new(()), Response::new(()));
            assert_eq!(FromCache::of(&marked), None);
            from.mark(&mut marked);
            inserted.extensions_mut().insert(from);
            assert_eq!([&marked, &inserted].map(FromCache::of), [Some(from); 2]);
        }
    }
}
