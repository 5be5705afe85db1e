//! The end of a stream that reached a limit of ours.

use serde::Serialize;

use crate::{Tokens, dialect::json, meter::Open, stream::ending::Last};

pub(super) fn by_limit(open: &Open, tokens: Tokens, with_usage: bool) -> Vec<Last> {
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
        Last::new(json::written(&Chunk {
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
    events.push(Last::new("[DONE]"));
    events
}
