//! The last events of a stream that reached a limit of ours.

use bytes::Bytes;
use serde::Serialize;

use crate::{Tokens, meter::Open, sse::Event};

/// Events one after the other.
pub(crate) fn joined(events: &[Event]) -> Bytes {
    let parts: Vec<_> = events.iter().map(|event| event.raw().as_ref()).collect();
    parts.concat().into()
}

fn data(fields: &impl Serialize) -> Vec<u8> {
    // numbers and strings always serialise
    serde_json::to_vec(fields).unwrap_or_default()
}

pub(crate) fn openai_chat(open: &Open, tokens: Tokens, with_usage: bool) -> Bytes {
    #[derive(Serialize)]
    struct Chunk<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        object: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        created: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<&'a str>,
        choices: &'a [Choice],
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    }

    #[derive(Serialize)]
    struct Choice {
        index: u64,
        delta: Nothing,
        logprobs: Option<u64>,
        finish_reason: &'static str,
    }

    #[derive(Serialize)]
    struct Nothing {}

    #[derive(Serialize)]
    struct Usage {
        prompt_tokens: u64,
        completion_tokens: u64,
        total_tokens: u64,
    }

    let chunk = |choices: &[Choice], usage| {
        Event::new(data(&Chunk {
            id: open.id.as_deref(),
            object: "chat.completion.chunk",
            created: open.created,
            model: open.model.as_deref(),
            choices,
            usage,
        }))
    };
    let mut events: Vec<_> = open
        .choices
        .iter()
        .map(|index| {
            let choice = Choice {
                index: *index,
                delta: Nothing {},
                logprobs: None,
                finish_reason: "length",
            };
            chunk(&[choice], None)
        })
        .collect();
    if with_usage {
        let usage = Usage {
            prompt_tokens: tokens.input,
            completion_tokens: tokens.output,
            total_tokens: tokens.total(),
        };
        events.push(chunk(&[], Some(usage)));
    }
    events.push(Event::new("[DONE]"));
    joined(&events)
}

pub(crate) fn anthropic(open: &Open, tokens: Tokens, _: bool) -> Bytes {
    #[derive(Serialize)]
    struct BlockStop {
        r#type: &'static str,
        index: u64,
    }

    #[derive(Serialize)]
    struct MessageDelta {
        r#type: &'static str,
        delta: Delta,
        usage: Usage,
    }

    #[derive(Serialize)]
    struct Delta {
        stop_reason: &'static str,
        stop_sequence: Option<&'static str>,
    }

    #[derive(Serialize)]
    struct Usage {
        output_tokens: u64,
    }

    #[derive(Serialize)]
    struct MessageStop {
        r#type: &'static str,
    }

    let stops = open.blocks.iter().map(|index| {
        let stop = BlockStop {
            r#type: "content_block_stop",
            index: *index,
        };
        Event::named(stop.r#type, data(&stop))
    });
    let delta = MessageDelta {
        r#type: "message_delta",
        delta: Delta {
            stop_reason: "max_tokens",
            stop_sequence: None,
        },
        usage: Usage {
            output_tokens: tokens.output,
        },
    };
    let stop = MessageStop {
        r#type: "message_stop",
    };
    let last = [
        Event::named(delta.r#type, data(&delta)),
        Event::named(stop.r#type, data(&stop)),
    ];
    joined(&stops.chain(last).collect::<Vec<_>>())
}
