//! What is known of an answer at its first content, however it is cut.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llm_exchange::{
    AnswerBody, Depth, Dialect, Ending, PeekLimits, Peeked, Verdict, WallClock, peek,
};
use testkit::{BoxError, ScriptedBody};
use tokio::time::Instant;

use crate::{calls::call, transcripts};

pub(crate) type Body_ = ScriptedBody<BoxError>;

pub(crate) async fn look(body: Body_, dialect: Dialect) -> (Peeked, Response<AnswerBody<Body_>>) {
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap();
    peek(
        response,
        &call(dialect),
        PeekLimits::default(),
        &WallClock::default(),
    )
    .await
}

async fn rest<B>(response: Response<B>) -> Bytes
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    response.into_body().collect().await.unwrap().to_bytes()
}

/// What a stream should be known to be, and with how many of its events.
enum Expected {
    Content {
        events: usize,
    },
    Error {
        code: &'static str,
        verdict: Verdict,
    },
}

fn streams() -> Vec<(&'static str, Dialect, Expected)> {
    use Dialect::{AnthropicMessages, OpenAiChat};
    use Expected::{Content, Error};
    vec![
        (
            "03-openai-chat-stream-usage.sse",
            OpenAiChat,
            Content { events: 3 },
        ),
        (
            "04-openai-chat-stream-error.sse",
            OpenAiChat,
            Content { events: 2 },
        ),
        (
            "06-openai-chat-stream-tool-moderation.sse",
            OpenAiChat,
            Content { events: 1 },
        ),
        (
            "23-anthropic-stream.sse",
            AnthropicMessages,
            Content { events: 4 },
        ),
        (
            "24-anthropic-stream-error.sse",
            AnthropicMessages,
            Content { events: 3 },
        ),
        (
            "26-anthropic-stream-truncated.sse",
            AnthropicMessages,
            Content { events: 3 },
        ),
        (
            "25-anthropic-stream-error-first.sse",
            AnthropicMessages,
            Error {
                code: "overloaded_error",
                verdict: Verdict::Overloaded,
            },
        ),
        (
            "54-vllm-stream-error-then-done.sse",
            OpenAiChat,
            Error {
                code: "InternalServerError",
                verdict: Verdict::Failed,
            },
        ),
    ]
}

fn check(name: &str, peeked: &Peeked, expected: &Expected) {
    assert_eq!(peeked.depth(), Depth::FirstContent, "{name}");
    match expected {
        Expected::Content { .. } => {
            assert_eq!(peeked.verdict(), Verdict::Ok, "{name}");
            assert!(peeked.error().is_none(), "{name}");
        }
        Expected::Error { code, verdict } => {
            assert_eq!(peeked.verdict(), *verdict, "{name}");
            assert_eq!(peeked.error().unwrap().code(), Some(*code), "{name}");
            assert_eq!(transcripts::expected(name)["error"], *code);
        }
    }
}

#[tokio::test]
async fn every_stream_is_judged_alike_in_one_piece_byte_by_byte_and_cut_anywhere() {
    for (name, dialect, expected) in streams() {
        let bytes = transcripts::bytes(name);
        let mut cuts = vec![
            vec![bytes.clone()],
            bytes.chunks(1).map(<[u8]>::to_vec).collect(),
        ];
        cuts.extend((1..bytes.len()).map(|at| vec![bytes[..at].to_vec(), bytes[at..].to_vec()]));
        for chunks in cuts {
            let (peeked, response) = look(Body_::chunks(chunks), dialect).await;
            check(name, &peeked, &expected);
            assert_eq!(rest(response).await, bytes, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn content_is_seen_with_the_very_event_that_carries_it() {
    for (name, dialect, expected) in streams() {
        let Expected::Content { events } = expected else {
            continue;
        };
        let text = String::from_utf8(transcripts::bytes(name)).unwrap();
        let blocks: Vec<_> = text.split_inclusive("\n\n").map(str::to_owned).collect();
        for (count, depth) in [
            (events - 1, Depth::FirstEvent),
            (events, Depth::FirstContent),
        ] {
            let (peeked, _) = look(Body_::chunks(blocks[..count].to_vec()).hang(), dialect).await;
            let depth = if count == 0 { Depth::Head } else { depth };
            assert_eq!(peeked.depth(), depth, "{name} after {count} events");
        }
    }
}

#[tokio::test]
async fn error_answers_are_read_and_put_back() {
    for (name, dialect) in [
        ("11-openai-429-rate-limit.http", Dialect::OpenAiChat),
        ("12-openai-429-credit-exhausted.http", Dialect::OpenAiChat),
        ("13-openai-503-overloaded-date.http", Dialect::OpenAiChat),
        ("14-openai-400-context-length.http", Dialect::OpenAiChat),
        (
            "29-anthropic-429-rate-limit.http",
            Dialect::AnthropicMessages,
        ),
        (
            "30-anthropic-429-spend-limit.http",
            Dialect::AnthropicMessages,
        ),
        (
            "31-anthropic-529-overloaded.http",
            Dialect::AnthropicMessages,
        ),
        ("50-openrouter-200-error.http", Dialect::OpenAiChat),
    ] {
        let answer = transcripts::http(name);
        let expected = transcripts::expected(name);
        for cut in 0..=answer.body.len() {
            let body = Body_::new()
                .data(answer.body[..cut].to_vec())
                .data(answer.body[cut..].to_vec());
            let mut response = Response::new(body);
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers.clone();
            let (peeked, response) = peek(
                response,
                &call(dialect),
                PeekLimits::default(),
                &transcripts::clock(),
            )
            .await;
            assert_eq!(
                peeked.error().unwrap().code(),
                expected["error"].as_str(),
                "{name}"
            );
            let delay = match peeked.hints().delay() {
                Some(llm_exchange::Delay::Asked(delay)) => Some(delay.as_millis() as u64),
                _ => None,
            };
            assert_eq!(delay, expected["delay_ms"].as_u64(), "{name}");
            let retryable = matches!(
                peeked.verdict(),
                Verdict::Throttled | Verdict::Overloaded | Verdict::Failed | Verdict::TimedOut
            );
            assert_eq!(
                retryable,
                expected["retryable"].as_bool().unwrap(),
                "{name}"
            );
            assert_eq!(rest(response).await, answer.body, "{name}");
        }
    }
}

#[tokio::test]
async fn ordinary_answers_are_known_by_their_first_bytes() {
    for (name, dialect, telling) in [
        // OpenRouter's errors too may begin with an id
        (
            "02-openai-chat-response.json",
            Dialect::OpenAiChat,
            "\"choices\"",
        ),
        (
            "22-anthropic-response.json",
            Dialect::AnthropicMessages,
            "\"id\"",
        ),
    ] {
        let text = String::from_utf8(transcripts::bytes(name)).unwrap();
        let (before, _) = text.split_once(telling).unwrap();
        let beginning = [before, telling].concat();
        let response = Response::builder()
            .header("content-type", "application/json")
            .body(Body_::new().data(beginning).hang())
            .unwrap();
        let (peeked, response) = peek(
            response,
            &call(dialect),
            PeekLimits::default(),
            &WallClock::default(),
        )
        .await;
        assert_eq!(
            (peeked.verdict(), peeked.depth()),
            (Verdict::Ok, Depth::FirstContent)
        );
        assert!(
            response.extensions().get::<Peeked>().is_none(),
            "nothing worth carrying"
        );
    }
}

#[tokio::test]
async fn an_answer_is_read_once_however_many_layers_look() {
    let body = || Body_::new().data("data: {\"error\":{\"type\":\"server_error\"}}\n\n");
    let (first, response) = look(body(), Dialect::OpenAiChat).await;
    assert_eq!(first.verdict(), Verdict::Failed);
    let limits = PeekLimits::default();
    let (second, response) = peek(
        response,
        &call(Dialect::OpenAiChat),
        limits,
        &WallClock::default(),
    )
    .await;
    assert_eq!(second.error().unwrap().code(), Some("server_error"));
    assert_eq!(
        format!("{:?}", response.body()),
        "AnswerBody { bytes_read_ahead: 0, has_rest: true }"
    );
    assert!(rest(response).await.starts_with(b"data: {\"error\""));
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_needs_more_depth_reads_on() {
    let body = Body_::new()
        .data(": hi\n\n")
        .wait(Duration::from_secs(20))
        .data("data: [DONE]\n\n");
    let (first, response) = look(body, Dialect::OpenAiChat).await;
    assert_eq!(first.depth(), Depth::Head);
    // the time runs from the head, not anew for each layer
    let limits = PeekLimits::default().commit_after(Duration::from_secs(30));
    let (second, response) = peek(
        response,
        &call(Dialect::OpenAiChat),
        limits,
        &WallClock::default(),
    )
    .await;
    assert_eq!(second.depth(), Depth::FirstContent);
    assert_eq!(rest(response).await, ": hi\n\ndata: [DONE]\n\n");
}

#[tokio::test]
async fn an_end_before_the_first_content_is_told_apart_from_a_break() {
    let (peeked, _) = look(Body_::new().data(": hi\n\n"), Dialect::OpenAiChat).await;
    assert_eq!(
        (peeked.ending(), peeked.verdict()),
        (Some(Ending::Truncated), Verdict::Failed)
    );

    let (peeked, response) = look(
        Body_::new().data(": hi\n\n").error("reset"),
        Dialect::OpenAiChat,
    )
    .await;
    assert_eq!(
        (peeked.ending(), peeked.verdict()),
        (Some(Ending::Broken), Verdict::Failed)
    );
    let mut body = response.into_body();
    assert!(!body.is_end_stream() && body.size_hint().upper().is_none());
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        ": hi\n\n"
    );
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().to_string(),
        "reset"
    );
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_clock_runs_only_while_the_upstream_is_waited_for() {
    let start = Instant::now();
    let (_, response) = look(Body_::new().hang(), Dialect::OpenAiChat).await;
    assert_eq!(start.elapsed(), Duration::from_secs(15));
    drop(response);
    // no timer, no wait: usable outside of a runtime's clock as long as the data is there
    let (peeked, _) = look(
        Body_::new().data("data: [DONE]\n\n").hang(),
        Dialect::OpenAiChat,
    )
    .await;
    assert_eq!(peeked.depth(), Depth::FirstContent);
}

#[tokio::test]
async fn a_compressed_answer_is_left_alone_and_says_so() {
    let response = Response::builder()
        .status(500)
        .header("content-encoding", "gzip")
        .body(Full::from("\u{1f}junk"))
        .unwrap();
    let (peeked, response) = peek(
        response,
        &call(Dialect::OpenAiChat),
        PeekLimits::default(),
        &WallClock::default(),
    )
    .await;
    assert!(peeked.is_encoded());
    assert_eq!(
        (peeked.depth(), peeked.verdict()),
        (Depth::Head, Verdict::Failed)
    );
    assert_eq!(rest(response).await, "\u{1f}junk");
}

#[tokio::test]
async fn the_length_of_what_was_read_ahead_is_part_of_the_answers_length() {
    let response = Response::builder()
        .header("content-type", "application/json")
        .body(Full::from("{\"id\":1}"))
        .unwrap();
    let (_, response) = peek(
        response,
        &call(Dialect::OpenAiChat),
        PeekLimits::default(),
        &WallClock::default(),
    )
    .await;
    assert_eq!(response.body().size_hint().exact(), Some(8));
}

#[tokio::test]
async fn debug_shows_nothing_of_the_answer() {
    let event = "data: {\"error\":{\"type\":\"server_error\",\"message\":\"canary\"}}\n\n";
    let (peeked, response) = look(Body_::new().data(event), Dialect::OpenAiChat).await;
    let shown = format!("{peeked:?} {response:?}");
    assert!(!shown.contains("canary"), "{shown}");
}
