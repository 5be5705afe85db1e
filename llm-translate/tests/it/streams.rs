//! Streams, event by event, on their way to the caller.

use llm_exchange::{Framing, sse::Event};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    support::{
        Chat, Gemini, Messages, Responses, back, datas, jsons, smallest, stream, streamed_back,
        way_back, with,
    },
    transcripts,
};

fn of_transcript(back: &llm_translate::Back, name: &str) -> Vec<u8> {
    stream(back, Framing::Sse, [&*transcripts::bytes(name)])
}

#[test]
fn an_anthropic_stream_becomes_chunks() {
    let stream = of_transcript(&streamed_back(Chat, Messages), "23-anthropic-stream.sse");
    let all = datas(&stream);
    assert_eq!(all.last().unwrap(), "[DONE]");
    let chunks = jsons(&stream);
    for chunk in &chunks {
        assert_eq!(chunk["id"], "msg_s");
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["created"], 1_795_428_000);
        assert_eq!(chunk["model"], "claude-sonnet-5-5");
    }
    let deltas: Vec<_> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"])
        .collect();
    assert_eq!(
        *deltas[0],
        json!({"role": "assistant", "content": "", "refusal": null})
    );
    assert_eq!(*deltas[1], json!({"reasoning_content": "Lemons..."}));
    assert_eq!(*deltas[2], json!({"content": "Yel"}));
    assert_eq!(*deltas[3], json!({"content": "low"}));
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[5]["choices"], json!([]));
    let usage = &chunks[5]["usage"];
    assert_eq!(usage["prompt_tokens"], 4121);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 4096);
    assert_eq!(usage["completion_tokens"], 57);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 41);
    assert_eq!(chunks.len(), 6);
    assert!(chunks[..5].iter().all(|chunk| chunk["usage"].is_null()));
}

#[test]
fn who_did_not_ask_for_the_usage_hears_nothing_of_it() {
    let asked = with(smallest(Chat), json!({"stream": true}));
    let back = way_back(Chat, Messages, &asked);
    let chunks = jsons(&of_transcript(&back, "23-anthropic-stream.sse"));
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    assert!(chunks.iter().all(|chunk| chunk["choices"] != json!([])));
}

#[test]
fn chunks_become_an_anthropic_stream() {
    let stream = of_transcript(
        &streamed_back(Messages, Chat),
        "06-openai-chat-stream-tool-moderation.sse",
    );
    let events = jsons(&stream);
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert_eq!(events[0]["message"]["id"], "chatcmpl-x06");
    assert_eq!(
        events[1]["content_block"],
        json!({"type": "tool_use", "id": "call_1", "name": "lookup", "input": {}})
    );
    assert_eq!(
        events[2]["delta"],
        json!({"type": "input_json_delta", "partial_json": "{\"q\":"})
    );
    assert_eq!(events[5]["delta"]["stop_reason"], "tool_use");
    let names = String::from_utf8(stream).unwrap();
    assert!(names.starts_with("event: message_start\ndata: "));
}

#[test]
fn other_servers_streams_are_understood_too() {
    for (name, output) in [
        ("41-mistral-chat-stream.sse", 9),
        ("43-groq-chat-stream.sse", 33),
        ("48-openrouter-stream.sse", 57),
    ] {
        let events = jsons(&of_transcript(&streamed_back(Messages, Chat), name));
        let last = &events[events.len() - 2];
        assert_eq!(last["usage"]["output_tokens"], output, "{name}");
        assert_eq!(events.last().unwrap()["type"], "message_stop", "{name}");
    }
}

#[test]
fn an_error_in_the_stream_is_one_of_the_callers_dialect_and_the_end() {
    for name in [
        "04-openai-chat-stream-error.sse",
        "49-openrouter-stream-error.sse",
        "54-vllm-stream-error-then-done.sse",
    ] {
        let events = jsons(&of_transcript(&streamed_back(Messages, Chat), name));
        assert_eq!(events.last().unwrap()["type"], "error", "{name}");
    }
    for name in [
        "24-anthropic-stream-error.sse",
        "25-anthropic-stream-error-first.sse",
    ] {
        let all = datas(&of_transcript(&streamed_back(Chat, Messages), name));
        let error: Value = serde_json::from_str(&all[all.len() - 2]).unwrap();
        assert_eq!(error["error"]["code"], "overloaded_error", "{name}");
    }
}

#[test]
fn a_stream_that_breaks_off_is_never_a_clean_end() {
    let all = datas(&of_transcript(
        &streamed_back(Chat, Messages),
        "26-anthropic-stream-truncated.sse",
    ));
    let error: Value = serde_json::from_str(&all[all.len() - 2]).unwrap();
    assert_eq!(error["error"]["code"], "stream_broke_off");
    // even where nothing came
    let nothing = stream(&streamed_back(Messages, Chat), Framing::Sse, []);
    assert_eq!(jsons(&nothing)[0]["type"], "error");
}

#[test]
fn the_end_is_told_when_it_comes_and_not_when_the_connection_goes() {
    let mut translator = streamed_back(Chat, Messages).stream(Framing::Sse);
    let all = transcripts::bytes("23-anthropic-stream.sse");
    let said = translator.push(all.into());
    assert_eq!(datas(&said).last().unwrap(), "[DONE]");
    assert!(translator.is_over());
    assert!(translator.push("data: {}\n\n".into()).is_empty());
    assert!(translator.finish().is_empty());
}

#[test]
fn what_says_nothing_to_the_caller_keeps_its_stream_alive() {
    for (caller, target, came, alive) in [
        (
            Chat,
            Messages,
            "event: ping\ndata: {\"type\":\"ping\"}\n\n",
            ": keep-alive\n\n",
        ),
        (
            Messages,
            Chat,
            "data: {\"id\":\"1\",\"choices\":[]}\n\n: OPENROUTER PROCESSING\n\n",
            "",
        ),
        (
            Messages,
            Chat,
            ": OPENROUTER PROCESSING\n\n",
            ": keep-alive\n\n",
        ),
        (
            Responses,
            Chat,
            "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}\n\n",
            "",
        ),
    ] {
        let mut translator = streamed_back(caller, target).stream(Framing::Sse);
        let said = translator.push(came.into());
        let said = std::str::from_utf8(&said).unwrap();
        assert!(said.ends_with(alive) && !said.is_empty(), "{said}");
        let said = translator.push(": again\n\n".into());
        let said = std::str::from_utf8(&said).unwrap();
        assert!(
            said.contains("ping") || said.contains("keep-alive"),
            "{said}"
        );
        // half an event is none yet
        assert!(translator.push("data: {".into()).is_empty());
    }
}

#[test]
fn each_event_goes_on_as_soon_as_it_is_whole() {
    let all = transcripts::bytes("23-anthropic-stream.sse");
    let mut translator = streamed_back(Chat, Messages).stream(Framing::Sse);
    let needle = b"\"text\":\"Yel\"}}\n\n";
    let at = all
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap()
        + needle.len();
    let before = translator.push(all[..at - 1].to_vec().into());
    assert!(!String::from_utf8(before.to_vec()).unwrap().contains("Yel"));
    let now = translator.push(all[at - 1..at].to_vec().into());
    assert!(String::from_utf8(now.to_vec()).unwrap().contains("Yel"));
}

#[test]
fn pieces_of_calls_that_come_mixed_are_an_error_where_blocks_stand_one_after_another() {
    let call = |index: u64, begins: bool| {
        let mut call = json!({"index": index, "function": {"arguments": "{"}});
        if begins {
            call["id"] = format!("call_{index}").into();
            call["function"]["name"] = "f".into();
        }
        let chunk = json!({"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
        Event::new(chunk.to_string()).raw().to_vec()
    };
    let all = [call(0, true), call(1, true), call(0, false)];
    let events = jsons(&stream(
        &streamed_back(Messages, Chat),
        Framing::Sse,
        all.iter().map(|event| &**event),
    ));
    assert_eq!(
        events.last().unwrap()["error"]["details"]["error_code"],
        "mixed_calls"
    );
}

proptest! {
    #[test]
    fn noise_is_no_panic_and_no_clean_end(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (caller, target) in [(Chat, Messages), (Messages, Chat), (Gemini, Messages), (Responses, Gemini)] {
            let _ = back(caller, target).answer(&noise);
            let all = stream(&streamed_back(caller, target), Framing::Sse, [&*noise]);
            prop_assert!(String::from_utf8(all).unwrap().contains("error"));
        }
    }
}
