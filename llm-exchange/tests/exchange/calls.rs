//! What a request asks for.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use llm_exchange::{Call, Dialect, NotRewritten, Payload, Unreadable};

use crate::transcripts;

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";

fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let body = body.into();
    Request::post(path)
        .header("content-type", "application/json; charset=utf-8")
        .header("content-length", body.len())
        .body(Full::new(body))
        .unwrap()
}

async fn read(path: &str, body: impl Into<Bytes>) -> Request<Payload> {
    Payload::read(post(path, body), 1 << 20).await
}

/// A streamed call of the dialect, for tests of answers.
pub(crate) fn call(dialect: Dialect) -> Arc<Call> {
    let (path, body) = match dialect {
        Dialect::OpenAiChat => (OPENAI, r#"{"model":"m","messages":[],"stream":true}"#),
        _ => (
            ANTHROPIC,
            r#"{"model":"m","messages":[],"max_tokens":9,"stream":true}"#,
        ),
    };
    let request = read(path, body).now_or_never().unwrap();
    Arc::clone(Call::of(&request).unwrap())
}

#[tokio::test]
async fn the_transcripts_ask_for_what_is_expected() {
    for (name, path, dialect) in [
        ("01-openai-chat-request.json", OPENAI, Dialect::OpenAiChat),
        (
            "21-anthropic-request.json",
            ANTHROPIC,
            Dialect::AnthropicMessages,
        ),
    ] {
        let request = read(path, transcripts::bytes(name)).await;
        let call = Call::of(&request).unwrap();
        let expected = transcripts::expected(name);
        assert_eq!(call.dialect(), dialect);
        assert_eq!(call.model(), expected["model"].as_str());
        assert_eq!(call.end_user(), expected["end_user"].as_str());
        assert_eq!(call.is_stream(), expected["stream"].as_bool().unwrap());
        if let Some(asks) = expected["include_usage"].as_bool() {
            assert_eq!(call.asks_usage(), asks);
        }
        if let Some(choices) = expected["n"].as_u64() {
            assert_eq!(u64::from(call.choices()), choices);
        }
        let reserve = call.output_cap().unwrap() * u64::from(call.choices());
        assert_eq!(reserve, expected["output_reserve"].as_u64().unwrap());
        assert!(call.prompt_bytes() > 50);
        assert_eq!(call.unreadable(), None);
    }
}

#[tokio::test]
async fn the_facts_are_the_same_however_the_upload_is_cut() {
    let body = transcripts::bytes("21-anthropic-request.json");
    for cut in 0..=body.len() {
        let upload = testkit::ScriptedBody::<testkit::BoxError>::new()
            .data(body[..cut].to_vec())
            .data(body[cut..].to_vec());
        let request = post(ANTHROPIC, body.clone()).map(|_| upload);
        let request = Payload::read(request, 1 << 20).await;
        assert_eq!(Call::of(&request).unwrap().model(), Some("claude-opus-5-5"));
        assert_eq!(request.into_body().whole().unwrap(), &body);
    }
}

#[tokio::test]
async fn a_field_that_stands_twice_makes_the_request_unreadable() {
    for body in [
        r#"{"model":"a","max_tokens":1,"max_tokens":100000}"#,
        r#"{"model":"a","max_tokens":1,"max_t\u006fkens":100000}"#,
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","stream_options":{"include_usage":true,"include_usage":false}}"#,
        r#"{"model":["a"]}"#,
        r#"{"max_tokens":"100000"}"#,
        r#"{"n":-1}"#,
        r#"{"stream":"yes"}"#,
        "[]",
    ] {
        let request = read(OPENAI, body).await;
        let call = Call::of(&request).unwrap();
        assert_eq!(call.unreadable(), Some(Unreadable::Fields), "{body}");
        assert_eq!((call.model(), call.output_cap()), (None, None));
    }
    // what is not known may stand as often as it likes
    let request = read(OPENAI, r#"{"model":"a","x":1,"x":2}"#).await;
    assert_eq!(Call::of(&request).unwrap().unreadable(), None);
}

#[tokio::test]
async fn what_is_no_json_is_unreadable_and_passed_on() {
    for body in [
        "",
        "{",
        "model=a",
        "{\"model\":\"a\"}}",
        "\u{feff}{}",
        "nul",
    ] {
        let request = read(OPENAI, body).await;
        assert_eq!(
            Call::of(&request).unwrap().unreadable(),
            Some(Unreadable::Syntax),
            "{body}"
        );
        assert_eq!(
            request.into_body().collect().await.unwrap().to_bytes(),
            body
        );
    }
}

#[tokio::test]
async fn a_compressed_request_is_kept_but_not_read_and_never_rewritten() {
    let mut request = post(OPENAI, "junk");
    request
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    let mut request = Payload::read(request, 1 << 20).await;
    assert_eq!(
        Call::of(&request).unwrap().unreadable(),
        Some(Unreadable::Encoded)
    );
    assert!(request.body().is_replayable());
    assert_eq!(
        Call::set_model(&mut request, "b"),
        Err(NotRewritten::NotRead)
    );
}

#[tokio::test]
async fn old_and_new_names_of_the_cap_count_by_the_larger() {
    let request = read(OPENAI, r#"{"max_tokens":1,"max_completion_tokens":9}"#).await;
    assert_eq!(Call::of(&request).unwrap().output_cap(), Some(9));
    let request = read(OPENAI, r#"{"max_tokens":12.0}"#).await;
    assert_eq!(Call::of(&request).unwrap().output_cap(), Some(12));
    let request = read(
        OPENAI,
        r#"{"max_tokens":null,"n":null,"stream":null,"model":null}"#,
    )
    .await;
    let call = Call::of(&request).unwrap();
    assert_eq!(
        (call.output_cap(), call.choices(), call.model()),
        (None, 1, None)
    );
}

#[tokio::test]
async fn the_safety_identifier_is_the_user_before_the_older_field() {
    let request = read(OPENAI, r#"{"user":"old","safety_identifier":"n\u00e9w"}"#).await;
    assert_eq!(Call::of(&request).unwrap().end_user(), Some("néw"));
    let request = read(OPENAI, r#"{"user":"old"}"#).await;
    assert_eq!(Call::of(&request).unwrap().end_user(), Some("old"));
}

#[tokio::test]
async fn dialects_are_known_by_method_and_path() {
    for (path, dialect) in [
        ("/v1/chat/completions", Some(Dialect::OpenAiChat)),
        ("/openai/v1/chat/completions/", Some(Dialect::OpenAiChat)),
        ("/chat/completions?x=1", Some(Dialect::OpenAiChat)),
        (
            "/anthropic/v1/messages?beta=true",
            Some(Dialect::AnthropicMessages),
        ),
        ("/v1/threads/t/messages", None),
        ("/v1/messages/count_tokens", None),
        ("/v1/completions", Some(Dialect::OpenAiCompletions)),
        ("/", None),
    ] {
        let request = read(path, "{}").await;
        assert_eq!(
            Call::of(&request).map(|call| call.dialect()),
            dialect,
            "{path}"
        );
        let get = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        assert!(Call::of(&Payload::read(get, 1 << 20).await).is_none());
    }
}

#[tokio::test]
async fn the_facts_are_of_the_path_that_was_read() {
    let mut request = read(OPENAI, r#"{"model":"a"}"#).await;
    *request.uri_mut() = "https://proxy.example/openai/v1/chat/completions"
        .parse()
        .unwrap();
    assert_eq!(Call::of(&request).unwrap().model(), Some("a"));
    *request.uri_mut() = "/v1/messages".parse().unwrap();
    assert!(Call::of(&request).is_none());
    // read again for its new path
    let request = Payload::read(request, 1 << 20).await;
    assert_eq!(
        Call::of(&request).unwrap().dialect(),
        Dialect::AnthropicMessages
    );
}

#[tokio::test]
async fn another_model_is_spliced_in_and_the_length_corrected() {
    let mut request = read(OPENAI, r#"{ "n":1, "model" : "a" ,"x":[1.0e3]}"#).await;
    let attempts = Call::of(&request).unwrap().attempts().clone();
    Call::set_model(&mut request, "claude-\"é\"").unwrap();
    let expected = r#"{ "n":1, "model" : "claude-\"é\"" ,"x":[1.0e3]}"#;
    assert_eq!(
        request.headers()["content-length"],
        expected.len().to_string().as_str()
    );
    let call = Call::of(&request).unwrap();
    assert_eq!(call.model(), Some("claude-\"é\""));
    attempts.again().unwrap();
    assert_eq!(call.attempts().count(), 2, "still the same call");
    assert_eq!(request.body().whole().unwrap(), expected);
}

#[tokio::test]
async fn a_signed_request_is_not_rewritten() {
    for (name, value) in [
        ("authorization", "AWS4-HMAC-SHA256 Credential=..."),
        ("content-digest", "sha-256=:x:"),
        ("signature", "sig=:x:"),
        ("x-amz-content-sha256", "e3b0"),
    ] {
        let mut request = read(OPENAI, r#"{"model":"a"}"#).await;
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(
            Call::set_model(&mut request, "b"),
            Err(NotRewritten::Signed),
            "{name}"
        );
        assert_eq!(request.body().whole().unwrap(), r#"{"model":"a"}"#);
    }
}

#[tokio::test]
async fn usage_is_asked_for_once_where_the_dialect_needs_it() {
    let mut request = read(OPENAI, r#"{"model":"m","stream":true}"#).await;
    assert_eq!(Call::ask_usage(&mut request), Ok(true));
    // a layer further in finds it asked for
    assert_eq!(Call::ask_usage(&mut request), Ok(false));
    assert!(Call::of(&request).unwrap().asks_usage());
    let length = request.headers()["content-length"].clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        body,
        r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#
    );
    assert_eq!(length, body.len().to_string());

    for (path, body) in [
        (OPENAI, r#"{"model":"m"}"#),
        (
            OPENAI,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        // vLLM takes it for a wish
        (
            OPENAI,
            r#"{"stream":true,"stream_options":{"continuous_usage_stats":true}}"#,
        ),
        (ANTHROPIC, r#"{"model":"m","stream":true}"#),
        (
            "https://api.mistral.ai/v1/chat/completions",
            r#"{"model":"m","stream":true}"#,
        ),
    ] {
        let mut request = read(path, body).await;
        assert_eq!(Call::ask_usage(&mut request), Ok(false), "{body}");
        assert_eq!(request.body().whole().unwrap(), body);
    }
}

#[tokio::test]
async fn who_asks_for_running_counts_has_asked_for_the_usage_unless_refusing_it() {
    for (options, asks) in [
        (r#"{"continuous_usage_stats":true}"#, true),
        (r#"{"continuous_usage_stats":false}"#, false),
        (
            r#"{"continuous_usage_stats":true,"include_usage":false}"#,
            false,
        ),
        ("{}", false),
    ] {
        let body = format!(r#"{{"stream":true,"stream_options":{options}}}"#);
        let request = read(OPENAI, body).await;
        assert_eq!(Call::of(&request).unwrap().asks_usage(), asks, "{options}");
    }
}

#[tokio::test]
async fn a_signed_or_unreadable_call_is_not_asked_and_stays_as_it_is() {
    let mut signed = read(OPENAI, r#"{"stream":true}"#).await;
    signed.headers_mut().insert("digest", "x".parse().unwrap());
    assert_eq!(Call::ask_usage(&mut signed), Err(NotRewritten::Signed));
    let twice = r#"{"stream":true,"stream":true}"#;
    let mut unreadable = read(OPENAI, twice).await;
    assert_eq!(Call::ask_usage(&mut unreadable), Ok(false));
    assert_eq!(unreadable.body().whole().unwrap(), twice);
}

#[tokio::test]
async fn images_are_not_estimated_as_text() {
    let image = "QUJD".repeat(100_000);
    for (path, body) in [
        (
            OPENAI,
            format!(
                r#"{{"messages":[{{"content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}]}}"#
            ),
        ),
        (
            ANTHROPIC,
            format!(
                r#"{{"messages":[{{"content":[{{"source":{{"type":"base64", "data": "{image}"}}}}]}}]}}"#
            ),
        ),
        (
            "/model/amazon.nova-pro-v1:0/converse",
            format!(
                r#"{{"messages":[{{"content":[{{"image":{{"format":"png","source":{{"bytes": "{image}"}}}}}}]}}]}}"#
            ),
        ),
        (
            "/api/chat",
            format!(r#"{{"messages":[{{"content":"","images" : [ "{image}" ]}}]}}"#),
        ),
    ] {
        let request = read(path, body).await;
        let call = Call::of(&request).unwrap();
        assert!((1_000..1_050).contains(&call.estimated_input()), "{call:?}");
    }
    let request = read(
        OPENAI,
        r#"{"messages":[{"content":"Name a yellow fruit."}]}"#,
    )
    .await;
    assert_eq!(Call::of(&request).unwrap().estimated_input(), 9);
}

#[tokio::test]
async fn debug_shows_no_prompt_and_no_user() {
    let body = r#"{"model":"a","user":"canary-user","messages":"canary-prompt"}"#;
    let request = read(OPENAI, body).await;
    let shown = format!("{:?} {:?}", request.body(), Call::of(&request));
    assert!(
        shown.contains("model") && !shown.contains("canary"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_call_can_become_one_of_another_dialect() {
    let mut request = read(
        "http://api.example/v1/chat/completions",
        r#"{"model":"a","messages":[]}"#,
    )
    .await;
    let attempts = Call::of(&request).unwrap().attempts().clone();
    attempts.limit_to(3);
    let body = r#"{"contents":[],"generationConfig":{"maxOutputTokens":7}}"#;
    let path = "/v1beta/models/g:streamGenerateContent?alt=sse";
    Call::replace(&mut request, path.parse().unwrap(), body.into()).unwrap();
    assert_eq!(request.uri(), &*format!("http://api.example{path}"));
    assert_eq!(
        request.headers()["content-length"],
        body.len().to_string().as_str()
    );
    let call = Call::of(&request).unwrap();
    assert_eq!(call.dialect(), Dialect::Gemini);
    assert_eq!(call.model(), Some("g"));
    assert_eq!(call.output_cap(), Some(7));
    assert!(call.is_stream());
    // one allowance, whatever the call has become
    attempts.again().unwrap();
    assert_eq!(call.attempts().count(), attempts.count());
}

#[tokio::test]
async fn a_signed_call_and_a_path_of_no_api_are_not_replaced() {
    let mut request = read(OPENAI, r#"{"model":"a","messages":[]}"#).await;
    let nowhere = "/nowhere".parse().unwrap();
    let refused = Call::replace(&mut request, nowhere, "{}".into());
    assert_eq!(refused, Err(NotRewritten::NotRead));
    assert_eq!(request.uri().path(), OPENAI);
    let signature = "AWS4-HMAC-SHA256 …".parse().unwrap();
    request.headers_mut().insert("authorization", signature);
    let refused = Call::replace(&mut request, ANTHROPIC.parse().unwrap(), "{}".into());
    assert_eq!(refused, Err(NotRewritten::Signed));
    assert_eq!(Call::of(&request).unwrap().model(), Some("a"));
}
