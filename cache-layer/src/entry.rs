//! An answer as it is kept.

mod wire;

use std::{
    fmt,
    ops::Range,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use llm_exchange::Usage;
use serde::{Deserialize, Serialize};

use crate::key::{Tag, Tags};

/// An answer as it is kept: its body byte for byte, the headers worth replaying, and what it was.
///
/// `Debug` shows sizes, never the answer.
#[derive(Clone)]
pub struct Entry {
    pub(crate) head: Head,
    pub(crate) headers: Kept,
    pub(crate) body: Bytes,
}

/// What is known of an answer beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// A stream of events; else one JSON text.
    pub(crate) is_stream: bool,
    /// When it was stored, in milliseconds since 1970.
    pub(crate) stored_at: u64,
    /// For how long it is served, in milliseconds.
    pub(crate) ttl: u64,
    /// How long a store keeps it, in milliseconds.
    pub(crate) keep: u64,
    /// How long the provider took, in milliseconds.
    pub(crate) took: u64,
    /// The model that answered.
    pub(crate) model: Option<String>,
    pub(crate) tier: Option<String>,
    /// Where the call went, as prices differ by it.
    pub(crate) host: Option<String>,
    pub(crate) usage: Option<Tokens>,
    /// Where in the body events stand that are nothing but the usage.
    pub(crate) usage_events: Vec<Range<u64>>,
    pub(crate) tags: [Option<u64>; 3],
}

/// The counts of a [`Usage`] that a price depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tokens {
    uncached: u64,
    cached: u64,
    cache_write: u64,
    cache_write_long: u64,
    audio_input: u64,
    visible: u64,
    reasoning: u64,
    audio_output: u64,
    web_searches: u64,
    stated_pico_usd: Option<u64>,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            uncached: usage.uncached,
            cached: usage.cached,
            cache_write: usage.cache_write,
            cache_write_long: usage.cache_write_long,
            audio_input: usage.audio_input,
            visible: usage.visible,
            reasoning: usage.reasoning,
            audio_output: usage.audio_output,
            web_searches: usage.web_searches,
            stated_pico_usd: usage.stated_pico_usd,
        }
    }
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        let mut usage = Self::default();
        usage.uncached = tokens.uncached;
        usage.cached = tokens.cached;
        usage.cache_write = tokens.cache_write;
        usage.cache_write_long = tokens.cache_write_long;
        usage.audio_input = tokens.audio_input;
        usage.visible = tokens.visible;
        usage.reasoning = tokens.reasoning;
        usage.audio_output = tokens.audio_output;
        usage.web_searches = tokens.web_searches;
        usage.stated_pico_usd = tokens.stated_pico_usd;
        usage
    }
}

/// Headers of an answer that are true of it at any time: what it is, and how its provider names it.
const KEPT: [HeaderName; 5] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    HeaderName::from_static("openai-version"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-request-id"),
];
/// Headers as they are replayed.
pub(crate) type Kept = Vec<(HeaderName, HeaderValue)>;

/// A longer header is not kept.
const LONGEST_HEADER: usize = 1024;
/// What an entry takes beside its bytes, roughly.
const OVERHEAD: usize = 512;

/// The headers of an answer that are kept; an unstreamed one has its length among them.
pub(crate) fn kept(headers: &HeaderMap, is_stream: bool, length: usize) -> Kept {
    let kept = KEPT.into_iter().filter_map(|name| {
        let value = headers.get(&name)?;
        (value.len() <= LONGEST_HEADER).then(|| (name, value.clone()))
    });
    let mut kept: Kept = kept.collect();
    kept.retain(|(name, _)| *name != header::CONTENT_LENGTH);
    if !is_stream {
        kept.push((header::CONTENT_LENGTH, length.into()));
    }
    kept
}

/// Milliseconds since 1970; before it, 0.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    whole_millis(since)
}

pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Entry {
    /// How much memory it takes, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len() + OVERHEAD
    }

    /// What it belongs to.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let [model, credential, user] = self.head.tags.map(|tag| tag.map(Tag));
        Tags {
            model,
            credential,
            user,
        }
    }

    /// For how long a store is to keep it.
    #[must_use]
    pub fn keep(&self) -> Duration {
        Duration::from_millis(self.head.keep)
    }

    /// How old it is. A clock that was set back makes no entry older.
    pub(crate) fn age(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.head.stored_at))
    }

    /// Whether a store need not keep it any longer.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.age(now) > self.keep()
    }

    pub(crate) fn ttl(&self) -> Duration {
        Duration::from_millis(self.head.ttl)
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        self.head.usage.map(Usage::from)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("is_stream", &self.head.is_stream)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn entry(body: impl Into<Bytes>) -> Entry {
        let head = Head {
            ttl: 60_000,
            keep: 60_000,
            ..Head::default()
        };
        Entry {
            head,
            headers: vec![(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )],
            body: body.into(),
        }
    }

    #[test]
    fn only_headers_that_stay_true_are_kept() {
        let mut headers = HeaderMap::new();
        for name in [
            "content-type",
            "content-length",
            "x-request-id",
            "x-ratelimit-remaining-tokens",
            "set-cookie",
        ] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        let kept = kept(&headers, true, 0);
        let names: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "x-request-id"]);
    }
}
