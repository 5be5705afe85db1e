//! Streams are held to what is reserved for them.

use std::sync::atomic::Ordering::Relaxed;

use budget_layer::{BudgetLayer, Guarded, Limit, WhenAway};
use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use llm_exchange::{End, Meter};
use proptest::prelude::*;

use crate::common::*;

/// Some ten tokens.
const WORDS: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" one two three four five six seven eight nine ten\"}}]}\n\n";

fn long(events: usize) -> Vec<&'static str> {
    let mut all = vec![WORDS; events];
    all.extend([STOP, USAGE, DONE]);
    all
}

async fn whole(layer: &BudgetLayer, events: usize) -> (String, Option<End>) {
    let script = Script::new().then(Answer::sse(long(events)));
    let response = layer.layer(script).oneshot(stream()).await.unwrap();
    let meter = Meter::of(&response).unwrap().clone();
    (text(response).await, meter.end())
}

#[tokio::test(start_paused = true)]
async fn a_stream_within_its_budget_passes_byte_for_byte_however_long_it_is() {
    let layer = daily(100_000);
    let (passed, end) = whole(&layer, 900).await;
    // 9,000 tokens; the usage was asked for by the layer alone
    assert_eq!(passed, long(900).concat().replace(USAGE, ""));
    assert_eq!(end, Some(End::Complete));
    assert_eq!(alice(&layer.handle()).await, (150, 0));
    assert_eq!(layer.handle().stats().cut, 0);
}

#[tokio::test(start_paused = true)]
async fn the_reservation_runs_ahead_of_the_tokens_in_steps() {
    let layer = daily(100_000);
    let script = Script::new().then(Answer::sse(long(400)));
    let response = layer.layer(script).oneshot(stream()).await.unwrap();
    assert_eq!(alice(&layer.handle()).await, (0, INPUT + 1_024));
    let meter = Meter::of(&response).unwrap().clone();
    let mut body = response.into_body();
    let mut reserved = Vec::new();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        let (used, now) = alice(&layer.handle()).await;
        if meter.is_over() {
            break;
        }
        assert!(now >= INPUT + meter.output_tokens(), "{now}");
        assert_eq!(used, 0);
        if reserved.last() != Some(&now) {
            reserved.push(now);
        }
    }
    let steps = (1..=6).map(|step| INPUT + 1_024 * step);
    assert_eq!(reserved, steps.collect::<Vec<_>>());
    drop(body);
    assert_eq!(alice(&layer.handle()).await.1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_comes_to_the_end_of_its_budget_is_ended_in_order_at_an_event() {
    let layer = daily(2_000);
    let (passed, end) = whole(&layer, 900).await;
    assert_eq!(end, Some(End::Cut(llm_exchange::Cut::Limit)));
    let events = passed.matches(WORDS).count();
    // some 1,990 tokens, on the safe side
    assert!((120..=199).contains(&events), "{events}");
    let rest = passed.replace(WORDS, "");
    assert!(rest.contains("\"finish_reason\":\"length\""), "{rest}");
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    let (used, reserved) = alice(&layer.handle()).await;
    assert_eq!(reserved, 0);
    assert!(used <= 2_000, "{used}");
    assert!(used >= INPUT + 10 * events as u64, "{used}");
    assert_eq!(layer.handle().stats().cut, 1);
}

#[tokio::test(start_paused = true)]
async fn upstream_is_let_go_when_the_stream_is_ended() {
    let layer = daily(1_300);
    let body = ScriptedBody::chunks(vec![WORDS; 900]);
    let watch = body.watch();
    let script = Script::new().then(Answer::stream(body));
    let response = layer.layer(script).oneshot(stream()).await.unwrap();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame: Frame<Bytes> = frame.unwrap();
        if frame.data_ref().unwrap().starts_with(b"data: [DONE]") {
            break;
        }
    }
    assert!(!watch.is_alive());
}

#[tokio::test(start_paused = true)]
async fn what_others_give_back_meanwhile_is_used_before_a_stream_is_ended() {
    let layer = daily(6_000);
    let holds = layer
        .layer(Script::new().then(Answer::hang()))
        .oneshot(chat(r#""max_tokens":4000,"#));
    let mut holds = Box::pin(holds);
    assert!(is_pending(holds.as_mut()).await);
    let script = Script::new().then(Answer::sse(long(300)));
    let response = layer.layer(script).oneshot(stream()).await.unwrap();
    let mut body = response.into_body();
    for _ in 0..150 {
        body.frame().await.unwrap().unwrap();
    }
    let bound = alice(&layer.handle()).await;
    assert!(bound.1 > 5_900, "{bound:?}");
    // charged 4,009 in flight; the window's end or an operator gives it back
    drop(holds);
    layer.handle().reset(DAY, "alice").await.unwrap();
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(layer.handle().stats().cut, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_a_cap_is_not_cut_by_an_estimate() {
    let layer = daily(1_300);
    // the provider counts them as 1,000; the estimate says 1,300
    let mut chunks = vec![WORDS; 130];
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1000}}\n\n";
    chunks.extend([STOP, usage, DONE]);
    let script = Script::new().then(Answer::sse(chunks));
    let request = chat(r#""stream":true,"max_tokens":1000,"#);
    let response = layer.layer(script).oneshot(request).await.unwrap();
    let passed = text(response).await;
    assert_eq!(passed.matches(WORDS).count(), 130);
    assert_eq!(alice(&layer.handle()).await, (1_009, 0));
    // one that does not hold to its cap at all is ended
    let layer = daily(1_300);
    let script = Script::new().then(Answer::sse(long(900)));
    let request = chat(r#""stream":true,"max_tokens":1000,"#);
    let response = layer.layer(script).oneshot(request).await.unwrap();
    let passed = text(response).await;
    let events = passed.matches(WORDS).count();
    assert!((125..=132).contains(&events), "{events}");
    assert_eq!(layer.handle().stats().cut, 1);
}

#[tokio::test(start_paused = true)]
async fn one_request_may_stream_no_more_than_a_request_may_have() {
    let layer = BudgetLayer::default().limit(Limit::per_request().tokens(3_000));
    let (passed, end) = whole(&layer, 900).await;
    assert!(matches!(end, Some(End::Cut(_))));
    let events = passed.matches(WORDS).count();
    assert!((200..=299).contains(&events), "{events}");
}

fn post_stream(uri: &str, body: &str) -> Request<Full<Bytes>> {
    post(uri, body)
}

#[tokio::test(start_paused = true)]
async fn in_every_dialect_the_end_is_that_of_its_streams() {
    let event = |json: &str| format!("data: {json}\n\n");
    let words = " one two three four five six seven eight nine ten".repeat(3);
    let typed = |kind: &str, json: &str| format!("event: {kind}\ndata: {json}\n\n");
    let anthropic_start = typed(
        "message_start",
        r#"{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}"#,
    ) + &typed(
        "content_block_start",
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    );
    let anthropic = typed(
        "content_block_delta",
        &format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{words}"}}}}"#
        ),
    );
    let gemini = event(&format!(
        r#"{{"candidates":[{{"index":0,"content":{{"parts":[{{"text":"{words}"}}]}}}}]}}"#
    ));
    let responses = typed(
        "response.output_text.delta",
        &format!(
            r#"{{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"{words}"}}"#
        ),
    );
    let ollama =
        format!("{{\"model\":\"m\",\"message\":{{\"content\":\"{words}\"}},\"done\":false}}\n");
    let gemini_body = r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#;
    let chat = format!("{{\"model\":\"m\",\"stream\":true,{PROMPT}}}");
    let messages = format!("{{\"model\":\"m\",\"max_tokens\":99000,\"stream\":true,{PROMPT}}}");
    for (uri, body, content_type, start, chunk, end) in [
        (
            "https://a/v1/messages",
            &*messages,
            "text/event-stream",
            &*anthropic_start,
            &*anthropic,
            "message_stop",
        ),
        (
            "https://a/v1beta/models/g:streamGenerateContent?alt=sse",
            gemini_body,
            "text/event-stream",
            "",
            &*gemini,
            "MAX_TOKENS",
        ),
        (
            "https://a/v1/responses",
            r#"{"model":"m","stream":true,"input":"hi"}"#,
            "text/event-stream",
            "",
            &*responses,
            "response.incomplete",
        ),
        (
            "https://a/api/chat",
            &*chat,
            "application/x-ndjson",
            "",
            &*ollama,
            "\"done\":true",
        ),
    ] {
        let body_of = ScriptedBody::new().data(start.to_owned());
        let body_of = (0..400).fold(body_of, |body, _| body.data(chunk.to_owned()));
        let answer = Answer::status(200)
            .header("content-type", content_type)
            .body(body_of);
        let layer = daily(2_000);
        let script = Script::new().then(answer);
        let request = post_stream(uri, body);
        let response = layer.layer(script).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{uri}");
        let passed = text(response).await;
        assert!(passed.len() < 300 * chunk.len(), "{uri}: {}", passed.len());
        let tail = &passed[passed.rfind(chunk).unwrap() + chunk.len()..];
        assert!(tail.contains(end), "{uri}: {tail}");
        assert_eq!(layer.handle().stats().cut, 1, "{uri}");
        assert_eq!(alice(&layer.handle()).await.1, 0, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_array_is_closed_wherever_its_commas_stand() {
    let words = " one two three four five six seven eight nine ten".repeat(3);
    let element = format!(
        "{{\"candidates\":[{{\"index\":0,\"content\":{{\"parts\":[{{\"text\":\"{words}\"}}]}}}}]}}"
    );
    for (before, after) in [("", "\n,\n"), ("", ","), ("\n", " ,")] {
        let body = ScriptedBody::new().data("[");
        let element = format!("{before}{element}{after}");
        let body = (0..400).fold(body, |body, _| body.data(element.clone()));
        let answer = Answer::status(200)
            .header("content-type", "application/json")
            .body(body);
        let layer = daily(2_000);
        let request = post(
            "https://a/v1beta/models/g:streamGenerateContent",
            r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
        );
        let script = Script::new().then(answer);
        let response = layer.layer(script).oneshot(request).await.unwrap();
        let text = text(response).await;
        let array: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert!((30..70).contains(&array.len()), "{}", array.len());
        let last = array.last().unwrap();
        assert_eq!(last["candidates"][0]["finishReason"], "MAX_TOKENS");
        assert!(alice(&layer.handle()).await.0 <= 2_000);
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_far_store_is_asked_the_stream_goes_on_to_the_end_of_what_is_reserved() {
    let store = Far::new(SECOND);
    let layer = BudgetLayer::new(store.clone()).limit(Limit::per_user().daily().tokens(100_000));
    let script = Script::new().then(Answer::sse(long(400)));
    let response = layer.layer(script).oneshot(stream()).await.unwrap();
    let handle = layer.handle();
    let meter = Meter::of(&response).unwrap().clone();
    let mut body = response.into_body();
    let began = tokio::time::Instant::now();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        let (_, reserved) = alice(&handle).await;
        let passed = meter.output_tokens();
        // a frame that was read has been generated; what is waited for is the next
        assert!(
            meter.is_over() || reserved + 10 >= INPUT + passed,
            "{reserved} {passed}"
        );
    }
    assert!(began.elapsed() >= SECOND * 4, "{:?}", began.elapsed());
    let (reserved, extended, settled) = store.asked();
    assert_eq!((reserved, settled), (1, 1));
    assert!((4..=5).contains(&extended), "{extended}");
}

#[tokio::test(start_paused = true)]
async fn a_short_answer_asks_a_far_store_once_and_settles_once() {
    let store = Far::new(SECOND);
    let layer = BudgetLayer::new(store.clone()).limit(Limit::per_user().daily().tokens(100_000));
    for (answer, request) in [(answered(), chat("")), (streamed(), stream())] {
        let script = Script::new().then(answer);
        text(layer.layer(script).oneshot(request).await.unwrap()).await;
    }
    assert_eq!(store.asked(), (2, 0, 2));
    assert_eq!(store.mood.settled.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_store_goes_away_is_ended_where_its_reservation_ends() {
    let store = Far::new(SECOND);
    let layer = BudgetLayer::new(store.clone()).limit(Limit::per_user().daily().tokens(100_000));
    let script = Script::new().then(Answer::sse(long(900)));
    let response = layer.layer(script).oneshot(stream()).await.unwrap();
    *store.mood.is_away.lock().unwrap() = true;
    let passed = text(response).await;
    let events = passed.matches(WORDS).count();
    assert!((60..=103).contains(&events), "{events}");
    assert!(passed.ends_with("data: [DONE]\n\n"));
    *store.mood.is_away.lock().unwrap() = false;
    assert_eq!(alice(&layer.handle()).await.1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_guarded_store_that_is_away_admits_if_it_is_told_to_and_hears_of_it_later() {
    for (when_away, status) in [(WhenAway::Refuse, 503), (WhenAway::Admit, 200)] {
        let store = Far::new(NOW);
        let guarded = Guarded::new(store.clone()).when_away(when_away);
        let layer = BudgetLayer::new(guarded).limit(Limit::per_user().daily().tokens(9_000));
        *store.mood.is_away.lock().unwrap() = true;
        let script = Script::new().then_always(answered);
        let response = layer.layer(script.clone()).oneshot(chat("")).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        text(response).await;
        *store.mood.is_away.lock().unwrap() = false;
        tokio::time::advance(SECOND * 5).await;
        let response = layer.layer(script.clone()).oneshot(chat("")).await.unwrap();
        text(response).await;
        // both, or the one that was sent
        assert_eq!(script.calls(), if status == 200 { 2 } else { 1 });
        let used = alice(&layer.handle()).await;
        assert_eq!(used, (150 * script.calls() as u64, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_refused_with_a_503_while_the_store_does_not_answer() {
    let store = Far::new(SECOND);
    *store.mood.is_away.lock().unwrap() = true;
    let layer = BudgetLayer::new(store).limit(Limit::per_user().daily().tokens(100_000));
    let script = Script::new();
    let response = layer.layer(script.clone()).oneshot(chat("")).await.unwrap();
    assert_eq!((response.status().as_u16(), script.calls()), (503, 0));
    let code = llm_exchange::Refusal::of(&response).unwrap().code();
    assert_eq!(code, "budget_store_away");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Wherever the wire cuts the bytes, the caller gets whole events and one end.
    #[test]
    fn a_stream_is_ended_at_an_event_wherever_its_frames_are_cut(
        sizes in prop::collection::vec(1usize..400, 1..40),
        limit in 300u64..3_000,
    ) {
        in_paused_time(async {
            let all = Bytes::from(vec![WORDS; 400].concat());
            let mut body = ScriptedBody::new();
            let (mut at, mut sizes) = (0, sizes.iter().cycle());
            while at < all.len() {
                let size = *sizes.next().unwrap();
                let end = (at + size).min(all.len());
                body = body.data(all.slice(at..end));
                at = end;
            }
            let layer = daily(limit);
            let script = Script::new().then(Answer::stream(body));
            let response = layer.layer(script).oneshot(stream()).await.unwrap();
            let passed = text(response).await;
            let rest = passed.trim_start_matches(WORDS);
            assert!(rest.starts_with("data: {") && rest.contains("\"length\""), "{rest}");
            assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
            assert_eq!(rest.matches("finish_reason\":\"length").count(), 1);
            let (used, reserved) = alice(&layer.handle()).await;
            assert_eq!(reserved, 0);
            // no more than comes at once, where that differs
            assert!(used <= limit + 60, "{used} of {limit}");
        });
    }
}

/// A message of a stream of Gemini over gRPC with this text.
fn grpc(text: &str) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| {
        let mut bytes = vec![number << 3 | 2];
        let (low, high) = (content.len() & 0x7f, content.len() >> 7);
        if high > 0 {
            bytes.push(low as u8 | 0x80);
            bytes.push(high as u8);
        } else {
            bytes.push(low as u8);
        }
        bytes.extend_from_slice(content);
        bytes
    };
    // candidates, content, parts, text
    let message = field(1, &field(1, &field(1, &field(2, text.as_bytes()))));
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

#[tokio::test(start_paused = true)]
async fn over_grpc_a_stream_ends_with_a_message_that_says_why_and_its_status() {
    let message = grpc(&" one two three four five six seven eight nine ten".repeat(3));
    let body = (0..400).fold(ScriptedBody::new(), |body, _| body.data(message.clone()));
    let answer = Answer::status(200)
        .header("content-type", "application/grpc")
        .body(body);
    let path = "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent";
    // a model, and a content with one text
    let asked = b"\x0a\x0amodels/g-1\x12\x06\x0a\x04\x12\x02hi";
    let mut upload = vec![0, 0, 0, 0, asked.len() as u8];
    upload.extend_from_slice(asked);
    let request = Request::post(format!("https://a{path}"))
        .header("content-type", "application/grpc")
        .body(Full::from(upload))
        .unwrap();
    let layer = daily(2_000);
    let script = Script::new().then(answer);
    let response = layer
        .layer(script)
        .oneshot(of_user("alice", request))
        .await
        .unwrap();
    let whole = response.into_body().collect().await.unwrap();
    let trailers = whole.trailers().unwrap().clone();
    assert_eq!(trailers["grpc-status"], "0");
    let bytes = whole.to_bytes();
    let mut rest = &bytes[..];
    let mut messages = 0;
    while let Some(after) = rest.strip_prefix(&message[..]) {
        (rest, messages) = (after, messages + 1);
    }
    assert!((30..70).contains(&messages), "{messages}");
    let length = u32::from_be_bytes(rest[1..5].try_into().unwrap());
    assert_eq!(length as usize, rest.len() - 5, "one message more");
    assert_eq!(layer.handle().stats().cut, 1);
    assert!(alice(&layer.handle()).await.0 <= 2_000);
}

#[tokio::test(start_paused = true)]
async fn what_has_come_to_its_end_is_not_ended_again() {
    let layer = daily(1_300);
    // more than is left, in one piece with its end
    let last = [vec![WORDS; 200].concat(), STOP.to_owned()].concat();
    let script = Script::new().then(Answer::sse([last.clone(), USAGE.into(), DONE.into()]));
    let response = layer.layer(script).oneshot(stream()).await.unwrap();
    assert_eq!(text(response).await, [&*last, DONE].concat());
    assert_eq!(layer.handle().stats().cut, 0);
    assert_eq!(alice(&layer.handle()).await, (150, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_may_be_ended_has_no_announced_length_and_is_asked_for_in_plain_text() {
    let layer = daily(100_000);
    let body = ScriptedBody::chunks([HELLO, STOP, DONE]).sized();
    let answer = Answer::stream(body).header("content-length", "9999");
    let script = Script::new().then(answer);
    let mut request = stream();
    let encodings = "gzip, br".parse().unwrap();
    request.headers_mut().insert("accept-encoding", encodings);
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert!(!response.headers().contains_key("content-length"));
    assert_eq!(http_body::Body::size_hint(response.body()).exact(), None);
    assert_eq!(script.seen()[0].headers["accept-encoding"], "identity");
}
