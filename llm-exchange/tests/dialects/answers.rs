//! Every file of `tests/transcripts` says what `expected.json` has of it, however it is cut.

use std::sync::Arc;

use http::HeaderMap;
use llm_exchange::{
    Call, Delay, Dialect, End, FinishReason, LimitOf, Meter, PeekLimits, Peeked, RateLimit,
    Verdict, peek, stream::PieceReader,
};
use serde_json::{Value, json};

use crate::{
    collected::{deltas, framing},
    support::{call, chunks, cuts, media_type, met, response},
    transcripts::{bytes, clock, expected, http},
};

/// Whose answer a file is, by its name.
pub(crate) fn dialect_of(name: &str) -> Dialect {
    for (part, dialect) in [
        ("openai-responses", Dialect::OpenAiResponses),
        ("openai-completions", Dialect::OpenAiCompletions),
        ("openai-embeddings", Dialect::OpenAiEmbeddings),
        ("anthropic", Dialect::AnthropicMessages),
        ("gemini", Dialect::Gemini),
        ("ollama", Dialect::Ollama),
        ("bedrock", Dialect::BedrockConverse),
        ("grpc-aiplatform", Dialect::VertexGrpc),
        ("grpc-generativelanguage", Dialect::GeminiGrpc),
    ] {
        if name.contains(part) {
            return dialect;
        }
    }
    // the servers that speak it are named by themselves
    Dialect::OpenAiChat
}

/// What is said of a file that no code here can read: remarks, and what the crates of the layers test.
const ELSEWHERE: [&str; 9] = [
    "what",
    "trap",
    "note",
    "check",
    "cost_microusd",
    "breaker",
    "fallback",
    // passed on as they came, and read by nobody
    "request_id",
    "quota_id",
];

/// What is checked by itself: how, the functions below say.
const HERE: [&str; 12] = [
    "kind",
    "status",
    "text",
    "tool_args",
    "retryable",
    "delay_ms",
    "usage_missing",
    "cacheable",
    "reset_requests_ms",
    "reset_tokens_ms",
    "reset_input_tokens_ms",
    "remaining_tokens",
];

struct Transcript {
    name: String,
    expected: Value,
    call: Arc<Call>,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Transcript {
    fn of(name: &str) -> Self {
        let dialect = dialect_of(name);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let body = match name.rsplit('.').next() {
            Some("http") => http(name).body,
            Some("hex") => hex(&bytes(name)),
            _ => bytes(name),
        };
        Self {
            name: name.to_owned(),
            expected: expected(name),
            call: call(dialect, name.contains("stream")),
            body,
            trailers: dialect.is_grpc().then_some(trailers),
        }
    }

    async fn read(&self, parts: Vec<Vec<u8>>) -> Meter {
        let body = chunks(parts, self.trailers.as_ref());
        met(media_type(&self.name), body, &self.call).await
    }

    fn check(&self, meter: &Meter) {
        let known = known(meter, &self.expected);
        for (key, value) in self.expected.as_object().unwrap() {
            if !ELSEWHERE.contains(&key.as_str()) && !HERE.contains(&key.as_str()) {
                let known = known.get(key).unwrap_or(&Value::Null);
                assert_eq!(known, value, "{}: {key}", self.name);
            }
        }
        if self.expected["usage_missing"] == true {
            assert!(meter.usage().is_none() && meter.tokens().is_estimated());
        }
        if self.expected["cacheable"] == false {
            let whole = meter.end() == Some(End::Complete);
            let done = matches!(
                meter.finish(),
                Some(FinishReason::Stop | FinishReason::Tool)
            );
            assert!(!whole || !done, "{}: not to be cached", self.name);
        }
    }
}

impl Transcript {
    /// What a client reads of the stream, where the file has it: the texts of the choices, a tool's arguments.
    fn check_deltas(&self, parts: &[Vec<u8>]) {
        let [texts, arguments] = ["text", "tool_args"].map(|key| self.expected.get(key));
        if texts.is_none() && arguments.is_none() {
            return;
        }
        let mut pieces = PieceReader::new(framing(&self.name));
        let mut datas = Vec::new();
        for part in parts {
            pieces.push(part.clone().into());
            datas.extend(std::iter::from_fn(|| pieces.next_piece()).map(Result::unwrap));
        }
        datas.extend(pieces.finish().unwrap());
        let (said, calls) = deltas(dialect_of(&self.name), &datas);
        if let Some(texts) = texts {
            assert_eq!(json!(said), *texts, "{}", self.name);
        }
        if let Some(arguments) = arguments {
            let [[_, only]] = &*calls else {
                panic!("{}: {calls:?}", self.name);
            };
            assert_eq!(json!(only), *arguments, "{}", self.name);
        }
    }

    /// The provider's own limits, as the head of an error answer tells of them.
    fn check_limits(&self, headers: &HeaderMap) {
        let clock = clock();
        let resets = |of: LimitOf| {
            let limits = RateLimit::read(headers, &clock).filter(move |limit| limit.of == of);
            let resets = limits.filter_map(|limit| limit.full_in);
            let resets = resets.map(|full_in| json!(full_in.as_millis() as u64));
            resets.collect::<Vec<_>>()
        };
        for (key, of) in [
            ("reset_requests_ms", LimitOf::Requests),
            ("reset_tokens_ms", LimitOf::Tokens),
            ("reset_input_tokens_ms", LimitOf::Tokens),
        ] {
            let Some(expected) = self.expected.get(key) else {
                continue;
            };
            // a reset that is past is none to wait for
            let reset = resets(of).contains(expected) || *expected == 0 && resets(of).is_empty();
            assert!(reset, "{}: {key}", self.name);
        }
        if self.expected.get("remaining_tokens") == Some(&Value::Null) {
            let mut limits = RateLimit::read(headers, &clock);
            assert!(limits.all(|limit| limit.of != LimitOf::Tokens));
        }
    }
}

pub(crate) fn hex(text: &[u8]) -> Vec<u8> {
    let digits: Vec<_> = text
        .iter()
        .filter(|byte| byte.is_ascii_hexdigit())
        .collect();
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    digits
        .chunks(2)
        .map(|two| digit(*two[0]) << 4 | digit(*two[1]))
        .collect()
}

/// What the meter knows, in the words of `expected.json`.
fn known(meter: &Meter, expected: &Value) -> Value {
    let at_once = {
        let said = meter.said();
        let finishes: Vec<_> = said.finish_reasons().map(str::to_owned).collect();
        let [model, id, tier] =
            [said.model(), said.id(), said.service_tier()].map(|text| text.map(str::to_owned));
        (model, id, tier, finishes)
    };
    let (model, id, tier) = (meter.model(), meter.id(), meter.service_tier());
    assert_eq!(at_once, (model, id, tier, meter.finish_reasons()));
    let error = meter.error();
    let name = error.as_ref().and_then(|error| {
        // Ollama's error is nothing but a message
        error.code().or(error.message()).map(str::to_owned)
    });
    // of a response that failed, all came: that is what the file means by complete
    let failed_whole = expected["finish"] == "failed" && meter.is_over();
    let mut known = json!({
        "model": meter.model(),
        "complete": meter.end() == Some(End::Complete) || failed_whole,
        "error": name,
        "maps_to_status": error.and_then(|error| error.status()).map(|status| status.as_u16()),
        "service_tier": meter.service_tier(),
        "finish": finish(meter, expected),
    });
    if let Some(usage) = meter.usage() {
        let more = json!({
            "input": usage.input(),
            "cached": usage.cached,
            "cache_write": usage.cache_write + usage.cache_write_long,
            "cache_write_5m": usage.cache_write,
            "cache_write_1h": usage.cache_write_long,
            "cache_write_30m": usage.cache_write,
            "cache_write_12h": usage.cache_write_long,
            "uncached_input": usage.uncached,
            "output": usage.output(),
            "reasoning": usage.reasoning,
            "web_search_requests": usage.web_searches,
            "cost_usd": usage.stated_pico_usd.map(|pico| pico as f64 / 1e12),
        });
        let more = more.as_object().unwrap().clone();
        known.as_object_mut().unwrap().extend(more);
    }
    known
}

fn finish(meter: &Meter, expected: &Value) -> Value {
    let finish = meter.finish_reasons();
    match (&expected["finish"], finish.as_slice()) {
        (_, []) => Value::Null,
        // over gRPC it is a number, and the name is ours
        (Value::String(told), [only]) if told.ends_with("(1)") => json!(format!("{only}(1)")),
        (Value::String(_) | Value::Null, [only]) => json!(only),
        _ => json!(finish),
    }
}

/// Who runs a file, by its kind.
fn runner(name: &str) -> &'static str {
    match expected(name)["kind"].as_str() {
        None | Some("grpc-message") if is_error_answer(name) => "a look",
        None | Some("grpc-message") => "a meter",
        // these are no answers' bodies
        Some("request") => include_str!("../exchange/calls.rs"),
        Some("sse") => include_str!("../sse/transcript.rs"),
        Some("grpc") => include_str!("../grpc_status.rs"),
        Some(other) => panic!("{name}: nobody runs a {other}"),
    }
}

/// The files whose answers are read here.
fn names() -> Vec<String> {
    let all: Value = serde_json::from_slice(&bytes("expected.json")).unwrap();
    let names = all.as_object().unwrap().keys().cloned();
    names
        .filter(|name| matches!(runner(name), "a look" | "a meter"))
        .collect()
}

fn is_error_answer(name: &str) -> bool {
    name.ends_with(".http") && http(name).status != 200
}

#[test]
fn every_file_is_expected_and_every_expectation_has_its_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "expected.json")
        .collect();
    files.sort();
    let all: Value = serde_json::from_slice(&bytes("expected.json")).unwrap();
    let mut named: Vec<_> = all.as_object().unwrap().keys().cloned().collect();
    named.sort();
    assert_eq!(files, named);
}

#[test]
fn every_file_is_run_by_somebody_and_everything_said_of_an_error_answer_is_checked() {
    let all: Value = serde_json::from_slice(&bytes("expected.json")).unwrap();
    for (name, expected) in all.as_object().unwrap() {
        match runner(name) {
            "a meter" => {}
            "a look" => {
                // without it the look would not be taken
                assert!(expected["retryable"].is_boolean(), "{name}");
                assert!(expected["error"].is_string(), "{name}");
                for key in expected.as_object().unwrap().keys() {
                    let key = key.as_str();
                    let known = ELSEWHERE.contains(&key) || HERE.contains(&key) || key == "error";
                    assert!(known, "{name}: nobody checks {key}");
                }
                assert_eq!(expected["status"], http(name).status.as_u16(), "{name}");
            }
            file => assert!(file.contains(name.as_str()), "{name} is in no test"),
        }
    }
}

#[tokio::test]
async fn every_answer_is_read_alike_in_one_piece_byte_by_byte_and_cut_anywhere() {
    assert!(names().len() > 40, "the files are there");
    for name in names().iter().filter(|name| !is_error_answer(name)) {
        let transcript = Transcript::of(name);
        for parts in cuts(&transcript.body) {
            transcript.check_deltas(&parts);
            let meter = transcript.read(parts).await;
            transcript.check(&meter);
        }
    }
}

#[tokio::test]
async fn what_is_cut_off_is_never_complete() {
    for name in names().iter().filter(|name| !is_error_answer(name)) {
        let transcript = Transcript::of(name);
        if transcript.expected["complete"] != true || transcript.expected["error"].is_string() {
            continue;
        }
        let body = transcript.body.trim_ascii_end();
        // the last byte that says something is missing, and everything after
        for end in [body.len() - 1, body.len() / 2, body.len() / 3, 0] {
            let mut cut = Transcript::of(name);
            // a body that breaks off has no trailers
            cut.trailers = None;
            let meter = cut.read(vec![body[..end].to_vec()]).await;
            assert_eq!(meter.end(), Some(End::Truncated), "{name} cut at {end}");
            assert_eq!(meter.verdict(), Verdict::Failed);
        }
    }
}

async fn looked_at(transcript: &Transcript, parts: Vec<Vec<u8>>) -> Peeked {
    let body = chunks(parts, transcript.trailers.as_ref());
    let mut answer = response(media_type(&transcript.name), body);
    if transcript.name.ends_with(".http") {
        let head = http(&transcript.name);
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
    }
    peek(answer, &transcript.call, PeekLimits::default(), &clock())
        .await
        .0
}

#[tokio::test]
async fn a_look_tells_whether_to_send_again_and_when() {
    for name in names() {
        let transcript = Transcript::of(&name);
        let expected = &transcript.expected;
        if expected.get("retryable").is_none() {
            continue;
        }
        if name.ends_with(".http") {
            transcript.check_limits(&http(&name).headers);
        }
        // "only if nothing was forwarded": content came before it, and with it the answer is committed
        let only_before = expected["retryable"].is_string();
        for parts in cuts(&transcript.body) {
            let peeked = looked_at(&transcript, parts).await;
            let again = matches!(
                peeked.verdict(),
                Verdict::Throttled | Verdict::Overloaded | Verdict::Failed | Verdict::TimedOut
            ) && peeked.hints().should_retry() != Some(false);
            if only_before {
                assert!(!again, "{name}");
                continue;
            }
            assert_eq!(json!(again), expected["retryable"], "{name}");
            let delay = match peeked.hints().delay() {
                Some(Delay::Asked(delay) | Delay::AtMost(delay)) => json!(delay.as_millis() as u64),
                _ => Value::Null,
            };
            assert_eq!(
                &delay,
                expected.get("delay_ms").unwrap_or(&Value::Null),
                "{name}"
            );
            let code = peeked.error().and_then(|error| error.code());
            assert_eq!(json!(code), expected["error"], "{name}");
        }
    }
}

#[tokio::test]
async fn line_ends_of_any_kind_make_no_difference() {
    for name in names().iter().filter(|name| name.ends_with(".sse")) {
        let transcript = Transcript::of(name);
        let text = String::from_utf8(transcript.body.clone()).unwrap();
        let plain = text.replace("\r\n", "\n");
        for end in ["\n", "\r\n", "\r"] {
            let body = plain.replace('\n', end).into_bytes();
            for parts in [
                vec![body.clone()],
                body.chunks(1).map(<[u8]>::to_vec).collect(),
            ] {
                transcript.check(&transcript.read(parts).await);
            }
        }
    }
}
