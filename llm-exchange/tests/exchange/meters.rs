//! What is known of an answer at its end, however it is cut.

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llm_exchange::{AnswerBody, Dialect, End, FinishReason, Meter, PeekLimits, WallClock, peek};
use serde_json::{Value, json};
use testkit::{BoxError, ScriptedBody};

use crate::{calls::call, transcripts};

type Chunks = ScriptedBody<BoxError>;

/// Every transcript of an answer in the two dialects.
const ANSWERS: [(&str, Dialect); 15] = [
    ("02-openai-chat-response.json", Dialect::OpenAiChat),
    ("03-openai-chat-stream-usage.sse", Dialect::OpenAiChat),
    ("04-openai-chat-stream-error.sse", Dialect::OpenAiChat),
    (
        "06-openai-chat-stream-tool-moderation.sse",
        Dialect::OpenAiChat,
    ),
    ("22-anthropic-response.json", Dialect::AnthropicMessages),
    ("23-anthropic-stream.sse", Dialect::AnthropicMessages),
    ("24-anthropic-stream-error.sse", Dialect::AnthropicMessages),
    (
        "25-anthropic-stream-error-first.sse",
        Dialect::AnthropicMessages,
    ),
    (
        "26-anthropic-stream-truncated.sse",
        Dialect::AnthropicMessages,
    ),
    ("41-mistral-chat-stream.sse", Dialect::OpenAiChat),
    ("43-groq-chat-stream.sse", Dialect::OpenAiChat),
    ("46-deepseek-nonstream-keepalive.http", Dialect::OpenAiChat),
    ("48-openrouter-stream.sse", Dialect::OpenAiChat),
    ("49-openrouter-stream-error.sse", Dialect::OpenAiChat),
    ("54-vllm-stream-error-then-done.sse", Dialect::OpenAiChat),
];

fn body_of(name: &str) -> Vec<u8> {
    if name.ends_with(".http") {
        transcripts::http(name).body
    } else {
        transcripts::bytes(name)
    }
}

fn response(name: &str, body: Chunks) -> Response<Chunks> {
    let kind = if name.ends_with(".sse") {
        "text/event-stream; charset=utf-8"
    } else {
        "application/json"
    };
    Response::builder()
        .header("content-type", kind)
        .body(body)
        .unwrap()
}

async fn read<B>(response: Response<B>) -> Bytes
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    response.into_body().collect().await.unwrap().to_bytes()
}

/// What the meter knows, in the words of `expected.json`.
fn known(meter: &Meter, expected: &Value) -> Value {
    let mut known = json!({
        "model": meter.model(),
        "complete": meter.end() == Some(End::Complete),
        "error": meter.error().and_then(|error| error.code().map(str::to_owned)),
        "maps_to_status": meter.error().and_then(|error| error.status()).map(|status| status.as_u16()),
        "service_tier": meter.service_tier(),
    });
    let finish = meter.finish_reasons();
    known["finish"] = match (&expected["finish"], finish.as_slice()) {
        (Value::Array(_), _) => json!(finish),
        (_, []) => Value::Null,
        (_, [only]) => json!(only),
        _ => json!(finish),
    };
    if let Some(usage) = meter.usage() {
        let more = json!({
            "input": usage.input(),
            "cached": usage.cached,
            "cache_write": usage.cache_write + usage.cache_write_long,
            "cache_write_5m": usage.cache_write,
            "cache_write_1h": usage.cache_write_long,
            "uncached_input": usage.uncached,
            "output": usage.output(),
            "reasoning": usage.reasoning,
            "web_search_requests": usage.web_searches,
            "cost_usd": usage.stated_pico_usd.map(|pico| pico as f64 / 1e12),
        });
        known
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
    }
    known
}

fn check(name: &str, meter: &Meter) {
    let expected = transcripts::expected(name);
    let known = known(meter, &expected);
    for (key, value) in expected.as_object().unwrap() {
        let stated_elsewhere = matches!(
            key.as_str(),
            "what"
                | "text"
                | "tool_args"
                | "trap"
                | "note"
                | "retryable"
                | "delay_ms"
                | "request_id"
                | "cost_microusd"
                | "usage_missing"
                | "cacheable"
        );
        if !stated_elsewhere {
            assert_eq!(
                known.get(key).unwrap_or(&Value::Null),
                value,
                "{name}: {key}"
            );
        }
    }
    if expected["usage_missing"] == true {
        assert!(meter.usage().is_none() && meter.tokens().is_estimated());
    }
}

#[tokio::test]
async fn an_answer_may_have_been_asked_of_another_model() {
    let mut response = Response::new(Full::<Bytes>::from("{}"));
    let asked = llm_exchange::AskedModel::new("other");
    response.extensions_mut().insert(asked);
    let call = call(Dialect::OpenAiChat);
    let (meter, _) = Meter::attach(response, &call);
    assert_eq!(meter.asked_model(), Some("other"));
    assert_eq!(call.model(), Some("m"));
    // one that names none was sent elsewhere all the same
    let elsewhere = llm_exchange::AskedModel::new("").at(Some("second.example"));
    let mut response = Response::new(Full::<Bytes>::from("{}"));
    response.extensions_mut().insert(elsewhere);
    let (meter, _) = Meter::attach(response, &call);
    assert_eq!(meter.asked_model(), Some("m"));
    assert_eq!(meter.asked_host(), Some("second.example"));
}

#[tokio::test]
async fn every_answer_is_read_alike_in_one_piece_byte_by_byte_and_cut_anywhere() {
    for (name, dialect) in ANSWERS {
        let bytes = body_of(name);
        let mut cuts = vec![
            vec![bytes.clone()],
            bytes.chunks(1).map(<[u8]>::to_vec).collect(),
        ];
        cuts.extend((1..bytes.len()).map(|at| vec![bytes[..at].to_vec(), bytes[at..].to_vec()]));
        let call = call(dialect);
        for chunks in cuts {
            let (meter, response) = Meter::attach(response(name, Chunks::chunks(chunks)), &call);
            assert_eq!(read(response).await, bytes, "{name}");
            check(name, &meter);
        }
    }
}

#[tokio::test]
async fn line_ends_of_any_kind_make_no_difference() {
    for (name, dialect) in ANSWERS.iter().filter(|(name, _)| name.ends_with(".sse")) {
        let text = String::from_utf8(body_of(name)).unwrap();
        let call = call(*dialect);
        for end in ["\r\n", "\r"] {
            let bytes = text.replace('\n', end).into_bytes();
            for at in (0..=bytes.len()).step_by(3) {
                let chunks = [bytes[..at].to_vec(), bytes[at..].to_vec()];
                let body = Chunks::chunks(chunks.into_iter().filter(|chunk| !chunk.is_empty()));
                let (meter, response) = Meter::attach(response(name, body), &call);
                assert_eq!(read(response).await, bytes, "{name}");
                check(name, &meter);
            }
        }
    }
}

#[tokio::test]
async fn a_peeked_stream_is_read_once_and_to_its_end() {
    for (name, dialect) in ANSWERS.iter().filter(|(name, _)| name.ends_with(".sse")) {
        let bytes = body_of(name);
        let call = call(*dialect);
        for at in 1..bytes.len() {
            let body = Chunks::chunks([bytes[..at].to_vec(), bytes[at..].to_vec()]);
            let (limits, clock) = (PeekLimits::default(), WallClock::default());
            let (peeked, response) = peek(response(name, body), &call, limits, &clock).await;
            let meter = Meter::of(&response).unwrap().clone();
            // a second layer, and a third that only watches
            let (again, response) = peek(response, &call, limits, &clock).await;
            assert_eq!(again.verdict(), peeked.verdict(), "{name}");
            let (same, response): (_, Response<AnswerBody<_>>) = Meter::attach(response, &call);
            assert_eq!(read(response).await, bytes, "{name}");
            assert_eq!(meter.scanned(), bytes.len() as u64);
            check(name, &same);
            check(name, &meter);
        }
    }
}

#[tokio::test]
async fn a_long_stream_is_read_by_its_shape_as_well_as_by_its_json() {
    let event = |text: &str, noise: &str| {
        format!(
            "data: {{\"id\":\"c\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{}}},\
             \"finish_reason\":null}}],\"usage\":null{noise}}}\n\n",
            json!(text)
        )
    };
    let words = ["Lemons", " are", "\n", " \"yellow\"", " 黄色", "", "."];
    let mut stream = String::new();
    let mut whole = String::new();
    for round in 0..50 {
        for word in words {
            let noise = match round % 3 {
                0 => String::new(),
                _ => format!(",\"obfuscation\":\"{}\"", "x".repeat(round % 7)),
            };
            stream.push_str(&event(word, &noise));
            whole.push_str(word);
        }
    }
    stream.push_str(
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    );
    stream.push_str("data: [DONE]\n\n");
    let call = call(Dialect::OpenAiChat);
    for size in [1, 7, 300, 4096, 1 << 20] {
        let chunks = stream.as_bytes().chunks(size).map(<[u8]>::to_vec);
        let (meter, response) = Meter::attach(response("x.sse", Chunks::chunks(chunks)), &call);
        assert_eq!(read(response).await, stream);
        let estimate = llm_exchange::TokenEstimate::of(whole.as_bytes());
        assert_eq!(meter.tokens().output, estimate, "chunks of {size}");
        assert_eq!(meter.output_tokens(), estimate);
        assert!(meter.tokens().output_estimated);
        assert_eq!(meter.contents(), 50 * 6);
        assert_eq!(meter.events(), 50 * 7 + 2);
        assert_eq!(meter.end(), Some(End::Complete));
        assert_eq!(meter.finish(), Some(FinishReason::Stop));
    }
}

#[tokio::test]
async fn a_running_usage_counts_by_its_last_and_never_by_the_sum() {
    let event = |tokens: u32| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}}}}],\
             \"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":{tokens}}}}}\n\n"
        )
    };
    let chunks = (1..=9).map(|tokens| event(tokens * 10).into_bytes());
    let call = call(Dialect::OpenAiChat);
    let (meter, response) = Meter::attach(response("x.sse", Chunks::chunks(chunks)), &call);
    let mut body = response.into_body();
    for tokens in 1..=9 {
        body.frame().await.unwrap().unwrap();
        assert_eq!(meter.output_tokens(), tokens * 10);
    }
    assert_eq!(meter.usage().unwrap().total(), 97);
}

#[tokio::test]
async fn a_large_answer_is_charged_by_the_usage_at_its_end() {
    let long = "lemon ".repeat(300_000);
    let answer = json!({
        "id": "c", "model": "m",
        "choices": [{"index": 0, "message": {"content": long}, "finish_reason": "stop"}],
    });
    let mut text = answer.to_string();
    text.pop();
    text.push_str(",\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":300000}}");
    let chunks = text.as_bytes().chunks(16 << 10).map(<[u8]>::to_vec);
    let call = call(Dialect::OpenAiChat);
    let (meter, response) = Meter::attach(response("x.json", Chunks::chunks(chunks)), &call);
    assert_eq!(read(response).await, text);
    let usage = meter.usage().unwrap();
    assert_eq!((usage.input(), usage.output()), (11, 300_000));
    assert_eq!(meter.end(), Some(End::Complete));
}

#[tokio::test]
async fn a_number_that_is_none_loses_only_itself() {
    let answer = "{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\
        \"usage\":{\"prompt_tokens\":\"7\",\"completion_tokens\":3.0,\"total_tokens\":null,\
        \"prompt_tokens_details\":null,\"cost\":\"free\"}}";
    let call = call(Dialect::OpenAiChat);
    let body = Chunks::new().data(answer);
    let (meter, response) = Meter::attach(response("x.json", body), &call);
    read(response).await;
    let usage = meter.usage().unwrap();
    assert_eq!(
        (usage.input(), usage.output(), usage.stated_pico_usd),
        (0, 3, None)
    );
}

#[tokio::test]
async fn a_bad_byte_in_a_text_passes_as_it_came_and_hides_nothing() {
    let event = |text: &[u8]| {
        [
            b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
            text,
            b"\"}}]}\n\n",
        ]
        .concat()
    };
    let call = call(Dialect::OpenAiChat);
    for text in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80"] {
        // alone, and after one of the same shape
        for events in [
            vec![event(text)],
            vec![event(b"a"), event(text), event(b"b")],
        ] {
            let count = events.len() as u64;
            let sent = events.concat();
            let (meter, response) = Meter::attach(response("x.sse", Chunks::chunks(events)), &call);
            assert_eq!(read(response).await, sent);
            assert_eq!((meter.contents(), meter.events()), (count, count));
        }
    }
}

#[tokio::test]
async fn what_else_sets_the_price_is_read_too() {
    let name = "22-anthropic-response.json";
    let body = String::from_utf8(body_of(name)).unwrap();
    let body = body.replace("\"speed\": \"standard\"", "\"speed\": \"fast\"");
    let call = call(Dialect::AnthropicMessages);
    let (meter, response) = Meter::attach(response(name, Chunks::new().data(body)), &call);
    read(response).await;
    assert_eq!(meter.geo().as_deref(), Some("us"));
    assert_eq!(meter.speed().as_deref(), Some("fast"));
    assert_eq!(meter.asked_model(), call.model());
}
