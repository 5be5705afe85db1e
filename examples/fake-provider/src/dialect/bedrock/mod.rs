//! Amazon Bedrock: Converse, and Anthropic's models invoked in Anthropic's own format. A stream is
//! binary frames.

mod converse;
mod invoke;
mod problem;

use http::HeaderMap;
use serde_json::json;

pub(crate) use self::{converse::Converse, invoke::Invoke};
use super::{Event, Problem, put};

/// Noise in every event of a stream, which hides how long its text is.
const PADDING: &str = "abcdefgh";

fn headers(number: u64, headers: &mut HeaderMap) {
    put(headers, "x-amzn-requestid", &format!("fake-{number}"));
}

fn models(names: &[&str]) -> String {
    let all: Vec<_> = names
        .iter()
        .map(|name| json!({"modelId": name, "modelName": name}))
        .collect();
    json!({ "modelSummaries": all }).to_string()
}

/// The parts of [`Wire`] that both have.
macro_rules! of_bedrock {
    () => {
        // its frames have none
        fn ping(&self, _: &crate::behaviour::Shape) -> Option<super::Event> {
            None
        }

        fn models(&self, names: &[&str]) -> String {
            super::models(names)
        }

        fn headers(&self, number: u64, _: bool, headers: &mut http::HeaderMap) {
            super::headers(number, headers);
        }

        fn problem(
            &self,
            _: u64,
            failure: &crate::failure::Failure,
            padding: &str,
            _: &crate::behaviour::Shape,
        ) -> super::Problem {
            super::problem::problem(&failure.kind, padding)
        }

        fn usual_failure(&self) -> crate::failure::Failure {
            crate::failure::Failure::overloaded()
        }

        fn error_events(
            &self,
            problem: super::Problem,
            _: usize,
            _: &crate::behaviour::Shape,
        ) -> Vec<super::Event> {
            vec![super::problem::exception(&problem)]
        }

        fn stream_type(&self, _: &crate::route::Route) -> &'static str {
            "application/vnd.amazon.eventstream"
        }
    };
}
use of_bedrock;
