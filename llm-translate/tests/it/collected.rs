//! A translated stream comes to the translated answer: for every caller of every target, however it is cut.

use llm_exchange::{
    Dialect, Framing,
    sse::Event,
    stream::{Collector, expand},
};
use llm_translate::{Asked, Back};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    Chat, Gemini, Messages, Responses, answer, back, datas, jsons, smallest, stream, streamed_back,
    with,
};

/// The answer that a stream of the caller's comes to, as its readers put it together.
fn collected(caller: Dialect, stream: &[u8]) -> Value {
    if caller == Responses {
        return jsons(stream).last().unwrap()["response"].clone();
    }
    let mut collector = Collector::new(caller);
    for data in datas(stream) {
        collector.push(&Event::new(data)).unwrap();
    }
    serde_json::from_slice(&collector.finish().unwrap()).unwrap()
}

/// Without what an answer says by not saying it, and with texts in one that streams say in pieces.
fn bare(mut answer: Value) -> Value {
    for choice in answer["choices"].as_array_mut().into_iter().flatten() {
        let message = choice["message"].as_object_mut().unwrap();
        message.retain(|name, value| !value.is_null() && (name != "content" || value != ""));
    }
    for candidate in answer["candidates"].as_array_mut().into_iter().flatten() {
        let parts = candidate["content"]["parts"].as_array_mut().unwrap();
        let mut all: Vec<Value> = Vec::new();
        for part in parts.drain(..).filter(|part| part["text"] != "") {
            match all.last_mut() {
                Some(last)
                    if part["text"].is_string()
                        && last["text"].is_string()
                        && last["thought"] == part["thought"] =>
                {
                    let text = [&last["text"], &part["text"]].map(|text| text.as_str().unwrap());
                    last["text"] = text.concat().into();
                }
                _ => all.push(part),
            }
        }
        *parts = all;
    }
    answer
}

fn said() -> impl Strategy<Value = Vec<Value>> {
    let text = "[a-z \"\\\\\n\u{e9}\u{1f600}\u{2028}]{1,12}";
    let block = prop_oneof![
        text.prop_map(|text| json!({"type": "text", "text": text})),
        text.prop_map(|text| json!({"type": "thinking", "thinking": text, "signature": "c2ln"})),
        ("[a-z]{1,8}", text).prop_map(|(id, text)| {
            json!({"type": "tool_use", "id": id, "name": "f", "input": {"q": text}})
        }),
    ];
    proptest::collection::vec(block, 0..6)
}

/// The ways back of the same call, whole and streamed; Gemini's caller asks for thoughts or does not.
fn ways(caller: Dialect, target: Dialect, thoughts: bool) -> (Back, Back) {
    if caller != Gemini {
        return (back(caller, target), streamed_back(caller, target));
    }
    let config = json!({"generationConfig": {"thinkingConfig": {"includeThoughts": thoughts}}});
    let body = with(smallest(Gemini), config).to_string();
    let asked = Asked::new(Gemini, body.as_bytes()).model("m");
    let of = |asked: Asked<'_>| asked.translate(target).unwrap().back().clone();
    (of(asked), of(asked.stream(Framing::Sse)))
}

/// The answer as each target would give it: Anthropic's, and what is made of that for the others.
fn as_said_by(target: Dialect, message: &str) -> String {
    match target {
        Messages => message.to_owned(),
        target => answer(&ways(target, Messages, true).0, message.as_bytes()).to_string(),
    }
}

/// The bytes of the stream that this would have been, in pieces.
fn chunks(
    target: Dialect,
    framing: Framing,
    whole: &str,
    cuts: &[prop::sample::Index],
) -> Vec<Vec<u8>> {
    let events = expand(target, whole.as_bytes(), true).unwrap();
    let bytes = match framing {
        Framing::Array => {
            let datas: Vec<_> = events
                .iter()
                .map(|event| String::from_utf8(event.data().unwrap().to_vec()).unwrap())
                .collect();
            format!("[{}]", datas.join(",\r\n")).into_bytes()
        }
        _ => events
            .iter()
            .flat_map(|event| event.raw().to_vec())
            .collect(),
    };
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2)
        .map(|pair| bytes[pair[0]..pair[1]].to_vec())
        .collect()
}

proptest! {
    #[test]
    fn a_translated_stream_comes_to_the_translated_answer_for_every_pair(
        content in said(),
        (input, cached, output) in (0u64..9999, 0u64..9999, 0u64..9999),
        reason in prop_oneof![Just("end_turn"), Just("max_tokens"), Just("refusal")],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        thoughts: bool,
    ) {
        let calls = content.iter().any(|block| block["type"] == "tool_use");
        let reason = if calls && reason == "end_turn" { "tool_use" } else { reason };
        let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": content, "stop_reason": reason, "stop_sequence": null,
            "usage": {"input_tokens": input, "cache_read_input_tokens": cached,
                "output_tokens": output}}).to_string();
        for (target, framing) in [
            (Chat, Framing::Sse), (Messages, Framing::Sse), (Gemini, Framing::Sse), (Gemini, Framing::Array),
        ] {
            let answered = as_said_by(target, &message);
            let chunks = chunks(target, framing, &answered, &cuts);
            for caller in [Chat, Messages, Gemini, Responses] {
                if caller == target {
                    continue;
                }
                let (whole, streamed) = ways(caller, target, thoughts);
                let streamed = stream(&streamed, framing, chunks.iter().map(Vec::as_slice));
                let whole = answer(&whole, answered.as_bytes());
                let context = format!("{target:?} ({framing:?}) to {caller:?}");
                prop_assert_eq!(bare(collected(caller, &streamed)), bare(whole), "{}", context);
            }
        }
    }
}
