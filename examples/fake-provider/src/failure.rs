//! Error answers: the status, what is said about coming back, and the body.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::clock;

/// An error answer. Its body has the dialect's own shape, unless another is given.
///
/// ```
/// use fake_provider::{Behaviour, Failure, Hint};
///
/// let full = Failure::status(503).hint(Hint::RetryAfter("2".into())).pad_to(70_000);
/// let html = Failure::status(502).html(128 << 10);
/// # let _ = (Behaviour::fails(full), Behaviour::fails(html));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub(crate) kind: Kind,
    pub(crate) hints: Vec<Hint>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ErrorBody,
}

/// What the dialect makes an error body, and mostly a status, of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    RateLimited,
    Quota,
    Overloaded,
    ContextTooLong,
    Invalid(String),
    MissingKey,
    UnknownPath(String),
    Status(u16),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ErrorBody {
    /// JSON in the dialect's shape, its message at least padded to this many bytes in all.
    Dialect { pad_to: usize },
    /// A page as a CDN sends it, of this many bytes.
    Html { bytes: usize },
    /// Anything.
    Given { content_type: String, body: Bytes },
}

/// Longest body that [`Failure::pad_to`] and [`Failure::html`] make: 8 MiB.
pub(crate) const MOST_ERROR_BYTES: usize = 8 << 20;

impl Failure {
    fn new(kind: Kind) -> Self {
        let body = ErrorBody::Dialect { pad_to: 0 };
        Self {
            kind,
            hints: Vec::new(),
            headers: HeaderMap::new(),
            body,
        }
    }

    /// A 429 that passes with time.
    pub fn rate_limited() -> Self {
        Self::new(Kind::RateLimited)
    }

    /// A 429 that needs a human: OpenAI's `insufficient_quota`, Anthropic's spend limit, a quota per
    /// day of Google.
    pub fn quota_exhausted() -> Self {
        Self::new(Kind::Quota)
    }

    /// The provider is overloaded: 529 from Anthropic, 503 from all others.
    pub fn overloaded() -> Self {
        Self::new(Kind::Overloaded)
    }

    /// 400: the prompt is longer than the model's context.
    pub fn context_too_long() -> Self {
        Self::new(Kind::ContextTooLong)
    }

    /// Any status, with the body that the dialect usually has for it. What is no status of
    /// 400 to 599 becomes 500.
    pub fn status(status: u16) -> Self {
        Self::new(match status {
            429 => Kind::RateLimited,
            400..=599 => Kind::Status(status),
            _ => Kind::Status(500),
        })
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid(message.into()))
    }

    pub(crate) fn missing_key() -> Self {
        Self::new(Kind::MissingKey)
    }

    pub(crate) fn unknown_path(what: impl Into<String>) -> Self {
        Self::new(Kind::UnknownPath(what.into()))
    }

    /// Adds what is said about coming back; any number of them.
    pub fn hint(mut self, hint: Hint) -> Self {
        self.hints.push(hint);
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Makes the JSON body this many bytes long (at most 8 MiB), by a longer message.
    pub fn pad_to(mut self, bytes: usize) -> Self {
        self.body = ErrorBody::Dialect {
            pad_to: bytes.min(MOST_ERROR_BYTES),
        };
        self
    }

    /// An HTML page of this many bytes (at most 8 MiB) instead of JSON.
    pub fn html(mut self, bytes: usize) -> Self {
        self.body = ErrorBody::Html {
            bytes: bytes.min(MOST_ERROR_BYTES),
        };
        self
    }

    /// This very body instead of JSON. A content type that is no header value is left out.
    pub fn body(mut self, content_type: impl Into<String>, body: impl Into<Bytes>) -> Self {
        self.body = ErrorBody::Given {
            content_type: content_type.into(),
            body: body.into(),
        };
        self
    }
}

/// What an error answer says about coming back. What can't stand in a header is left out.
#[derive(Debug, Clone, PartialEq)]
pub enum Hint {
    /// `retry-after` with this very text: seconds, fractions, garbage.
    RetryAfter(String),
    /// `retry-after` as an HTTP date so many seconds from now; negative is in the past.
    RetryAfterDate(i64),
    /// `retry-after-ms`.
    RetryAfterMs(u64),
    /// `x-ratelimit-*-requests` of an exhausted allowance, full again after this time, written as
    /// OpenAI does (`6m0s`, `12ms`).
    ResetRequests(Duration),
    /// The same for `-tokens`.
    ResetTokens(Duration),
    /// `anthropic-ratelimit-input-tokens-*` of an exhausted allowance: RFC 3339, so many seconds
    /// from now.
    AnthropicReset(i64),
    /// `x-should-retry`.
    ShouldRetry(bool),
    /// Google's RetryInfo: in the details of a Gemini error, and in `grpc-status-details-bin`.
    RetryInfo(Duration),
    /// `grpc-retry-pushback-ms` with this very text: milliseconds, `-1`, garbage.
    Pushback(String),
}

impl Failure {
    /// The wait that Google's RetryInfo is to say.
    pub(crate) fn retry_info(&self) -> Option<Duration> {
        self.hints.iter().find_map(|hint| match hint {
            Hint::RetryInfo(wait) => Some(*wait),
            _ => None,
        })
    }
}

impl Hint {
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        match self {
            Self::RetryAfter(text) => set("retry-after", text),
            Self::RetryAfterDate(seconds) => set("retry-after", &clock::http_date(*seconds)),
            Self::RetryAfterMs(ms) => set("retry-after-ms", &ms.to_string()),
            Self::ResetRequests(time) => {
                set("x-ratelimit-limit-requests", "10000");
                set("x-ratelimit-remaining-requests", "0");
                set("x-ratelimit-reset-requests", &clock::go_duration(*time));
            }
            Self::ResetTokens(time) => {
                set("x-ratelimit-limit-tokens", "2000000");
                set("x-ratelimit-remaining-tokens", "0");
                set("x-ratelimit-reset-tokens", &clock::go_duration(*time));
            }
            Self::AnthropicReset(seconds) => {
                set("anthropic-ratelimit-input-tokens-limit", "400000");
                set("anthropic-ratelimit-input-tokens-remaining", "0");
                set(
                    "anthropic-ratelimit-input-tokens-reset",
                    &clock::rfc3339(*seconds),
                );
            }
            Self::ShouldRetry(yes) => set("x-should-retry", if *yes { "true" } else { "false" }),
            // in the body, or in gRPC's details
            Self::RetryInfo(_) => {}
            Self::Pushback(text) => set("grpc-retry-pushback-ms", text),
        }
    }
}
