//! One line for each call, when it is over.

use std::sync::Arc;

use bytes::Bytes;
use fallback_layer::Served;
use http::{Method, StatusCode};
use llm_exchange::{BodyEnd, BoxError, Call, Observe};
use tokio::time::Instant;

/// Longest text of a caller that is written into a log.
const LONGEST: usize = 120;

/// Collects what is told of a call, and tells it once, when it is dropped: at the end of its
/// answer, or earlier if the caller goes away. No body, header or query is in it.
#[derive(Debug)]
pub(crate) struct CallLog {
    method: Method,
    path: String,
    began: Instant,
    provider: Option<Arc<str>>,
    /// The target of a route, by its label.
    served_by: Option<String>,
    call: Option<Arc<Call>>,
    status: Option<StatusCode>,
    error: Option<String>,
    end: &'static str,
}

impl CallLog {
    pub(crate) fn begin(method: &Method, path: &str) -> Self {
        Self {
            method: method.clone(),
            path: short(path).to_owned(),
            began: Instant::now(),
            provider: None,
            served_by: None,
            call: None,
            status: None,
            error: None,
            end: "caller gone",
        }
    }

    pub(crate) fn provider(&mut self, name: &Arc<str>) {
        self.provider = Some(name.clone());
    }

    /// Who of a route's targets gave the answer; nobody, if all failed.
    pub(crate) fn served(&mut self, served: &Served) {
        self.served_by = Some(short(served.by().unwrap_or("nobody")).to_owned());
    }

    pub(crate) fn call(&mut self, call: &Arc<Call>) {
        self.call = Some(call.clone());
    }

    pub(crate) fn status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Why there is no answer of the provider; for operators, not for callers.
    pub(crate) fn error(&mut self, error: &BoxError) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.error = Some(text);
    }
}

impl Observe for CallLog {
    fn data(&mut self, _: &Bytes) {}

    fn end(&mut self, end: BodyEnd<'_>) {
        self.end = match end {
            BodyEnd::Whole => "whole",
            BodyEnd::Failed(error) => {
                self.error(error);
                "broken"
            }
            _ => "caller gone",
        };
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        let call = self.call.as_deref();
        tracing::info!(
            method = self.method.as_str(),
            path = self.path,
            provider = self.provider.as_deref(),
            served_by = self.served_by,
            model = call.and_then(Call::model).map(short),
            status = self.status.map(|status| status.as_u16()),
            attempts = call.map(|call| call.attempts().count()),
            ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            error = self.error,
            "{}",
            self.end
        );
    }
}

fn short(text: &str) -> &str {
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(short("gpt-4o"), "gpt-4o");
        assert_eq!(short(&"é".repeat(100)).len(), LONGEST);
        assert_eq!(short(&format!("a{}", "é".repeat(100))).len(), LONGEST - 1);
    }
}
