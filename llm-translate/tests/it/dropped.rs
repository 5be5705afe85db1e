//! What answers have beside their content is not carried over, and never in silence.

use crate::{
    support::{Chat, Gemini, Messages, back, smallest, stream, streamed_back},
    transcripts,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llm_exchange::{Dialect, Framing};
use llm_translate::TranslateLayer;
use serde_json::json;
use testkit::{Answer, Script, ScriptedBody};
use tower::{Layer, ServiceExt};

/// An answer of the target's with something beside its content, and what that is called.
fn cited(target: Dialect) -> (String, &'static str) {
    let (json, names) = match target {
        Messages => (
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                "content": [{"type": "text", "text": "Yellow", "citations":
                    [{"type": "web_search_result_location", "url": "https://l", "title": "Lemons"}]}],
                "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {"input_tokens": 9, "output_tokens": 1}}),
            "citations",
        ),
        Gemini => (
            json!({"candidates": [{"content": {"parts": [{"text": "Yellow"}], "role": "model"},
                    "finishReason": "STOP", "safetyRatings": [{"category": "C", "probability": "NEGLIGIBLE"}],
                    "groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://l"}}]}}],
                "responseId": "r", "modelVersion": "m"}),
            "groundingMetadata, safetyRatings",
        ),
        _ => (
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null,
                    "message": {"role": "assistant", "content": "Yellow", "annotations":
                        [{"type": "url_citation", "url_citation": {"url": "https://l"}}]}}]}),
            "annotations",
        ),
    };
    (json.to_string(), names)
}

fn layer(target: Dialect) -> TranslateLayer {
    match target {
        Messages => TranslateLayer::to_anthropic(),
        Gemini => TranslateLayer::to_gemini(),
        _ => TranslateLayer::to_openai_chat(),
    }
}

async fn ask(
    caller: Dialect,
    target: Dialect,
    streams: bool,
    answer: Answer,
) -> (Response<()>, String) {
    let mut json = smallest(caller);
    let path = match caller {
        Messages => "/v1/messages",
        Gemini if streams => "/v1beta/models/m:streamGenerateContent?alt=sse",
        Gemini => "/v1beta/models/m:generateContent",
        _ => "/v1/chat/completions",
    };
    if streams && caller != Gemini {
        json["stream"] = true.into();
    }
    let request = Request::post(format!("https://api.example{path}"))
        .header("content-type", "application/json")
        .body(Full::from(json.to_string()))
        .unwrap();
    let service = layer(target).layer(Script::new().then(answer));
    let (head, body) = service.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        Response::from_parts(head, ()),
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

const PAIRS: [(Dialect, Dialect); 6] = [
    (Chat, Messages),
    (Chat, Gemini),
    (Messages, Chat),
    (Messages, Gemini),
    (Gemini, Chat),
    (Gemini, Messages),
];

#[tokio::test(start_paused = true)]
async fn an_answers_head_names_what_was_dropped_and_the_text_stays() {
    for (caller, target) in PAIRS {
        let (body, names) = cited(target);
        assert_eq!(
            back(caller, target).dropped(body.as_bytes()).join(", "),
            names
        );
        // also where a stream was asked for and JSON came
        for streams in [false, true] {
            let answer = Answer::json(200, body.clone());
            let (head, text) = ask(caller, target, streams, answer).await;
            let context = format!("{target:?} to {caller:?}: {text}");
            assert_eq!(head.headers()["x-llm-dropped"], names, "{context}");
            assert!(
                text.contains("Yellow") && !text.contains("https://l"),
                "{context}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_it_once_in_a_comment() {
    let delta = |delta: serde_json::Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    let citation = || delta(json!({"type": "citations_delta", "citation": {"url": "https://l"}}));
    let events = [
        json!({"type": "message_start", "message": {"id": "m", "model": "m", "content": [],
            "usage": {"input_tokens": 9, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        citation(),
        delta(json!({"type": "text_delta", "text": "Yellow"})),
        citation(),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let events = events.map(|event| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
    });
    for (caller, told) in [(Chat, 1), (Gemini, 0)] {
        let body = ScriptedBody::chunks(events.clone());
        let (_, text) = ask(caller, Messages, true, Answer::stream(body)).await;
        assert_eq!(
            text.matches(": dropped citations\n\n").count(),
            told,
            "{text}"
        );
        assert!(
            text.contains("Yellow") && !text.contains("https://l"),
            "{text}"
        );
    }
    let mut translator = streamed_back(Chat, Messages).stream(Framing::Sse);
    translator.push(events.concat().into());
    assert_eq!(translator.dropped(), ["citations"]);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_nothing_beside_nothing_is_said() {
    for (name, target) in [
        ("02-openai-chat-response.json", Chat),
        ("22-anthropic-response.json", Messages),
        ("32-gemini-response.json", Gemini),
    ] {
        let bytes = transcripts::bytes(name);
        let caller = if target == Chat { Messages } else { Chat };
        let (head, _) = ask(caller, target, false, Answer::json(200, bytes)).await;
        assert!(!head.headers().contains_key("x-llm-dropped"), "{name}");
    }
    for (name, target) in [
        ("06-openai-chat-stream-tool-moderation.sse", Chat),
        ("23-anthropic-stream.sse", Messages),
        ("33-gemini-stream-crlf.sse", Gemini),
    ] {
        let caller = if target == Chat { Messages } else { Chat };
        let bytes = transcripts::bytes(name);
        let text = stream(&streamed_back(caller, target), Framing::Sse, [&*bytes]);
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains(": dropped"), "{name}: {text}");
    }
}
