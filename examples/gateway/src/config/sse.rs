//! `[sse]`: the clocks of one attempt, and the stream that the caller sees.

use std::time::Duration;

use serde::Deserialize;
use sse_layer::{SseLayer, StreamTimeoutLayer};

use super::value::some_time;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SseSection {
    #[serde(default, deserialize_with = "some_time")]
    headers_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "some_time")]
    first_token_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "some_time")]
    silence_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "some_time")]
    idle_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "some_time")]
    total_timeout: Option<Duration>,
    max_output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "some_time")]
    keep_alive: Option<Duration>,
}

/// The two layers of the section: they sit at the two ends of the stack.
#[derive(Clone, Debug)]
pub(crate) struct SseConfig {
    pub(crate) outermost: SseLayer,
    pub(crate) innermost: StreamTimeoutLayer,
}

impl SseSection {
    pub(super) fn layers(self) -> SseConfig {
        let mut innermost = StreamTimeoutLayer::new();
        if let Some(timeout) = self.headers_timeout {
            innermost = innermost.headers(timeout);
        }
        if let Some(timeout) = self.first_token_timeout {
            innermost = innermost.first_content(timeout);
        }
        if let Some(timeout) = self.silence_timeout {
            innermost = innermost.silence(timeout);
        }
        if let Some(timeout) = self.idle_timeout {
            innermost = innermost.idle(timeout);
        }
        if let Some(timeout) = self.total_timeout {
            innermost = innermost.total(timeout);
        }
        let mut outermost = SseLayer::new();
        if let Some(tokens) = self.max_output_tokens {
            outermost = outermost.max_output_tokens(tokens);
        }
        if let Some(every) = self.keep_alive {
            outermost = outermost.keep_alive(every);
        }
        SseConfig {
            outermost,
            innermost,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{PROVIDER, error};

    #[test]
    fn no_time_at_all_is_told_at_the_start() {
        for name in ["keep_alive", "headers_timeout", "total_timeout"] {
            let text = error(&format!("{PROVIDER}[sse]\n{name} = \"0s\"\n"));
            let says = format!("[sse] {name}: no time at all is no setting");
            assert!(text.contains(&says), "{text}");
        }
    }
}
