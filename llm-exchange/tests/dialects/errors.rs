//! Our own errors in the form of every dialect, and the providers' in theirs.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use llm_exchange::{
    AnswerBody, Dialect, End, ErrorAnswer, PeekLimits, ProviderError, Verdict, peek,
};
use testkit::ScriptedBody;

use crate::{
    support::{Chunks, call, met, response},
    transcripts::clock,
};

const JUDGED: [(StatusCode, Verdict); 6] = [
    (StatusCode::BAD_REQUEST, Verdict::CallersFault),
    (StatusCode::NOT_FOUND, Verdict::CallersFault),
    (StatusCode::TOO_MANY_REQUESTS, Verdict::Throttled),
    (StatusCode::BAD_GATEWAY, Verdict::Failed),
    (StatusCode::SERVICE_UNAVAILABLE, Verdict::Overloaded),
    (StatusCode::GATEWAY_TIMEOUT, Verdict::TimedOut),
];

fn ours(status: StatusCode) -> ErrorAnswer {
    ErrorAnswer::new(status, "our_code", "a \"sentence\", 100 % ours")
}

#[tokio::test]
async fn our_error_reads_like_the_providers_own() {
    for &dialect in Dialect::ALL {
        for (status, verdict) in JUDGED {
            let answer: Response<AnswerBody<Empty<Bytes>>> =
                ours(status).into_response(Some(dialect));
            let (peeked, _) = peek(
                answer,
                &call(dialect, false),
                PeekLimits::default(),
                &clock(),
            )
            .await;
            let judged = peeked.verdict();
            // gRPC has one code for what is wrong on the way and for what is overloaded
            let same = dialect.is_grpc() && status == StatusCode::BAD_GATEWAY;
            let verdict = if same { Verdict::Overloaded } else { verdict };
            assert_eq!(judged, verdict, "{dialect:?} {status}");
            let message = peeked.error().unwrap().message();
            assert_eq!(message, Some("a \"sentence\", 100 % ours"), "{dialect:?}");
        }
    }
}

#[tokio::test]
async fn a_grpc_refusal_is_a_head_with_a_status_and_nothing_else() {
    let answer = ours(StatusCode::TOO_MANY_REQUESTS).retry_after(Duration::from_millis(1500));
    let answer: Response<AnswerBody<Empty<Bytes>>> =
        answer.into_response(Some(Dialect::GeminiGrpc));
    assert_eq!(answer.status(), 200);
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["grpc-status"], "8");
    assert_eq!(headers["grpc-message"], "a \"sentence\", 100 %25 ours");
    assert_eq!(headers["grpc-retry-pushback-ms"], "1500");
    assert!(
        answer
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
    let far = ours(StatusCode::TOO_MANY_REQUESTS).retry_after(Duration::from_secs(1 << 40));
    assert_eq!(far.trailers()["grpc-retry-pushback-ms"], "-1");
}

#[tokio::test]
async fn our_event_ends_a_stream_as_the_providers_own_error_would() {
    for &dialect in Dialect::ALL {
        let event = ours(StatusCode::SERVICE_UNAVAILABLE).in_stream(Some(dialect));
        if dialect.is_grpc() {
            assert!(event.is_empty());
            continue;
        }
        let kind = match dialect {
            Dialect::Ollama => "application/x-ndjson",
            Dialect::BedrockConverse => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        };
        let meter = met(kind, Chunks::chunks([event]), &call(dialect, true)).await;
        assert_eq!(meter.end(), Some(End::Errored), "{dialect:?}");
        let error = meter.error().unwrap();
        assert_eq!(error.message(), Some("a \"sentence\", 100 % ours"));
    }
}

#[tokio::test]
async fn a_200_with_amazons_error_is_one_of_a_model_that_is_invoked_too() {
    for dialect in [Dialect::AnthropicMessages, Dialect::BedrockConverse] {
        let body = ScriptedBody::new().data(r#"{"message":"The model failed."}"#);
        let answer = response("application/json", body);
        let call = call(dialect, false);
        let (peeked, _) = peek(answer, &call, PeekLimits::default(), &clock()).await;
        assert_eq!(peeked.verdict(), Verdict::Failed, "{dialect:?}");
        assert_eq!(peeked.error().unwrap().message(), Some("The model failed."));
    }
}

#[tokio::test]
async fn our_last_event_has_the_number_that_comes_next() {
    let delta = |number: u64| {
        format!(
            "event: response.output_text.delta\n\
             data: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\"delta\":\"a \"}}\n\n"
        )
    };
    let call = call(Dialect::OpenAiResponses, true);
    for read in 0..3 {
        let chunks = Chunks::chunks((0..read).map(|number| delta(number).into_bytes()));
        let meter = met("text/event-stream", chunks, &call).await;
        let error = ours(StatusCode::BAD_GATEWAY).event_number(meter.next_event_number());
        let event = error.in_stream(Some(Dialect::OpenAiResponses));
        let event = String::from_utf8(event.to_vec()).unwrap();
        let data = event.lines().find_map(|line| line.strip_prefix("data: "));
        let data: serde_json::Value = serde_json::from_str(data.unwrap()).unwrap();
        assert_eq!(data["sequence_number"], read);
    }
}

#[tokio::test]
async fn amazon_names_an_errors_kind_in_the_head() {
    for (kind, verdict) in [
        ("ThrottlingException:http://internal/", Verdict::Throttled),
        ("ServiceQuotaExceededException", Verdict::QuotaExhausted),
        ("ModelTimeoutException", Verdict::TimedOut),
        ("ValidationException", Verdict::CallersFault),
    ] {
        let status = match verdict {
            Verdict::Throttled => 429,
            Verdict::TimedOut => 408,
            _ => 400,
        };
        let mut answer = response(
            "application/json",
            ScriptedBody::new().data(r#"{"message":"Too many requests."}"#),
        );
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        answer
            .headers_mut()
            .insert("x-amzn-errortype", kind.parse().unwrap());
        let call = call(Dialect::BedrockConverse, false);
        let (peeked, answer) = peek(answer, &call, PeekLimits::default(), &clock()).await;
        assert_eq!(peeked.verdict(), verdict, "{kind}");
        let error = peeked.error().unwrap();
        assert_eq!(error.code(), kind.split(':').next());
        assert_eq!(error.message(), Some("Too many requests."));
        drop(answer);
    }
}

#[tokio::test]
async fn every_form_of_an_error_in_a_stream_is_seen() {
    let sse = "text/event-stream";
    for (dialect, kind, body, code) in [
        // Mistral's and vLLM's old flat form
        (
            Dialect::OpenAiChat,
            sse,
            "data: {\"object\":\"error\",\"message\":\"m\",\"type\":\"x\",\"code\":\"3505\"}\n\n",
            "x",
        ),
        (
            Dialect::OpenAiChat,
            sse,
            "data: {\"error\":\"m\",\"error_type\":\"overloaded\"}\n\ndata: [DONE]\n\n",
            "overloaded",
        ),
        (
            Dialect::OpenAiResponses,
            sse,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\",\"param\":null,\"sequence_number\":1}\n\n",
            "rate_limit_exceeded",
        ),
        (
            Dialect::Gemini,
            sse,
            "data: {\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}\r\n\r\n",
            "RESOURCE_EXHAUSTED",
        ),
        // pretty-printed, and without `data:`
        (
            Dialect::Gemini,
            sse,
            "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"m\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n",
            "UNAVAILABLE",
        ),
        (
            Dialect::Gemini,
            "application/json",
            "[{\"error\":{\"code\":503,\"message\":\"m\",\"status\":\"UNAVAILABLE\"}}\n]",
            "UNAVAILABLE",
        ),
        (
            Dialect::AnthropicMessages,
            sse,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
            "overloaded_error",
        ),
        // Vertex AI's, and those of servers and proxies in front
        (
            Dialect::AnthropicMessages,
            sse,
            "data: {\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n",
            "RESOURCE_EXHAUSTED",
        ),
        (
            Dialect::AnthropicMessages,
            sse,
            "data: {\"error\":\"m\",\"error_type\":\"overloaded\"}\n\n",
            "overloaded",
        ),
        // its message is no object, as an event's would be
        (
            Dialect::AnthropicMessages,
            sse,
            "data: {\"object\":\"error\",\"message\":\"m\",\"code\":\"x\"}\n\n",
            "x",
        ),
    ] {
        let meter = met(kind, ScriptedBody::new().data(body), &call(dialect, true)).await;
        assert_eq!(meter.end(), Some(End::Errored), "{body}");
        let error = meter.error().unwrap();
        assert_eq!(
            (error.code(), error.message()),
            (Some(code), Some("m")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_error_in_a_whole_answer_of_200_is_seen_wherever_it_stands() {
    let flat = r#"{"object":"error","message":"m","type":"x","param":null,"code":50001}"#;
    let behind = r#"{"id":"gen-1","error":{"code":502,"message":"m"}}"#;
    for dialect in [Dialect::OpenAiChat, Dialect::OpenAiEmbeddings] {
        for body in [flat, behind, r#"{"model":7,"error":{"message":"m"}}"#] {
            let call = call(dialect, false);
            let parts = || crate::support::cuts(body.as_bytes());
            for parts in parts() {
                let answer = response("application/json", Chunks::chunks(parts));
                let (peeked, _) = peek(answer, &call, PeekLimits::default(), &clock()).await;
                assert_eq!(peeked.verdict(), Verdict::Failed, "{body}");
            }
            let meter = met("application/json", ScriptedBody::new().data(body), &call).await;
            assert_eq!(meter.end(), Some(End::Errored), "{body}");
            assert_eq!(meter.error().unwrap().message(), Some("m"), "{body}");
        }
    }
}

#[test]
fn an_answer_is_no_error_as_soon_as_its_content_begins() {
    for (dialect, start) in [
        (
            Dialect::OpenAiChat,
            r#"{"id":"c","object":"chat.completion","error":null,"choices""#,
        ),
        (Dialect::OpenAiEmbeddings, r#"{"object":"list","data""#),
    ] {
        assert_eq!(dialect.looks_like_error(start.as_bytes()), Some(false));
        for end in 0..start.len() {
            assert_eq!(dialect.looks_like_error(&start.as_bytes()[..end]), None);
        }
    }
}

#[tokio::test]
async fn groqs_error_is_a_text() {
    let body = "data: {\"choices\":[],\"x_groq\":{\"error\":\"stopped early\"}}\n\n";
    let call = call(Dialect::OpenAiChat, true);
    let meter = met("text/event-stream", ScriptedBody::new().data(body), &call).await;
    assert_eq!(meter.end(), Some(End::Errored));
    assert_eq!(meter.error().unwrap().message(), Some("stopped early"));
    assert_eq!(meter.verdict(), Verdict::Failed);
}

#[tokio::test]
async fn a_failed_response_is_an_error_though_it_is_a_200() {
    let failed = r#"{"id":"resp_1","object":"response","created_at":1,"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"},"output":[]}"#;
    let call = call(Dialect::OpenAiResponses, false);
    for parts in crate::support::cuts(failed.as_bytes()) {
        let answer = response("application/json", Chunks::chunks(parts));
        let (peeked, _) = peek(answer, &call, PeekLimits::default(), &clock()).await;
        assert_eq!(peeked.verdict(), Verdict::Throttled);
    }
    let queued = failed
        .replace("\"failed\"", "\"queued\"")
        .replace(r#"{"code":"rate_limit_exceeded","message":"m"}"#, "null");
    let answer = met("application/json", ScriptedBody::new().data(queued), &call).await;
    assert_eq!(answer.end(), Some(End::Complete));
    assert_eq!(answer.finish_reasons(), ["queued"]);
    assert_eq!(answer.usage(), None);
}

#[test]
fn a_code_in_google_s_details_says_more_than_the_status() {
    let body = br#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"insufficient_quota"}]}}"#;
    let error = ProviderError::from_body(body).unwrap();
    assert_eq!(error.code(), Some("RESOURCE_EXHAUSTED"));
    let verdict = Verdict::of(StatusCode::TOO_MANY_REQUESTS, Some(&error));
    assert_eq!(verdict, Verdict::QuotaExhausted);
}
