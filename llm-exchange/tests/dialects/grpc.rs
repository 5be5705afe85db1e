//! gRPC answers: messages, then a status in the trailers, or all in the head. And Amazon's frames.

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use llm_exchange::{Delay, Dialect, End, Ending, Meter, PeekLimits, Verdict, peek};
use testkit::ScriptedBody;

use crate::{
    requests::{field, varint},
    support::{Chunks, call, chunks, cuts, framed, met, response},
    transcripts::clock,
};

const GRPC: &str = "application/grpc";

fn trailers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for (name, value) in pairs {
        trailers.insert(*name, value.parse().unwrap());
    }
    trailers
}

/// A message of the Gemini API with some text, and a finish reason.
fn message(text: &str, finish: u8) -> Bytes {
    let content = field(1, &field(1, &field(2, text.as_bytes())));
    let candidate = [content, varint(2, finish)].concat();
    let usage = field(3, &[varint(1, 7), varint(2, 3), varint(3, 10)].concat());
    framed(&[field(1, &candidate), usage, field(4, b"flash")].concat())
}

#[tokio::test]
async fn the_status_in_the_trailers_is_the_end() {
    let call = call(Dialect::GeminiGrpc, true);
    let body = |trailers: Option<HeaderMap>| {
        let body = ScriptedBody::new()
            .data(message("Yel", 0))
            .data(message("low", 1));
        match trailers {
            Some(trailers) => body.trailers(trailers),
            None => body,
        }
    };
    let ok = met(GRPC, body(Some(trailers(&[("grpc-status", "0")]))), &call).await;
    assert_eq!(ok.end(), Some(End::Complete));
    assert_eq!((ok.contents(), ok.events(), ok.is_stream()), (2, 2, true));
    assert_eq!(ok.model().as_deref(), Some("flash"));
    assert_eq!(ok.finish_reasons(), ["STOP"]);
    let usage = ok.usage().unwrap();
    assert_eq!((usage.input(), usage.output()), (7, 3));

    let none = met(GRPC, body(None), &call).await;
    assert_eq!(none.end(), Some(End::Truncated), "no status is no success");

    let failed = met(GRPC, body(Some(trailers(&[("grpc-status", "13")]))), &call).await;
    assert_eq!(failed.end(), Some(End::Errored));
    assert_eq!(failed.verdict(), Verdict::Failed);
}

#[tokio::test]
async fn audio_is_apart_from_text_over_grpc_too() {
    // the usage's number, and those of what is cached and of the parts
    for (dialect, usage, cached, [prompt, cache, candidates]) in [
        (Dialect::GeminiGrpc, 3, 4, [5, 6, 7]),
        (Dialect::VertexGrpc, 4, 5, [9, 10, 11]),
    ] {
        let part = |number, modality, tokens| {
            field(number, &[varint(1, modality), varint(2, tokens)].concat())
        };
        let counts = [
            varint(1, 100),
            varint(2, 20),
            varint(3, 120),
            varint(cached, 40),
            part(prompt, 1, 30),
            part(prompt, 4, 70),
            part(cache, 4, 40),
            part(candidates, 4, 15),
        ];
        let body = ScriptedBody::new()
            .data(framed(&field(usage, &counts.concat())))
            .trailers(trailers(&[("grpc-status", "0")]));
        let usage = met(GRPC, body, &call(dialect, false))
            .await
            .usage()
            .unwrap();
        assert_eq!(
            (usage.cached, usage.audio_input, usage.uncached),
            (40, 30, 30),
            "{dialect:?}"
        );
        assert_eq!((usage.audio_output, usage.visible), (15, 5));
    }
}

#[tokio::test]
async fn what_the_trailers_ask_for_is_known_before_anything_is_handed_on() {
    let call = call(Dialect::VertexGrpc, true);
    let pairs = [("grpc-status", "14"), ("grpc-retry-pushback-ms", "250")];
    // in trailers behind a head, and in the head of an answer that has nothing else
    let late = response(GRPC, ScriptedBody::new().trailers(trailers(&pairs)));
    let mut early = response(GRPC, ScriptedBody::new().eager_end());
    early.headers_mut().extend(trailers(&pairs));
    for answer in [late, early] {
        let (peeked, _) = peek(answer, &call, PeekLimits::default(), &clock()).await;
        assert_eq!(peeked.status(), StatusCode::OK);
        assert_eq!(peeked.verdict(), Verdict::Overloaded);
        let delay = std::time::Duration::from_millis(250);
        assert_eq!(peeked.hints().delay(), Some(Delay::Asked(delay)));
        assert_eq!(peeked.ending(), None);
    }
    let pairs = [("grpc-status", "14"), ("grpc-retry-pushback-ms", "-1")];
    let answer = response(GRPC, ScriptedBody::new().trailers(trailers(&pairs)));
    let (peeked, _) = peek(answer, &call, PeekLimits::default(), &clock()).await;
    assert_eq!(peeked.hints().should_retry(), Some(false));
}

#[tokio::test]
async fn the_signature_of_a_thought_is_no_content_but_a_thought_is() {
    // of a part: text, thought, signature
    for (dialect, path, numbers) in [
        (Dialect::GeminiGrpc, [1, 1, 1], [2, 11, 13]),
        (Dialect::VertexGrpc, [2, 2, 2], [1, 10, 11]),
    ] {
        let [text, thought, signature] = numbers;
        let said = |part: &[u8]| {
            path.iter()
                .rev()
                .fold(part.to_vec(), |inside, at| field(*at, &inside))
        };
        let signed = said(&[varint(thought, 1), field(signature, b"opaque")].concat());
        let spoken = said(&[field(text, b"Let me see"), varint(thought, 1)].concat());
        let ok = trailers(&[("grpc-status", "0")]);
        let body = |message: &[u8]| chunks(vec![framed(message).to_vec()], Some(&ok));
        let call = call(dialect, true);
        let meter = met(GRPC, body(&signed), &call).await;
        assert_eq!((meter.events(), meter.contents()), (1, 0), "{dialect:?}");
        assert!(meter.first_content().is_none());
        let meter = met(GRPC, body(&spoken), &call).await;
        assert_eq!((meter.events(), meter.contents()), (1, 1), "{dialect:?}");
    }
}

#[tokio::test]
async fn a_stream_that_broke_before_its_first_message_is_told_from_one_that_ended() {
    let call = call(Dialect::GeminiGrpc, true);
    for (body, ending) in [
        (ScriptedBody::new().error("reset"), Ending::Broken),
        (ScriptedBody::new(), Ending::Truncated),
    ] {
        let (peeked, _) = peek(response(GRPC, body), &call, PeekLimits::default(), &clock()).await;
        assert_eq!(peeked.ending(), Some(ending));
        assert_eq!(peeked.verdict(), Verdict::Failed);
    }
}

#[tokio::test]
async fn frames_and_trailers_pass_as_they_came() {
    let call = call(Dialect::GeminiGrpc, true);
    let status = trailers(&[("grpc-status", "0"), ("x-other", "1")]);
    for parts in cuts(&[message("Yel", 0), message("low", 1)].concat()) {
        let sent = parts.clone();
        let body = Chunks::chunks(parts).trailers(status.clone());
        let (_, answer) = peek(response(GRPC, body), &call, PeekLimits::default(), &clock()).await;
        let (meter, answer) = Meter::attach(answer, &call);
        let mut body = answer.into_body();
        for part in sent {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), part);
        }
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_trailers().unwrap(), status);
        assert!(body.frame().await.is_none());
        assert_eq!(meter.end(), Some(End::Complete));
    }
}

#[tokio::test]
async fn a_compressed_message_is_content_that_is_not_read() {
    let call = call(Dialect::GeminiGrpc, false);
    let mut compressed = message("Yellow", 1).to_vec();
    compressed[0] = 1;
    let body = ScriptedBody::new()
        .data(compressed)
        .trailers(trailers(&[("grpc-status", "0")]));
    let meter = met(GRPC, body, &call).await;
    assert_eq!(meter.end(), Some(End::Unreadable));
    assert_eq!((meter.contents(), meter.verdict()), (1, Verdict::Ok));
    assert!(meter.tokens().is_estimated());
}

#[tokio::test]
async fn a_proxys_own_error_is_judged_by_its_status() {
    let call = call(Dialect::GeminiGrpc, false);
    let mut answer = response("text/html", ScriptedBody::new().data("<html>"));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let (peeked, _) = peek(answer, &call, PeekLimits::default(), &clock()).await;
    assert_eq!(peeked.verdict(), Verdict::Overloaded);
    // both: the status of gRPC says more
    let mut answer: Response<Chunks> = response("text/plain", ScriptedBody::new());
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    answer
        .headers_mut()
        .extend(trailers(&[("grpc-status", "8")]));
    let (peeked, _) = peek(answer, &call, PeekLimits::default(), &clock()).await;
    assert_eq!(peeked.error().unwrap().code(), Some("RESOURCE_EXHAUSTED"));
    assert_eq!(peeked.verdict(), Verdict::Throttled);
}

#[tokio::test]
async fn tensors_are_content_without_tokens() {
    let call = call(Dialect::KServeGrpc, false);
    let answer = [field(1, b"llama"), field(3, b"id-7"), field(5, b"tensor")].concat();
    let body = ScriptedBody::new()
        .data(framed(&answer))
        .trailers(trailers(&[("grpc-status", "0")]));
    let meter = met(GRPC, body, &call).await;
    assert_eq!(meter.end(), Some(End::Complete));
    assert_eq!((meter.contents(), meter.usage()), (1, None));
    assert_eq!(meter.model().as_deref(), Some("llama"));
    assert_eq!(meter.id().as_deref(), Some("id-7"));
}

#[tokio::test]
async fn a_request_of_tritons_stream_that_fails_is_an_error_in_a_call_that_is_ok() {
    let call = call(Dialect::KServeStreamGrpc, true);
    let answer = [field(1, b"llama"), field(3, b"id-7"), field(5, b"tensor")].concat();
    let said = framed(&field(2, &answer));
    let failed = framed(&field(1, b"the model is not loaded"));
    let ok = || Some(trailers(&[("grpc-status", "0")]));
    let whole = met(GRPC, chunks(vec![said.to_vec()], ok().as_ref()), &call).await;
    assert_eq!(whole.end(), Some(End::Complete));
    assert_eq!(whole.model().as_deref(), Some("llama"));
    for parts in cuts(&[&said[..], &failed, &said].concat()) {
        let meter = met(GRPC, chunks(parts, ok().as_ref()), &call).await;
        assert_eq!(meter.end(), Some(End::Errored));
        let error = meter.error().unwrap();
        assert_eq!(error.message(), Some("the model is not loaded"));
        assert_eq!(meter.verdict(), Verdict::Failed);
    }
    // an empty text is none
    let fine = framed(&[field(1, b""), field(2, &answer)].concat());
    let meter = met(GRPC, chunks(vec![fine.to_vec()], ok().as_ref()), &call).await;
    assert_eq!(meter.end(), Some(End::Complete));
}

#[tokio::test]
async fn an_answer_that_goes_both_ways_is_handed_on_with_its_head() {
    let call = call(Dialect::KServeStreamGrpc, true);
    // the first answer comes after a request that waits for the head
    let body = Chunks::new().hang();
    let peeked = peek(response(GRPC, body), &call, PeekLimits::default(), &clock());
    let (peeked, _) = futures_util::FutureExt::now_or_never(peeked).unwrap();
    assert_eq!(peeked.verdict(), Verdict::Ok);
    // a refusal is all in its head
    let mut answer: Response<Chunks> = response(GRPC, Chunks::new());
    answer
        .headers_mut()
        .extend(trailers(&[("grpc-status", "14")]));
    let (peeked, _) = peek(answer, &call, PeekLimits::default(), &clock()).await;
    assert_eq!(peeked.error().unwrap().code(), Some("UNAVAILABLE"));
}

/// A frame of Amazon's with text headers.
pub(crate) fn amazon(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (name, value) in headers {
        encoded.push(u8::try_from(name.len()).unwrap());
        encoded.extend_from_slice(name.as_bytes());
        encoded.push(7);
        encoded.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        encoded.extend_from_slice(value.as_bytes());
    }
    let length = u32::try_from(encoded.len()).unwrap();
    let whole = 16 + length + u32::try_from(payload.len()).unwrap();
    let mut frame = [whole.to_be_bytes(), length.to_be_bytes()].concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(encoded);
    frame.extend_from_slice(payload);
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

#[tokio::test]
async fn an_exception_in_amazons_stream_is_the_providers_error() {
    let call = call(Dialect::BedrockConverse, true);
    for (kind, verdict) in [
        ("throttlingException", Verdict::Throttled),
        ("internalServerException", Verdict::Failed),
        ("serviceUnavailableException", Verdict::Overloaded),
        ("validationException", Verdict::CallersFault),
    ] {
        let headers = [(":message-type", "exception"), (":exception-type", kind)];
        let frame = amazon(&headers, br#"{"message":"m"}"#);
        for parts in cuts(&frame) {
            let answer = response(EVENT_STREAM, Chunks::chunks(parts));
            let (peeked, _) = peek(answer, &call, PeekLimits::default(), &clock()).await;
            assert_eq!(peeked.verdict(), verdict, "{kind}");
            assert_eq!(peeked.error().unwrap().code(), Some(kind));
        }
    }
}

#[tokio::test]
async fn the_events_of_an_invoked_model_are_unwrapped() {
    let path = "/model/anthropic.claude/invoke-with-response-stream";
    let request = crate::support::request(Dialect::AnthropicMessages, path, "{}");
    let call = llm_exchange::Call::of(&request).unwrap();
    let mut body = Vec::new();
    for event in [
        r#"{"type":"message_start","message":{"model":"claude","usage":{"input_tokens":9,"output_tokens":1}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Yellow"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}"#,
        r#"{"type":"message_stop"}"#,
    ] {
        let bytes = base64::engine::general_purpose::STANDARD.encode(event);
        let payload = format!("{{\"bytes\":\"{bytes}\",\"p\":\"abc\"}}");
        let headers = [(":event-type", "chunk"), (":message-type", "event")];
        body.extend(amazon(&headers, payload.as_bytes()));
    }
    let meter = met(EVENT_STREAM, ScriptedBody::new().data(body.clone()), call).await;
    assert_eq!(meter.end(), Some(End::Complete));
    let usage = meter.usage().unwrap();
    assert_eq!((usage.input(), usage.output(), meter.contents()), (9, 4, 1));
    // one wrong bit, and nothing after it is believed
    let half = body.len() / 2;
    body[half] ^= 1;
    let meter = met(EVENT_STREAM, ScriptedBody::new().data(body), call).await;
    assert_eq!(meter.end(), Some(End::Truncated));
}

#[tokio::test]
async fn an_ok_behind_a_message_too_large_to_be_read_is_no_answer_of_no_tokens() {
    for stream in [false, true] {
        let call = call(Dialect::GeminiGrpc, stream);
        let image = framed(&vec![0; 5 << 20]);
        let ok = trailers(&[("grpc-status", "0")]);
        let body = ScriptedBody::new().data(image.clone()).trailers(ok.clone());
        let met_alone = met(GRPC, body, &call).await;
        assert_eq!(met_alone.end(), Some(End::Unreadable));
        assert_eq!(met_alone.verdict(), Verdict::Ok);

        let body = ScriptedBody::new().data(image).data(message("a", 1));
        let with_usage = met(GRPC, body.trailers(ok), &call).await;
        assert_eq!(with_usage.end(), Some(End::Complete));
    }
}
