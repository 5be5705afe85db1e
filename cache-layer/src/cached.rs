//! What the cache did with a call, told on the answer.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response, header};

use crate::Key;

/// On every answer to an LLM call: what the cache did with it.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-llm-cache");

/// On the answer to a question that is alike: how alike, in thousandths.
const SIMILARITY: HeaderName = HeaderName::from_static("x-llm-cache-similarity");

/// What the cache did with a call.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// The answer was known: no call was made.
    Hit,
    /// It was known and is past its time, and is served all the same: while a new one is got, or
    /// because the provider fails.
    Stale,
    /// It is the answer to an equal call that was under way.
    Coalesced,
    /// It was not known: the call was made.
    Miss,
    /// The call is not cached.
    Bypass,
}

impl CacheStatus {
    /// The name in lower case, as `x-llm-cache` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Coalesced => "coalesced",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// What the cache did with a call: an extension of its answer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Cached {
    /// What it did.
    pub status: CacheStatus,
    /// How old the answer is, where it was known.
    pub age: Option<Duration>,
    /// The answer's key, by which it can be removed. `None`: the call is not cached.
    pub key: Option<Key>,
    /// How alike the question is for which the answer was made, where it is another one: up to 1.
    pub similarity: Option<f32>,
}

impl Cached {
    pub(crate) const fn new(status: CacheStatus, key: Option<Key>) -> Self {
        Self {
            status,
            age: None,
            key,
            similarity: None,
        }
    }

    /// What the cache did with the call that this is the answer to.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<&Self> {
        response.extensions().get()
    }

    /// Tells it on the answer.
    pub(crate) fn mark<B>(self, response: &mut Response<B>) {
        let headers = response.headers_mut();
        headers.insert(HEADER, HeaderValue::from_static(self.status.as_str()));
        if let Some(age) = self.age {
            // in one allocation, where that of a number takes two
            let age = HeaderValue::from_str(itoa::Buffer::new().format(age.as_secs()));
            headers.extend(age.map(|age| (header::AGE, age)));
        }
        if let Some(similarity) = self.similarity {
            // never told to be more alike than it is
            let text = format!("{:.3}", (similarity * 1000.0).floor() / 1000.0);
            headers.extend(HeaderValue::from_str(&text).map(|value| (SIMILARITY, value)));
        }
        response.extensions_mut().insert(self);
    }
}
