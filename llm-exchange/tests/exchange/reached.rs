//! Where a stream reaches a number of tokens, to the event, and how it ends there.

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use llm_exchange::{
    Cut, CutShort, Dialect, End, ErrorAnswer, Meter, Peeked, Reached, Verdict,
    sse::{Decoder, Event},
    stream::Collector,
};
use serde_json::{Value, json};
use testkit::{BoxError, ScriptedBody};

use crate::{calls::call, peeks::look};

/// A word is a token.
fn chunk(index: u64, word: &str) -> Event {
    let choice = json!({"index": index, "delta": {"content": word}, "finish_reason": null});
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m-1",
        "choices": [choice],
    });
    Event::new(chunk.to_string())
}

fn openai() -> Vec<Event> {
    let words = [" one", " two", " three", " four", " five", " six"];
    let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 600}});
    let last = [finish.to_string(), usage.to_string(), "[DONE]".to_owned()];
    let words = words.iter().map(|word| chunk(0, word));
    words.chain(last.iter().map(Event::new)).collect()
}

fn anthropic() -> Vec<Event> {
    let named = |data: Value| Event::named(data["type"].as_str().unwrap(), data.to_string());
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let start = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    [
        json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "c-1", "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        start(0, json!({"type": "thinking", "thinking": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": " one"})),
        delta(0, json!({"type": "thinking_delta", "thinking": " two"})),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "ping"}),
        start(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": " three"})),
        delta(1, json!({"type": "text_delta", "text": " four"})),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
               "usage": {"output_tokens": 400}}),
        json!({"type": "message_stop"}),
    ]
    .map(named)
    .to_vec()
}

fn joined(events: &[Event]) -> Vec<u8> {
    events
        .iter()
        .flat_map(|event| event.raw().to_vec())
        .collect()
}

/// The mark that a stream in these chunks makes at so many tokens.
async fn reached<'c>(
    dialect: Dialect,
    chunks: impl IntoIterator<Item = &'c [u8]>,
    tokens: u64,
) -> Option<Reached> {
    let call = call(dialect);
    call.attempts().watch_output(tokens);
    let body = ScriptedBody::<BoxError>::chunks(chunks.into_iter().map(<[u8]>::to_vec));
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap();
    let (meter, response) = Meter::attach(response, &call);
    response.into_body().collect().await.unwrap();
    assert_eq!(meter.end(), Some(End::Complete));
    meter.reached(tokens)
}

fn collected(dialect: Dialect, stream: &[u8]) -> Value {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::copy_from_slice(stream));
    let mut collector = Collector::new(dialect);
    while let Some(event) = decoder.next_event() {
        collector.push(&event.unwrap()).unwrap();
    }
    serde_json::from_slice(&collector.finish().unwrap()).unwrap()
}

#[tokio::test]
async fn the_mark_is_at_the_end_of_the_very_event_however_the_stream_is_cut() {
    for (dialect, events, contents) in [
        (Dialect::OpenAiChat, openai(), vec![0, 1, 2, 3, 4, 5]),
        // its first event says that there is one token already
        (Dialect::AnthropicMessages, anthropic(), vec![0, 3, 7, 8]),
    ] {
        let stream = joined(&events);
        for (tokens, event) in contents.into_iter().enumerate() {
            let tokens = tokens as u64 + 1;
            let end = joined(&events[..=event]).len() as u64;
            for size in [1, 2, 7, 100, 1_000, stream.len()] {
                let mark = reached(dialect, stream.chunks(size), tokens).await.unwrap();
                assert_eq!(mark.at(), end, "{tokens} tokens in chunks of {size}");
                assert_eq!(mark.tokens().output, tokens);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_over_reaches_nothing_any_more() {
    // the provider's last word is far more than what could be seen
    let all = joined(&openai());
    assert!(reached(Dialect::OpenAiChat, [&*all], 7).await.is_none());
    let all = joined(&anthropic());
    assert!(
        reached(Dialect::AnthropicMessages, [&*all], 5)
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_running_count_of_the_providers_counts() {
    let counted = |tokens: u64| {
        let chunk = json!({
            "choices": [{"index": 0, "delta": {"content": " x"}}],
            "usage": {"prompt_tokens": 4, "completion_tokens": tokens},
        });
        Event::new(chunk.to_string())
    };
    let mut events = vec![counted(10), counted(90), counted(120)];
    events.extend(openai().drain(6..));
    let mark = reached(Dialect::OpenAiChat, [&*joined(&events)], 100)
        .await
        .unwrap();
    assert_eq!(mark.at(), joined(&events[..3]).len() as u64);
    assert_eq!((mark.tokens().input, mark.tokens().output), (4, 120));
    assert!(!mark.tokens().is_estimated());
}

#[tokio::test]
async fn what_was_said_until_there_and_the_ending_are_a_whole_answer() {
    let events = openai();
    let stream = joined(&events);
    for tokens in 1..=6 {
        let mark = reached(Dialect::OpenAiChat, [&*stream], tokens)
            .await
            .unwrap();
        let at = usize::try_from(mark.at()).unwrap();
        let cut = [&stream[..at], &mark.ending(true)].concat();
        let answer = collected(Dialect::OpenAiChat, &cut);
        let words = [" one", " two", " three", " four", " five", " six"];
        let said = words[..usize::try_from(tokens).unwrap()].concat();
        assert_eq!(
            answer,
            json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m-1",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": said},
                             "logprobs": null, "finish_reason": "length"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": tokens,
                          "total_tokens": tokens + 1},
            })
        );
        let without = String::from_utf8(mark.ending(false).to_vec()).unwrap();
        assert!(!without.contains("usage") && without.ends_with("data: [DONE]\n\n"));
    }
}

#[tokio::test]
async fn only_choices_that_are_open_are_ended() {
    let finish = json!({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]});
    let events = [
        chunk(0, " a"),
        chunk(1, " b"),
        Event::new(finish.to_string()),
        chunk(2, " c"),
        chunk(0, " d"),
    ];
    let mut all = events.to_vec();
    let finish =
        |index: u64| json!({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]});
    all.extend(
        [
            finish(0).to_string(),
            finish(2).to_string(),
            "[DONE]".to_owned(),
        ]
        .map(Event::new),
    );
    let mark = reached(Dialect::OpenAiChat, [&*joined(&all)], 4)
        .await
        .unwrap();
    let cut = [&*joined(&events), &mark.ending(false)].concat();
    let answer = collected(Dialect::OpenAiChat, &cut);
    let reasons = answer["choices"].as_array().unwrap().iter();
    let reasons: Vec<_> = reasons
        .map(|choice| choice["finish_reason"].clone())
        .collect();
    assert_eq!(reasons, ["length", "stop", "length"]);
}

#[tokio::test]
async fn an_open_block_is_closed_before_the_message_ends() {
    let events = anthropic();
    let stream = joined(&events);
    for (tokens, last, blocks, text) in [(2, 3, 1, Value::Null), (3, 7, 2, json!(" three"))] {
        let mark = reached(Dialect::AnthropicMessages, [&*stream], tokens)
            .await
            .unwrap();
        assert_eq!(mark.at(), joined(&events[..=last]).len() as u64);
        let ending = mark.ending(false);
        let stop = format!(
            "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":{}}}\n\n",
            blocks - 1
        );
        assert!(ending.starts_with(stop.as_bytes()));
        let cut = [&joined(&events[..=last]), &*ending].concat();
        let answer = collected(Dialect::AnthropicMessages, &cut);
        assert_eq!(answer["content"].as_array().unwrap().len(), blocks);
        assert_eq!(answer["content"][1]["text"], text);
        assert_eq!(answer["stop_reason"], "max_tokens");
        assert_eq!(
            answer["usage"],
            json!({"input_tokens": 9, "output_tokens": tokens})
        );
    }
}

#[tokio::test]
async fn every_number_that_is_watched_for_has_its_place() {
    let call = call(Dialect::OpenAiChat);
    for tokens in [5, 2, 5, 3] {
        call.attempts().watch_output(tokens);
    }
    let body = ScriptedBody::<BoxError>::new().data(joined(&openai()));
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .body(body);
    let (meter, response) = Meter::attach(response.unwrap(), &call);
    response.into_body().collect().await.unwrap();
    let place = |tokens| meter.reached(tokens).map(|mark| mark.at());
    let end = |events: usize| Some(joined(&openai()[..events]).len() as u64);
    assert_eq!((place(2), place(3), place(5)), (end(2), end(3), end(5)));
    assert_eq!(place(4), None, "not watched for");
}

#[tokio::test]
async fn the_same_text_in_a_row_is_counted() {
    let words = [" a", " b", " b", " b"];
    let events: Vec<_> = words.iter().map(|word| chunk(0, word)).collect();
    for size in [1, 50, 10_000] {
        let stream = joined(&events);
        let chunks = stream.chunks(size).map(<[u8]>::to_vec);
        let body = ScriptedBody::<BoxError>::chunks(chunks);
        let response = Response::builder()
            .header("content-type", "text/event-stream")
            .body(body);
        let (meter, response) = Meter::attach(response.unwrap(), &call(Dialect::OpenAiChat));
        response.into_body().collect().await.unwrap();
        assert_eq!(meter.repeats(), 3);
    }
}

#[test]
fn an_error_ends_a_stream_as_its_dialect_does() {
    let error = ErrorAnswer::new(http::StatusCode::GATEWAY_TIMEOUT, "stream_timeout", "late");
    assert_eq!(
        error.in_stream(Some(Dialect::OpenAiChat)),
        "data: {\"error\":{\"message\":\"late\",\"type\":\"server_error\",\"param\":null,\
         \"code\":\"stream_timeout\"}}\n\ndata: [DONE]\n\n"
    );
    assert_eq!(
        error.in_stream(Some(Dialect::AnthropicMessages)),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\
         \"message\":\"late\",\"details\":{\"error_code\":\"stream_timeout\"}}}\n\n"
    );
}

#[tokio::test]
async fn a_body_that_a_clock_of_ours_cut_short_is_timed_out() {
    let body = ScriptedBody::<BoxError>::new()
        .data(": hi\n\n")
        .error(CutShort::new(Cut::Clock, "late"));
    let (peeked, response) = look(body, Dialect::OpenAiChat).await;
    let verdict = Peeked::verdict(&peeked);
    assert_eq!(verdict, Verdict::TimedOut);
    assert_eq!(Meter::of(&response).unwrap().end(), Some(End::TimedOut));
}
