//! A transcript of edge cases, and the events that its index expects.

use llm_exchange::sse::Decoder;

use crate::support::{Run, named};

const STREAM: &[u8] = include_bytes!("../transcripts/60-sse-edge-cases.sse");

/// The events that the transcript's index expects, and the one retry.
fn check(run: &Run) {
    let expected = [
        named("delta", "{\"a\":\n1}", ""),
        named("message", "{\"b\":2}", "7"),
        named("message", "\n", "7"),
        named("message", "{\"c\":\"x\u{2028}y\u{85}z\"}", "7"),
    ];
    assert_eq!(run.seen(), expected);
    assert_eq!(run.retries(), [None, Some(1500), None, None]);
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
