//! A call is changed wherever its API has the value, and nowhere else.

use bytes::Bytes;
use http::Request;
use llm_exchange::{Call, Dialect, NotRewritten, Payload};

use crate::{
    requests::{field, varint},
    support::{framed, path, request},
};

fn body(request: &Request<Payload>) -> &[u8] {
    request.body().whole().unwrap()
}

#[test]
fn the_model_is_changed_where_the_api_has_it() {
    for (dialect, path, before, after_path, after) in [
        (
            Dialect::OpenAiResponses,
            "/v1/responses",
            r#"{ "model" : "a", "input":"x"}"#,
            "/v1/responses",
            r#"{ "model" : "b/c", "input":"x"}"#,
        ),
        (
            Dialect::Ollama,
            "/api/chat",
            r#"{"messages":[],"model":"a"}"#,
            "/api/chat",
            r#"{"messages":[],"model":"b/c"}"#,
        ),
        (
            Dialect::Gemini,
            "/p/v1beta/models/a:generateContent?key=k",
            r#"{"contents":[]}"#,
            "/p/v1beta/models/b%2Fc:generateContent?key=k",
            r#"{"contents":[]}"#,
        ),
        (
            Dialect::OpenAiChat,
            "https://x.openai.azure.com/openai/deployments/a/chat/completions?api-version=1",
            r#"{"model":"ignored"}"#,
            "https://x.openai.azure.com/openai/deployments/b%2Fc/chat/completions?api-version=1",
            r#"{"model":"ignored"}"#,
        ),
        (
            Dialect::BedrockConverse,
            "/model/a/converse-stream",
            "{}",
            "/model/b%2Fc/converse-stream",
            "{}",
        ),
    ] {
        let mut request = request(dialect, path, before);
        Call::set_model(&mut request, "b/c").unwrap();
        assert_eq!(request.uri(), after_path);
        assert_eq!(body(&request), after.as_bytes());
        assert_eq!(Call::of(&request).unwrap().model(), Some("b/c"), "{path}");
        assert_eq!(
            request.headers()["content-length"],
            after.len().to_string().as_str()
        );
    }
}

#[test]
fn the_model_of_a_grpc_call_keeps_its_resource() {
    let rest = field(2, &field(1, &field(2, b"hi")));
    let message = |model: &[u8]| framed(&[field(1, model), rest.clone()].concat());
    let path = path(Dialect::GeminiGrpc, true);
    let mut request = request(Dialect::GeminiGrpc, &path, message(b"models/flash"));
    Call::set_model(&mut request, "pro").unwrap();
    assert_eq!(body(&request), message(b"models/pro"));
    assert_eq!(Call::of(&request).unwrap().model(), Some("pro"));
    Call::set_model(&mut request, "tunedModels/mine").unwrap();
    assert_eq!(body(&request), message(b"tunedModels/mine"));
    let length = request.headers()["content-length"].to_str().unwrap();
    assert_eq!(length, body(&request).len().to_string());
}

#[test]
fn the_cap_is_set_under_the_name_that_stands_there() {
    for (dialect, path, before, after) in [
        (
            Dialect::OpenAiChat,
            "/v1/chat/completions",
            r#"{"max_tokens":9}"#,
            r#"{"max_tokens":5}"#,
        ),
        (
            Dialect::OpenAiChat,
            "/v1/chat/completions",
            r#"{"max_tokens":9,"max_completion_tokens":8}"#,
            r#"{"max_tokens":5,"max_completion_tokens":5}"#,
        ),
        (
            Dialect::OpenAiChat,
            "/v1/chat/completions",
            r#"{"a":1}"#,
            r#"{"max_completion_tokens":5,"a":1}"#,
        ),
        (
            Dialect::OpenAiChat,
            "https://api.mistral.ai/v1/chat/completions",
            r#"{"a":1}"#,
            r#"{"max_tokens":5,"a":1}"#,
        ),
        (
            Dialect::OpenAiChat,
            "http://localhost:11434/v1/chat/completions",
            r#"{"a":1}"#,
            r#"{"max_tokens":5,"a":1}"#,
        ),
        (
            Dialect::OpenAiResponses,
            "/v1/responses",
            "{}",
            r#"{"max_output_tokens":5}"#,
        ),
        (
            Dialect::Gemini,
            "/v1beta/models/a:generateContent",
            r#"{"generationConfig":{"temperature":1}}"#,
            r#"{"generationConfig":{"maxOutputTokens":5,"temperature":1}}"#,
        ),
        (
            Dialect::Gemini,
            "/v1beta/models/a:generateContent",
            r#"{"generation_config":{"max_output_tokens":9}}"#,
            r#"{"generation_config":{"max_output_tokens":5}}"#,
        ),
        (
            Dialect::Gemini,
            "/v1beta/models/a:generateContent",
            r#"{"generation_config":null}"#,
            r#"{"generation_config":{"maxOutputTokens":5}}"#,
        ),
        (
            Dialect::Ollama,
            "/api/chat",
            r#"{"options":{"num_predict":-1}}"#,
            r#"{"options":{"num_predict":5}}"#,
        ),
        (
            Dialect::BedrockConverse,
            "/model/a/converse",
            "{}",
            r#"{"inferenceConfig":{"maxTokens":5}}"#,
        ),
    ] {
        let mut request = request(dialect, path, before);
        Call::set_output_cap(&mut request, 5).unwrap();
        assert_eq!(body(&request), after.as_bytes(), "{path}");
        assert_eq!(Call::of(&request).unwrap().output_cap(), Some(5));
    }
}

#[test]
fn the_cap_of_a_grpc_call_is_a_field_of_its_configuration() {
    let config = |cap| field(4, &[varint(4, 2), varint(5, cap)].concat());
    let path = path(Dialect::VertexGrpc, false);
    let mut request = request(Dialect::VertexGrpc, &path, framed(&config(99)));
    Call::set_output_cap(&mut request, 5).unwrap();
    assert_eq!(body(&request), framed(&config(5)));
    let call = Call::of(&request).unwrap();
    assert_eq!((call.output_cap(), call.choices()), (Some(5), 2));
}

#[test]
fn what_has_no_such_value_is_left_as_it_was() {
    let unchanged = |dialect, before: Bytes, cap: bool| {
        let mut request = request(dialect, &path(dialect, false), before.clone());
        let changed = if cap {
            Call::set_output_cap(&mut request, 5)
        } else {
            Call::set_model(&mut request, "")
        };
        assert_eq!(changed, Err(NotRewritten::NotRead), "{dialect:?}");
        assert_eq!(body(&request), before);
    };
    unchanged(Dialect::OpenAiEmbeddings, "{}".into(), true);
    unchanged(Dialect::KServeGrpc, framed(&[]), true);
    unchanged(Dialect::Gemini, "{}".into(), false);
    // a parameter is a member of JSON
    let mut request = request(
        Dialect::GeminiGrpc,
        &path(Dialect::GeminiGrpc, false),
        framed(&[]),
    );
    let set = Call::set_parameter(&mut request, "temperature", "1");
    assert_eq!(set, Err(NotRewritten::NotRead));
}

#[test]
fn usage_is_asked_for_where_that_is_needed_and_taken() {
    for (path, asked) in [
        ("https://api.openai.com/v1/chat/completions", true),
        ("https://api.openai.com/v1/completions", true),
        ("https://openrouter.ai/api/v1/chat/completions", false),
        ("https://api.mistral.ai/v1/chat/completions", false),
        ("https://api.openai.com/v1/responses", false),
        ("http://localhost:11434/api/chat", false),
    ] {
        let mut request = request(Dialect::OpenAiChat, path, r#"{"stream":true}"#);
        assert_eq!(Call::ask_usage(&mut request), Ok(asked), "{path}");
        let body = String::from_utf8(body(&request).to_vec()).unwrap();
        assert_eq!(body.contains("include_usage"), asked, "{path}");
    }
}

#[test]
fn a_signed_request_is_never_changed() {
    let mut request = request(Dialect::BedrockConverse, "/model/a/converse", "{}");
    let signature = "AWS4-HMAC-SHA256 Credential=x".parse().unwrap();
    request.headers_mut().insert("authorization", signature);
    assert_eq!(
        Call::set_model(&mut request, "b"),
        Err(NotRewritten::Signed)
    );
    assert_eq!(
        Call::set_output_cap(&mut request, 1),
        Err(NotRewritten::Signed)
    );
    assert_eq!(request.uri(), "/model/a/converse");
}
