//! A transcript of edge cases, and the events that its index expects.

use std::sync::LazyLock;

use llm_exchange::sse::Decoder;
use serde_json::Value;

use crate::support::{Run, named};

const STREAM: &[u8] = include_bytes!("../transcripts/60-sse-edge-cases.sse");

/// The events that the transcript's index expects, and the one retry.
static EXPECTED: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let all: Value =
        serde_json::from_slice(include_bytes!("../transcripts/expected.json")).expect("JSON");
    let events = &all["60-sse-edge-cases.sse"]["events"];
    events.as_array().expect("events").clone()
});

fn check(run: &Run) {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let expected: Vec<_> = EXPECTED
        .iter()
        .map(|event| {
            let [name, data, id] = ["event", "data", "id"].map(|member| text(event, member));
            named(&name, &data, &id)
        })
        .collect();
    assert_eq!(run.seen(), expected);
    let retries = EXPECTED
        .iter()
        .map(|event| event["retry"].as_u64().map(u128::from));
    assert_eq!(run.retries(), retries.collect::<Vec<_>>());
    assert_eq!(expected.len(), 4);
    assert_eq!(run.raw(), STREAM);
    assert!(run.rest.is_truncated());
    // If the CRLF of the blank line before was cut, its LF is here too.
    assert!(run.rest.raw().ends_with(b"data: {\"lost\":true}\n"));
    assert_eq!(run.events().count(), 6, "a comment and a lone name besides");
}

#[test]
fn decodes_in_one_piece() {
    check(&Run::over(Decoder::new(), [STREAM]));
}

#[test]
fn decodes_byte_by_byte() {
    check(&Run::over(Decoder::new(), STREAM.chunks(1)));
}

#[test]
fn decodes_cut_at_every_position_and_every_two() {
    for first in 0..=STREAM.len() {
        for second in first..=STREAM.len() {
            let pieces = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
            check(&Run::over(Decoder::new(), pieces));
        }
    }
}
