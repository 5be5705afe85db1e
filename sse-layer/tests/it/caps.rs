//! The cap on output tokens: to the event, with a proper end.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use llm_exchange::{Cut, Dialect, End, Meter, Verdict};
use serde_json::{Value, json};
use sse_layer::{SseLayer, StreamTimeoutLayer};
use tower::{Layer, ServiceExt};

use crate::common::*;

const WORDS: [&str; 6] = [" one", " two", " three", " four", " five", " six"];

fn capped(tokens: u64) -> SseLayer {
    SseLayer::new().max_output_tokens(tokens)
}

fn pieces(stream: &str, size: usize) -> ScriptedBody {
    ScriptedBody::chunks(stream.as_bytes().chunks(size).map(Bytes::copy_from_slice)).hang()
}

fn asking(fields: Value) -> Request<Full<Bytes>> {
    let mut body = json!({"model": "m", "messages": [], "stream": true});
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    post("https://api.example/v1/chat/completions", &body.to_string())
}

#[tokio::test(start_paused = true)]
async fn the_stream_is_cut_behind_the_very_event_however_it_comes() {
    let events = words(&WORDS);
    let stream = events.concat();
    for tokens in 1..=5 {
        for size in [1, 30, 200, 500, stream.len()] {
            let script = Script::new().then(Answer::stream(pieces(&stream, size)));
            let service = capped(tokens).layer(script.clone());
            let response = service.oneshot(openai(true)).await.unwrap();
            let meter = Meter::of(&response).unwrap().clone();
            let all = text(response).await;
            let said = usize::try_from(tokens).unwrap();
            let ending = all.strip_prefix(&events[..=said].concat()).unwrap();
            assert_eq!(
                ending,
                "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,\
                 \"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\
                 \"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n",
                "{tokens} tokens in frames of {size}"
            );
            assert!(
                !script.seen()[0].answer.is_alive(),
                "the upstream is let go"
            );
            assert_eq!(meter.end(), Some(End::Cut(Cut::Limit)));
            assert_eq!(meter.verdict(), Verdict::Ok);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn anthropics_blocks_are_closed_and_its_usage_is_said() {
    let events = message(&WORDS);
    let script = Script::new().then(Answer::stream(pieces(&events.concat(), 1_000)));
    let request = post(
        "https://api.example/v1/messages",
        r#"{"model":"c","max_tokens":2,"messages":[],"stream":true}"#,
    );
    let all = text(capped(3).layer(script).oneshot(request).await.unwrap()).await;
    assert!(all.starts_with(&events[..5].concat()));
    let answer = collected(Dialect::AnthropicMessages, &all);
    assert_eq!(
        answer["content"],
        json!([{"type": "text", "text": " one two three"}])
    );
    assert_eq!(answer["stop_reason"], "max_tokens");
    assert_eq!(
        answer["usage"],
        json!({"input_tokens": 9, "output_tokens": 3})
    );
}

#[tokio::test(start_paused = true)]
async fn the_usage_is_there_for_who_asked() {
    let stream = words(&WORDS).concat();
    let script = Script::new().then(Answer::stream(pieces(&stream, 1_000)));
    let request = asking(json!({"stream_options": {"include_usage": true}}));
    let all = text(capped(2).layer(script).oneshot(request).await.unwrap()).await;
    let answer = collected(Dialect::OpenAiChat, &all);
    assert_eq!(answer["usage"]["completion_tokens"], 2);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_more_gets_it_unless_the_cap_is_hard() {
    let events = words(&WORDS);
    let said = async |layer: SseLayer, request| {
        let body = ScriptedBody::chunks(events.clone());
        let script = Script::new().then(Answer::stream(body));
        let all = text(layer.layer(script).oneshot(request).await.unwrap()).await;
        let answer = collected(Dialect::OpenAiChat, &all);
        let text = answer["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned();
        text.split_whitespace().count()
    };
    assert_eq!(said(capped(2), asking(json!({}))).await, 2);
    assert_eq!(said(capped(2), asking(json!({"max_tokens": 1}))).await, 2);
    assert_eq!(said(capped(2), asking(json!({"max_tokens": 4}))).await, 4);
    assert_eq!(
        said(capped(2), asking(json!({"max_completion_tokens": 9}))).await,
        6
    );
    // the cap is of the call, a request's of each choice
    assert_eq!(
        said(capped(2), asking(json!({"max_tokens": 2, "n": 2}))).await,
        4
    );
    assert_eq!(
        said(capped(2).hard(), asking(json!({"max_tokens": 4}))).await,
        2
    );
}

#[tokio::test(start_paused = true)]
async fn reasoning_and_tool_calls_count() {
    let chunk = |delta: Value| {
        format!(
            "data: {}\n\n",
            json!({"choices": [{"index": 0, "delta": delta}]})
        )
    };
    let events = [
        chunk(json!({"reasoning_content": " one"})),
        chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": " two"}}]})),
        chunk(json!({"content": " three"})),
        chunk(json!({"content": " four"})),
    ];
    let script = Script::new().then(Answer::stream(ScriptedBody::chunks(events.clone()).hang()));
    let all = text(capped(3).layer(script).oneshot(openai(true)).await.unwrap()).await;
    assert!(all.starts_with(&events[..3].concat()) && !all.contains("four"));
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_never_cut_whatever_its_last_count_says() {
    let mut events = words(&WORDS);
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":900}}\n\n";
    events.insert(events.len() - 1, usage.to_owned());
    let script = Script::new().then(Answer::stream(ScriptedBody::chunks([events.concat()])));
    let all = text(capped(7).layer(script).oneshot(openai(true)).await.unwrap()).await;
    assert_eq!(all, events.concat());
}

#[tokio::test(start_paused = true)]
async fn it_is_as_exact_where_a_layer_further_in_has_read_ahead() {
    let events = words(&WORDS);
    for size in [150, 10_000] {
        // held back for its first content, with whatever came along
        let body = pieces(&events.concat(), size);
        let script = Script::new().then(Answer::stream(body));
        let clocks = StreamTimeoutLayer::new().first_content(SECOND * 5);
        let service = capped(2).layer(clocks.layer(script.clone()));
        let all = text(service.oneshot(openai(true)).await.unwrap()).await;
        assert!(all.starts_with(&events[..3].concat()));
        assert!(!all.contains("three") && all.ends_with(DONE));
        assert!(!script.seen()[0].answer.is_alive());
    }
}

/// What strict clients of the Responses API require of its last events.
#[derive(Debug, serde::Deserialize)]
#[serde(tag = "type")]
enum Last {
    #[serde(rename = "response.incomplete")]
    Incomplete {
        sequence_number: u64,
        response: LastResponse,
    },
    #[serde(rename = "error")]
    Error {
        sequence_number: u64,
        message: String,
    },
}

#[derive(Debug, serde::Deserialize)]
struct LastResponse {
    id: String,
    model: String,
    object: String,
    created_at: u64,
    output: Vec<Value>,
    status: String,
}

#[tokio::test(start_paused = true)]
async fn the_ends_of_a_responses_stream_are_such_as_strict_clients_parse() {
    let event = |data: Value| {
        format!(
            "event: {}\ndata: {data}\n\n",
            data["type"].as_str().unwrap()
        )
    };
    let start = event(json!({"type": "response.created", "sequence_number": 0,
        "response": {"id": "resp_1", "object": "response", "created_at": 7, "model": "m",
            "status": "in_progress", "output": []}}));
    let delta = |number: u64| {
        event(
            json!({"type": "response.output_text.delta", "sequence_number": number,
            "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": " word"}),
        )
    };
    let stream = [start, delta(1), delta(2), delta(3)].concat();
    let last = async |layer: SseLayer| {
        let request = post(
            "https://api.example/v1/responses",
            r#"{"model":"m","stream":true,"input":"hi"}"#,
        );
        let script = Script::new().then(Answer::stream(ScriptedBody::chunks([stream.clone()])));
        let response = layer.layer(script).oneshot(request).await.unwrap();
        let all = text(response).await;
        let data = all.rsplit_once("data: ").unwrap().1;
        serde_json::from_str::<Last>(data).unwrap()
    };
    let Last::Incomplete {
        sequence_number,
        response,
    } = last(capped(2)).await
    else {
        panic!("no end at a cap");
    };
    assert_eq!((sequence_number, response.created_at), (3, 7));
    assert_eq!((&*response.id, &*response.model), ("resp_1", "m"));
    assert_eq!(
        (&*response.object, &*response.status),
        ("response", "incomplete")
    );
    assert!(response.output.is_empty());

    let Last::Error {
        sequence_number,
        message,
    } = last(SseLayer::new()).await
    else {
        panic!("no error");
    };
    assert_eq!(sequence_number, 4);
    assert!(message.contains("complete"), "{message}");
}
