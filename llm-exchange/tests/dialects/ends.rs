//! A stream of any dialect that reaches a number of tokens, and how it ends there.

use http_body_util::BodyExt;
use llm_exchange::{Dialect, End, FinishReason, Meter, Verdict};
use serde_json::json;

use crate::requests::{field, varint};
use crate::support::{Chunks, call, framed, met, response};

/// Six events of a word each, a word being a token, with what they look like around it.
fn words(dialect: Dialect) -> (&'static str, Vec<Vec<u8>>) {
    let sse = "text/event-stream";
    let data = |json: serde_json::Value| format!("data: {json}\n\n").into_bytes();
    let each = |event: &dyn Fn(&str) -> Vec<u8>| {
        [" one", " two", " three", " four", " five", " six"]
            .iter()
            .map(|word| event(word))
            .collect::<Vec<_>>()
    };
    match dialect {
        Dialect::OpenAiResponses => (
            sse,
            each(&|word| {
                data(
                    json!({"type": "response.output_text.delta", "sequence_number": 4, "delta": word}),
                )
            }),
        ),
        Dialect::OpenAiCompletions => (
            sse,
            each(&|word| {
                data(json!({"id": "c", "model": "m", "choices": [{"index": 0, "text": word}]}))
            }),
        ),
        Dialect::Gemini => (
            sse,
            each(&|word| {
                data(json!({"candidates": [{"index": 0, "content": {"parts": [{"text": word}]}}]}))
            }),
        ),
        Dialect::Ollama => (
            "application/x-ndjson",
            each(&|word| {
                format!(
                    "{}\n",
                    json!({"model": "m", "message": {"content": word}, "done": false})
                )
                .into_bytes()
            }),
        ),
        Dialect::GeminiGrpc => (
            "application/grpc",
            each(&|word| {
                let content = field(1, &field(1, &field(2, word.as_bytes())));
                framed(&field(1, &[content, varint(3, 0)].concat())).to_vec()
            }),
        ),
        other => panic!("{other:?}"),
    }
}

const STREAMED: [Dialect; 5] = [
    Dialect::OpenAiResponses,
    Dialect::OpenAiCompletions,
    Dialect::Gemini,
    Dialect::Ollama,
    Dialect::GeminiGrpc,
];

async fn watched(dialect: Dialect, parts: Vec<Vec<u8>>, tokens: u64) -> Meter {
    let (kind, _) = words(dialect);
    let call = call(dialect, true);
    call.attempts().watch_output(tokens);
    let (meter, answer) = Meter::attach(response(kind, Chunks::chunks(parts)), &call);
    let _ = answer.into_body().collect().await;
    meter
}

#[tokio::test]
async fn a_number_of_tokens_is_reached_at_the_same_event_however_the_stream_is_cut() {
    for dialect in STREAMED {
        let (_, events) = words(dialect);
        let body = events.concat();
        let place = events[..3].concat().len() as u64;
        let bytes = body.chunks(1).map(<[u8]>::to_vec).collect();
        for parts in [vec![body.clone()], bytes, events] {
            let meter = watched(dialect, parts, 3).await;
            let reached = meter.reached(3).unwrap_or_else(|| panic!("{dialect:?}"));
            assert_eq!(
                (reached.at(), reached.tokens().output),
                (place, 3),
                "{dialect:?}"
            );
            assert!(meter.reached(4).is_none(), "it is not watched for");
        }
    }
}

#[tokio::test]
async fn the_stream_that_is_ended_there_is_whole_and_was_cut_by_its_length() {
    for dialect in STREAMED {
        let (kind, events) = words(dialect);
        let meter = watched(dialect, vec![events.concat()], 3).await;
        let ending = meter.reached(3).unwrap().ending(true);
        if dialect.is_grpc() {
            assert!(ending.is_empty());
            continue;
        }
        let parts = [events[..3].concat(), ending.to_vec()].concat();
        let ended = met(kind, Chunks::chunks([parts]), &call(dialect, true)).await;
        assert_eq!(ended.end(), Some(End::Complete), "{dialect:?}");
        assert_eq!(ended.finish(), Some(FinishReason::Length), "{dialect:?}");
        assert_eq!(ended.verdict(), Verdict::Ok);
        assert_eq!(ended.usage().unwrap().output(), 3, "{dialect:?}");
    }
}

#[tokio::test]
async fn a_text_that_is_said_again_and_again_is_counted_in_every_framing() {
    for dialect in [Dialect::OpenAiCompletions, Dialect::Gemini, Dialect::Ollama] {
        let (kind, events) = words(dialect);
        let again = vec![events[0].clone(); 5];
        let meter = met(kind, Chunks::chunks(again), &call(dialect, true)).await;
        assert_eq!((meter.repeats(), meter.contents()), (5, 5), "{dialect:?}");
    }
}
