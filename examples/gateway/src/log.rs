//! What is told of each call when it is over: a line in the log, and one on the dashboard.

use std::{sync::Arc, time::SystemTime};

use budget_layer::Reservation;
use bytes::Bytes;
use cost_layer::Booked;
use fallback_layer::{Served, Why};
use http::{Method, Response, StatusCode};
use llm_exchange::{BodyEnd, BoxError, Call, Money, Observe, Refusal, User, Verdict};
use tokio::time::Instant;

use crate::board::{Board, CALLER_GONE, Line, Step};

/// Longest text of a caller that is written into a log.
const LONGEST: usize = 120;

/// Collects what is told of a call, and tells it once, when it is dropped: at the end of its
/// answer, or earlier if the caller goes away. No body, header or query is in it.
#[derive(Debug)]
pub(crate) struct CallLog {
    board: Arc<Board>,
    method: Method,
    path: String,
    at: SystemTime,
    began: Instant,
    provider: Option<Arc<str>>,
    /// The target of a route, by its label.
    served_by: Option<String>,
    /// Another target than the first answered.
    fell_back: bool,
    /// The targets that were asked in vain.
    targets_left: u32,
    call: Option<Arc<Call>>,
    status: Option<StatusCode>,
    steps: Vec<Step>,
    user: Option<Box<str>>,
    booked: Option<Booked>,
    served: Option<Served>,
    error: Option<String>,
    end: &'static str,
}

impl CallLog {
    pub(crate) fn begin(method: &Method, path: &str, board: Arc<Board>) -> Self {
        Self {
            at: board.now(),
            board,
            method: method.clone(),
            path: short(path).to_owned(),
            began: Instant::now(),
            provider: None,
            served_by: None,
            fell_back: false,
            targets_left: 0,
            call: None,
            status: None,
            steps: Vec::new(),
            user: None,
            booked: None,
            served: None,
            error: None,
            end: CALLER_GONE,
        }
    }

    pub(crate) fn provider(&mut self, name: &Arc<str>) {
        self.provider = Some(name.clone());
    }

    /// Whose call it is; on the dashboard, not in the log.
    pub(crate) fn user(&mut self, user: &User) {
        self.user = Some(user.as_str().into());
    }

    pub(crate) fn call(&mut self, call: &Arc<Call>) {
        self.call = Some(call.clone());
    }

    /// The head is there; what the layers did so far is told by its extensions.
    pub(crate) fn answered<B>(&mut self, response: &Response<B>) {
        self.status = Some(response.status());
        self.booked = Booked::of(response).cloned();
        if let Some(reserved) = Reservation::of(response) {
            self.steps.push(Step::Reserved(reserved.tokens()));
        }
        if let Some(served) = Served::of(response) {
            // nobody, if all failed
            self.served_by = Some(short(served.by().unwrap_or("nobody")).to_owned());
            self.fell_back = served.fell_back();
            let left = served.left().iter();
            let sent = left.filter(|left| match left.why() {
                Why::Outcome(verdict) => verdict != Verdict::Refused,
                Why::Outrun => true,
                _ => false,
            });
            self.targets_left = u32::try_from(sent.count()).unwrap_or(u32::MAX);
            // the attempts that were sent are in the record
            let unsent = served.left().iter().filter(|left| {
                matches!(left.why(), Why::Skipped(_) | Why::Outcome(Verdict::Refused))
            });
            let unsent = unsent.map(|left| Step::Skipped(short(&left.to_string()).into()));
            self.steps.extend(unsent);
            self.served = Some(served.clone());
        }
        if let Some(refusal) = Refusal::of(response) {
            self.steps.push(Step::Refused(refusal.code()));
        }
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

    /// The call in one line; `None` if it is none of an LLM.
    fn line(&mut self) -> Option<Line> {
        let call = self.call.as_deref()?;
        let asked = short(call.model()?);
        let served = self.served_by.take().filter(|_| self.fell_back);
        // a caller who left before there was a head got no status
        let status = self.status.map_or(0, |status| status.as_u16());
        let mut line = Line {
            at: self.at,
            user: self.user.take(),
            model: asked.into(),
            served: served.map(String::into_boxed_str),
            steps: std::mem::take(&mut self.steps),
            is_stream: call.is_stream(),
            status,
            end: self.end,
            is_ok: (200..300).contains(&status) && self.end == "whole",
            input_tokens: 0,
            output_tokens: 0,
            is_estimated: false,
            cost: None,
            saved: Money::ZERO,
            first_content: None,
            total: self.began.elapsed(),
            retries: (call.attempts().count().saturating_sub(1)).saturating_sub(self.targets_left),
        };
        if let Some(record) = self.booked.as_ref().and_then(Booked::record) {
            line.fill(record);
        }
        // what was passed over or refused then came after what was tried
        let reserved = |step: &&Step| matches!(step, Step::Reserved(_) | Step::Cached(_));
        let first = line.steps.iter().take_while(reserved).count();
        line.steps.splice(first..first, tried(call, self.began));
        let went_on = self.served.as_ref().map(Served::went_on);
        let went_on = went_on.into_iter().flatten();
        line.steps
            .extend(went_on.map(|target| Step::WentOn(short(&target).into())));
        Some(line)
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
            _ => CALLER_GONE,
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
        if let Some(line) = self.line() {
            self.board.add(line);
        }
    }
}

/// The attempts of a call that were left for others.
fn tried(call: &Call, began: Instant) -> Vec<Step> {
    let mut before = began;
    let left = call.attempts().left_behind().into_iter();
    left.map(|left| {
        let took = left.at.saturating_duration_since(before);
        before = left.at;
        let model = left.model.as_deref().or(call.model());
        Step::Tried {
            model: short(model.unwrap_or_default()).into(),
            verdict: left.verdict.as_str(),
            took,
        }
    })
    .collect()
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
