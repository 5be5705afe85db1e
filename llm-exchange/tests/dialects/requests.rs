//! What requests of every dialect ask for.

use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body_util::Full;
use llm_exchange::{AskedModel, Call, Dialect, Host, Payload, Unreadable, Verdict};

use crate::support::{GEMINI, call, framed, path, request};

/// Model, end user, stream, cap, choices.
type Asked<'a> = (Option<&'a str>, Option<&'a str>, bool, Option<u64>, u32);

fn asked(call: &Call) -> Asked<'_> {
    assert_eq!(call.unreadable(), None);
    (
        call.model(),
        call.end_user(),
        call.is_stream(),
        call.output_cap(),
        call.choices(),
    )
}

#[test]
fn the_facts_of_a_call_are_read_wherever_its_api_has_them() {
    let vertex =
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude%40x:streamRawPredict";
    for (dialect, path, body, expected) in [
        (
            Dialect::OpenAiResponses,
            "/v1/responses",
            r#"{"model":"gpt","input":"hi","max_output_tokens":7,"stream":true,"user":"u"}"#,
            (Some("gpt"), Some("u"), true, Some(7), 1),
        ),
        (
            Dialect::OpenAiCompletions,
            "/v1/completions",
            r#"{"model":"old","prompt":["a","b"],"n":2,"best_of":5}"#,
            (Some("old"), None, false, Some(16), 5),
        ),
        (
            Dialect::OpenAiEmbeddings,
            "/v1/embeddings",
            r#"{"model":"embed","input":[1,2,3]}"#,
            (Some("embed"), None, false, Some(0), 1),
        ),
        (
            Dialect::OpenAiChat,
            "/openai/deployments/my%20gpt/chat/completions?api-version=1",
            r#"{"model":"ignored","messages":[],"stream":true}"#,
            (Some("my gpt"), None, true, None, 1),
        ),
        (
            Dialect::AnthropicMessages,
            vertex,
            r#"{"anthropic_version":"v","messages":[],"max_tokens":9,"metadata":{"user_id":"u"}}"#,
            (Some("claude@x"), Some("u"), true, Some(9), 1),
        ),
        (
            Dialect::AnthropicMessages,
            "/model/eu.anthropic.claude-v1%3A0/invoke",
            r#"{"messages":[],"max_tokens":9}"#,
            (Some("eu.anthropic.claude-v1:0"), None, false, Some(9), 1),
        ),
        (
            Dialect::Gemini,
            "/v1beta/models/flash:streamGenerateContent?alt=sse",
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":5,"candidateCount":2}}"#,
            (Some("flash"), None, true, Some(5), 2),
        ),
        (
            Dialect::Gemini,
            "/v1beta/models/flash:generateContent",
            r#"{"contents":[],"generation_config":{"max_output_tokens":5}}"#,
            (Some("flash"), None, false, Some(5), 1),
        ),
        (
            Dialect::Ollama,
            "/api/chat",
            r#"{"model":"llama","messages":[],"options":{"num_predict":-1}}"#,
            (Some("llama"), None, true, None, 1),
        ),
        (
            Dialect::Ollama,
            "/api/generate",
            r#"{"model":"llama","prompt":"hi","stream":false,"options":{"num_predict":8}}"#,
            (Some("llama"), None, false, Some(8), 1),
        ),
        (
            Dialect::BedrockConverse,
            "/model/nova%2Fx/converse-stream",
            r#"{"messages":[],"inferenceConfig":{"maxTokens":3}}"#,
            (Some("nova/x"), None, true, Some(3), 1),
        ),
    ] {
        let request = request(dialect, path, body);
        let call = Call::of(&request).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(call.dialect(), dialect, "{path}");
        assert_eq!(asked(call), expected, "{path}");
    }
}

/// A field of a message: a text or another message.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(length < 128);
    [&[number << 3 | 2, length], bytes].concat()
}

pub(crate) fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

#[test]
fn both_numberings_of_grpc_are_read() {
    let gemini = [
        field(1, b"models/flash"),
        field(2, &field(1, &field(2, b"a prompt of some bytes"))),
        field(4, &[varint(1, 2), varint(4, 9)].concat()),
    ];
    let request = request(
        Dialect::GeminiGrpc,
        &path(Dialect::GeminiGrpc, true),
        framed(&gemini.concat()),
    );
    let call = Call::of(&request).unwrap();
    assert_eq!(asked(call), (Some("flash"), None, true, Some(9), 2));
    assert!(call.prompt_bytes() > 20);

    let vertex = [
        field(2, &field(2, &field(1, b"hi"))),
        field(4, &[varint(4, 3), varint(5, 8)].concat()),
        field(5, b"projects/p/locations/l/publishers/google/models/pro"),
    ];
    let path = path(Dialect::VertexGrpc, false);
    let request = crate::support::request(Dialect::VertexGrpc, &path, framed(&vertex.concat()));
    let call = Call::of(&request).unwrap();
    assert_eq!(asked(call), (Some("pro"), None, false, Some(8), 3));
}

#[test]
fn what_is_not_exactly_one_message_is_not_read_and_passes_on() {
    let path = path(Dialect::GeminiGrpc, false);
    let message = framed(&field(1, b"models/flash"));
    let mut compressed = message.to_vec();
    compressed[0] = 1;
    let malformed = framed(&[0x0a, 9, 1]);
    let two = [message.clone(), message.clone()].concat();
    for (body, why) in [
        (Bytes::new(), Unreadable::Syntax),
        (message.slice(..message.len() - 1), Unreadable::Syntax),
        (two.into(), Unreadable::Syntax),
        (malformed, Unreadable::Syntax),
        (compressed.into(), Unreadable::Encoded),
    ] {
        let request = request(Dialect::GeminiGrpc, &path, body.clone());
        let call = Call::of(&request).unwrap();
        assert_eq!(call.unreadable(), Some(why));
        assert_eq!(request.body().whole(), Some(&body));
    }
}

#[test]
fn a_call_that_goes_both_ways_is_known_and_not_waited_for() {
    // its upload never ends
    let body = testkit::ScriptedBody::new().data(framed(b"x")).hang();
    let request = Request::post("/inference.GRPCInferenceService/ModelStreamInfer")
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    let request = Payload::read(request, 1 << 20).now_or_never().unwrap();
    let call = Call::of(&request).unwrap();
    assert_eq!(call.dialect(), Dialect::KServeStreamGrpc);
    assert_eq!(call.unreadable(), Some(Unreadable::BothWays));
    assert_eq!((call.model(), call.is_stream()), (None, false));
    assert!(!request.body().is_replayable());
}

#[test]
fn a_grpc_call_is_known_behind_the_path_of_a_proxy() {
    let mut request = request(
        Dialect::GeminiGrpc,
        &format!("/first{GEMINI}/StreamGenerateContent"),
        framed(&field(1, b"models/m")),
    );
    assert_eq!(Call::of(&request).unwrap().model(), Some("m"));
    // as a gateway sends it on, to a provider that is behind another one
    let host: Host = "https://h.example/a/second".parse().unwrap();
    host.redirect(&mut request).unwrap();
    let whole = format!("https://h.example/a/second{GEMINI}/StreamGenerateContent");
    assert_eq!(request.uri(), &*whole);
    assert_eq!(Call::of(&request).unwrap().model(), Some("m"));
    Call::set_model(&mut request, "other").unwrap();
    assert_eq!(Call::of(&request).unwrap().model(), Some("other"));
    assert_eq!(request.uri(), &*whole);
}

#[test]
fn where_a_layer_sent_a_call_is_known_whatever_else_is_changed_of_it() {
    for (dialect, path, body) in [
        (
            Dialect::OpenAiChat,
            "/v1/chat/completions",
            r#"{"model":"m","messages":[]}"#,
        ),
        (
            Dialect::Gemini,
            "/v1beta/models/m:generateContent",
            r#"{"contents":[]}"#,
        ),
    ] {
        let mut request = Request::post(format!("https://first.example{path}"))
            .body(Full::from(body))
            .map(|request| Payload::read(request, 1 << 20).now_or_never().unwrap())
            .unwrap();
        let first = Call::of(&request).unwrap().clone();
        assert_eq!((first.dialect(), first.host()), (dialect, None));
        let host: Host = "https://second.example:8443".parse().unwrap();
        Call::redirect(&mut request, &host).unwrap();
        Call::set_model(&mut request, "n").unwrap();
        Call::set_output_cap(&mut request, 7).unwrap();
        let call = Call::of(&request).unwrap();
        assert_eq!(call.host(), Some("second.example:8443"));
        assert_eq!((call.model(), call.output_cap()), (Some("n"), Some(7)));
        assert_eq!(first.host(), None);

        first.attempts().leave_behind(call, Verdict::Failed, None);
        first.attempts().asks(call);
        let left = first.attempts().left_behind();
        assert_eq!(left[0].host.as_deref(), call.host());
        let last = first.attempts().last_asked().unwrap();
        assert_eq!((last.model(), last.host()), ("n", call.host()));
    }
}

#[test]
fn where_a_call_without_a_model_was_sent_is_known() {
    let request = Request::post("https://first.example/v1/chat/completions")
        .body(Full::from(r#"{"messages":[]}"#))
        .unwrap();
    let mut request = Payload::read(request, 1 << 20).now_or_never().unwrap();
    assert_eq!(AskedModel::of(Call::of(&request).unwrap()), None);
    let host: Host = "https://second.example".parse().unwrap();
    Call::redirect(&mut request, &host).unwrap();
    let call = Call::of(&request).unwrap();
    call.attempts().asks(call);
    let last = call.attempts().last_asked().unwrap();
    assert_eq!((last.model(), last.host()), ("", call.host()));
}

#[test]
fn a_json_body_on_a_grpc_path_is_none_of_ours() {
    let request = Request::post(format!("{GEMINI}/GenerateContent"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from("{}")))
        .unwrap();
    let request = Payload::read(request, 1 << 20).now_or_never().unwrap();
    assert!(Call::of(&request).is_none());
    // gRPC-Web has its trailers in the body
    let request = Request::post(format!("{GEMINI}/GenerateContent"))
        .header("content-type", "application/grpc-web+proto")
        .body(Full::new(framed(&[])))
        .unwrap();
    let request = Payload::read(request, 1 << 20).now_or_never().unwrap();
    assert!(Call::of(&request).is_none());
}

#[test]
fn a_cap_that_stands_twice_makes_a_call_unreadable() {
    for (dialect, body) in [
        (
            Dialect::OpenAiResponses,
            r#"{"max_output_tokens":1,"max_output_tokens":2}"#,
        ),
        (
            Dialect::Gemini,
            r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":2}}"#,
        ),
        (
            Dialect::Gemini,
            r#"{"generationConfig":{},"generation_config":{}}"#,
        ),
        (
            Dialect::Ollama,
            r#"{"options":{"num_predict":1,"num_predict":2}}"#,
        ),
        (
            Dialect::BedrockConverse,
            r#"{"inferenceConfig":{"maxTokens":1,"maxTokens":2}}"#,
        ),
    ] {
        let request = request(dialect, &path(dialect, false), body);
        let call = Call::of(&request).unwrap();
        assert_eq!(call.unreadable(), Some(Unreadable::Fields), "{body}");
    }
}

#[test]
fn the_facts_are_of_the_path_that_was_read() {
    let mut request = request(Dialect::Gemini, "/v1beta/models/a:generateContent", "{}");
    assert_eq!(Call::of(&request).unwrap().model(), Some("a"));
    for other in [
        "/v1beta/models/b:generateContent",
        "/v1beta/models/a:streamGenerateContent",
        "/v1/chat/completions",
    ] {
        *request.uri_mut() = other.parse().unwrap();
        assert!(Call::of(&request).is_none(), "{other}");
    }
    *request.uri_mut() = "/v1beta/models/b:generateContent".parse().unwrap();
    let request = Payload::read(request, 1 << 20).now_or_never().unwrap();
    assert_eq!(Call::of(&request).unwrap().model(), Some("b"));
}

#[test]
fn usage_comes_unasked_but_from_openai() {
    for &dialect in Dialect::ALL {
        let call = call(dialect, true);
        let asks = matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions);
        assert_eq!(call.asks_usage(), call.is_stream() && !asks, "{dialect:?}");
    }
}

#[test]
fn names_are_short_and_distinct() {
    let mut names: Vec<_> = Dialect::ALL
        .iter()
        .map(|dialect| dialect.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Dialect::ALL.len());
}
