//! What the caller sees of a stream: all that came, and never a silent end.

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llm_exchange::{End, Meter};
use sse_layer::{SseLayer, StreamTimeoutLayer};
use tower::{Layer, ServiceExt};

use crate::common::*;

async fn relayed(layer: &SseLayer, request: Request<Full<Bytes>>, body: ScriptedBody) -> String {
    let script = Script::new().then(Answer::stream(body));
    let response = layer.layer(script).oneshot(request).await.unwrap();
    text(response).await
}

fn chunks<T: AsRef<str>>(chunks: &[T]) -> ScriptedBody {
    let data = |body: ScriptedBody, chunk: &T| body.data(chunk.as_ref().to_owned());
    chunks.iter().fold(ScriptedBody::new(), data)
}

#[tokio::test(start_paused = true)]
async fn a_healthy_stream_is_passed_on_byte_for_byte_however_it_is_cut() {
    let layer = SseLayer::new()
        .max_output_tokens(1_000)
        .keep_alive(SECOND * 15);
    let odd = [
        ": hi\r\n\r\n",
        "id: 1\rdata: {\"choices\":[]}\r\r",
        "\n",
        "retry: 5\n\n",
    ];
    for (request, events) in [
        (openai as fn(bool) -> _, words(&[" a", " b\u{2028}", " c"])),
        (|_| anthropic(), message(&[" a", " b\u{2028}", " c"])),
    ] {
        let stream = odd.concat() + &events.concat();
        for size in [1, 3, 10, 100, stream.len()] {
            let body = stream.as_bytes().chunks(size).map(Bytes::copy_from_slice);
            let body = ScriptedBody::chunks(body).panic_past_end();
            assert_eq!(relayed(&layer, request(true), body).await, stream, "{size}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_head_keeps_proxies_from_holding_the_stream_up() {
    let answer = Answer::stream(chunks(&words(&["a"])))
        .header("content-length", "1000")
        .header("cache-control", "private")
        .header("x-request-id", "req_1");
    let script = Script::new().then(answer);
    let response = SseLayer::new()
        .layer(script)
        .oneshot(openai(true))
        .await
        .unwrap();
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap())
    };
    assert_eq!(header("content-type"), Some("text/event-stream"));
    assert_eq!(header("cache-control"), Some("no-cache"));
    assert_eq!(header("x-accel-buffering"), Some("no"));
    assert_eq!(header("x-request-id"), Some("req_1"));
    assert_eq!(header("content-length"), None);
    assert_eq!(response.body().size_hint().exact(), None);
}

const TRUNCATED: &str = "data: {\"error\":{\"message\":\"the provider's stream ended before its answer was complete\",\"type\":\"server_error\",\"param\":null,\"code\":\"stream_truncated\"}}\n\ndata: [DONE]\n\n";

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_too_early_says_so() {
    let layer = SseLayer::new();
    let whole = words(&[" a", " b"]);
    // anywhere before its terminator, `[DONE]` alone being none
    for end in 0..whole.len() - 1 {
        let expected = whole[..end].concat() + TRUNCATED;
        let all = relayed(&layer, openai(true), chunks(&whole[..end])).await;
        assert_eq!(all, expected, "after {end} events");
        // and the half of an event is not shown
        let half = &whole[end][..20];
        let cut = [&whole[..end].concat(), half].concat();
        let all = relayed(&layer, openai(true), chunks(&[cut])).await;
        assert_eq!(all, expected);
    }
    let all = relayed(&layer, openai(true), chunks(&[&say("a"), DONE])).await;
    assert_eq!(all, say("a") + DONE + TRUNCATED);
    let message = message(&[" a"]);
    for end in 1..message.len() {
        let all = relayed(&layer, anthropic(), chunks(&message[..end])).await;
        let ending = all.strip_prefix(&message[..end].concat()).unwrap();
        assert!(
            ending.starts_with("event: error\ndata: {\"type\":\"error\""),
            "{ending}"
        );
        assert_eq!(ending.matches("\n\n").count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_told_in_the_stream() {
    let body = chunks(&[say("a"), "data: {".into()])
        .error("reset")
        .panic_past_end();
    let script = Script::new().then(Answer::stream(body));
    let response = SseLayer::new()
        .layer(script)
        .oneshot(openai(true))
        .await
        .unwrap();
    let meter = Meter::of(&response).unwrap().clone();
    let all = text(response).await;
    assert_eq!(
        all,
        say("a")
            + "data: {\"error\":{\"message\":\"the provider's stream broke\",\"type\":\
               \"server_error\",\"param\":null,\"code\":\"stream_broken\"}}\n\ndata: [DONE]\n\n"
    );
    assert_eq!(meter.end(), Some(End::Broken));
    let timed_out = std::io::Error::from(std::io::ErrorKind::TimedOut);
    let all = relayed(
        &SseLayer::new(),
        anthropic(),
        chunks(&[START]).error(timed_out),
    )
    .await;
    assert!(all.contains("\"type\":\"timeout_error\""), "{all}");
}

#[tokio::test(start_paused = true)]
async fn what_breaks_after_the_last_word_is_nobodys_loss() {
    let whole = words(&["a"]);
    let all = relayed(
        &SseLayer::new(),
        openai(true),
        chunks(&whole).error("reset"),
    )
    .await;
    assert_eq!(all, whole.concat());
}

#[tokio::test(start_paused = true)]
async fn an_error_that_the_provider_tells_itself_is_left_as_it_is() {
    let error = "data: {\"error\":{\"message\":\"oops\",\"type\":\"server_error\"}}\n\n";
    for stream in [
        vec![ROLE, error],
        vec![error, DONE],
        vec![error, "data: half"],
    ] {
        let all = relayed(&SseLayer::new(), openai(true), chunks(&stream)).await;
        assert_eq!(all, stream.concat());
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_without_its_blank_line_is_an_end() {
    let whole = words(&["a"]).concat();
    let stream = whole.trim_end();
    let all = relayed(&SseLayer::new(), openai(true), chunks(&[stream])).await;
    assert_eq!(all, stream);
}

#[tokio::test(start_paused = true)]
async fn the_end_that_the_clocks_wrote_is_the_only_one() {
    let body = chunks(&[ROLE, &say("a")]).hang();
    let script = Script::new().then(Answer::stream(body));
    let service = StreamTimeoutLayer::new().idle(SECOND * 20).layer(script);
    let response = SseLayer::new()
        .layer(service)
        .oneshot(openai(true))
        .await
        .unwrap();
    let all = text(response).await;
    assert_eq!(all.matches("\"error\"").count(), 1, "{all}");
    assert_eq!(all.matches(DONE).count(), 1);
    assert!(all.contains("no content for 20s"));
}

#[tokio::test(start_paused = true)]
async fn trailers_come_last() {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    let body = chunks(&[say("a")]).trailers(trailers.clone());
    let script = Script::new().then(Answer::stream(body));
    let response = SseLayer::new()
        .layer(script)
        .oneshot(openai(true))
        .await
        .unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), say("a") + TRUNCATED);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_stream_passes_as_it_is() {
    let script = Script::new()
        .then(Answer::json(429, "{\"error\":{}}").header("retry-after", "2"))
        .then(Answer::json(200, "{}"))
        .then(Answer::sse(["\u{1f}junk"]).header("content-encoding", "gzip"))
        .then(Answer::sse(["data: x"]));
    let service = SseLayer::new().keep_alive(SECOND).layer(script);
    let response = service.clone().oneshot(openai(true)).await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["retry-after"]
        ),
        (429, &"2".parse().unwrap())
    );
    assert_eq!(text(response).await, "{\"error\":{}}");
    let response = service.clone().oneshot(openai(true)).await.unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(2));
    assert!(response.headers().get("x-accel-buffering").is_none());
    let response = service.clone().oneshot(openai(true)).await.unwrap();
    assert_eq!(text(response).await, "\u{1f}junk");
    // no LLM call: its stream is none of ours
    let response = service
        .oneshot(post("https://api.example/v1/files", "{}"))
        .await
        .unwrap();
    assert_eq!(text(response).await, "data: x");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_ahead_of_the_reader() {
    let body = (0..1_000).fold(ScriptedBody::new(), |body, _| body.data(say(" x")));
    let script = Script::new().then(Answer::stream(body));
    let service = StreamTimeoutLayer::new().idle(SECOND).layer(script.clone());
    let response = SseLayer::new().max_output_tokens(5_000).layer(service);
    let mut body = response.oneshot(openai(true)).await.unwrap().into_body();
    for frames in 1..100 {
        data(&mut body).await;
        // the one that was read ahead until the first content is among them
        assert!(script.seen()[0].answer.frames() <= frames.max(1));
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_utf8_pass_and_do_no_harm() {
    let noise: Vec<u8> = (0..=255).rev().collect();
    let whole = words(&["a"]).concat();
    let stream = [&noise[..], b"\n\n", whole.as_bytes()].concat();
    let script = Script::new().then(Answer::stream(ScriptedBody::new().data(stream.clone())));
    let response = SseLayer::new()
        .layer(script)
        .oneshot(openai(true))
        .await
        .unwrap();
    let all = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(all, stream);
}

#[tokio::test(start_paused = true)]
async fn a_line_without_an_end_passes_in_pieces_and_is_closed_before_the_error() {
    let line = "x".repeat(3 << 20);
    let body = ScriptedBody::new()
        .data(line.clone())
        .data(line.clone())
        .data(line.clone());
    let all = relayed(&SseLayer::new(), openai(true), body).await;
    assert_eq!(all, line.repeat(3) + "\n\n" + TRUNCATED);
}

#[tokio::test(start_paused = true)]
async fn a_last_event_tells_how_it_went() {
    let body = ScriptedBody::new()
        .wait(SECOND * 2)
        .data(say(" a"))
        .wait(SECOND)
        .data(say(" b"))
        .data(STOP)
        .data("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n")
        .data(DONE);
    let script = Script::new()
        .collect_bodies()
        .then(Answer::stream(body))
        .then(Answer::stream(chunks(&[say(" a")])));
    let service = SseLayer::new().summary().layer(script.clone());
    let all = text(service.clone().oneshot(openai(true)).await.unwrap()).await;
    let summary = "event: llm.summary\ndata: {\"duration_ms\":3000,\"first_content_ms\":2000,\
                   \"input_tokens\":7,\"output_tokens\":3,\"estimated\":false,\"end\":\"complete\"}\n\n";
    // the usage was asked for behind the caller's back, and is hidden from it
    assert_eq!(all, [&say(" a"), &say(" b"), STOP, DONE, summary].concat());
    let sent = script.seen()[0].body.clone().unwrap();
    assert!(String::from_utf8_lossy(&sent).contains("\"include_usage\":true"));
    let all = text(service.oneshot(openai(true)).await.unwrap()).await;
    assert!(
        all.ends_with("\"output_tokens\":1,\"estimated\":true,\"end\":\"truncated\"}\n\n"),
        "{all}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_of_the_answer_is_shown() {
    let script = Script::new().then(Answer::stream(chunks(&[say("canary")])));
    let response = SseLayer::new()
        .layer(script)
        .oneshot(openai(true))
        .await
        .unwrap();
    assert!(!format!("{response:?}").contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_in_an_event_too_large_to_be_read_is_given_no_error() {
    let image = "A".repeat(5 << 20);
    let gemini = format!(
        "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"inlineData\":{{\"data\":\"{image}\"}}}}]}},\"finishReason\":\"STOP\"}}],\"usageMetadata\":{{\"promptTokenCount\":3}}}}\n\n"
    );
    let uri = "https://api.example/v1beta/models/g:streamGenerateContent?alt=sse";
    for size in [1 << 20, 6 << 20] {
        let pieces = gemini.as_bytes().chunks(size).map(Bytes::copy_from_slice);
        let body = ScriptedBody::chunks(pieces);
        let seen = relayed(&SseLayer::new(), post(uri, "{}"), body).await;
        assert!(seen == gemini, "{:?}", &seen[seen.len() - 200..]);
    }
}
