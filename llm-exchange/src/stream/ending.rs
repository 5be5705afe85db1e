//! What a stream ends with that reached a limit of ours or failed, in the framing it came in.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Serialize;

use crate::{
    Dialect, Framing, Tokens, dialect::Problem, event_stream, grpc::prefixed, meter::Open,
    sse::Event,
};

/// One of the last events of a stream, as its dialect says it.
pub(crate) struct Last {
    /// Empty where events have none.
    name: &'static str,
    data: Vec<u8>,
}

impl Last {
    pub(crate) fn new(data: impl Into<Vec<u8>>) -> Self {
        Self::named("", data)
    }

    pub(crate) fn named(name: &'static str, data: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            data: data.into(),
        }
    }

    fn sse(self) -> Event {
        match self.name {
            "" => Event::new(self.data),
            name => Event::named(name, self.data),
        }
    }

    /// The frame that Bedrock would send: Converse's events as they are, those of an invoked model
    /// wrapped.
    fn frame(self, dialect: Dialect) -> Vec<u8> {
        #[derive(Serialize)]
        struct Chunk {
            bytes: String,
        }

        if dialect.wire().framing == Framing::EventStream {
            return event_stream::event(self.name, &self.data);
        }
        let bytes = STANDARD.encode(self.data);
        event_stream::event("chunk", &data(&Chunk { bytes }))
    }
}

/// The last events as the bytes of a body. `begun`: there was an event before them.
pub(crate) fn framed(framing: Framing, dialect: Dialect, events: Vec<Last>, begun: bool) -> Bytes {
    if events.is_empty() {
        return Bytes::new();
    }
    if framing == Framing::Array {
        return array(events, begun).into();
    }
    let parts: Vec<_> = events
        .into_iter()
        .map(|event| match framing {
            Framing::Lines | Framing::Array => [&*event.data, b"\n"].concat().into(),
            Framing::EventStream => event.frame(dialect).into(),
            Framing::Grpc => prefixed(&event.data).into(),
            Framing::Sse => event.sse().raw().clone(),
        })
        .collect();
    match <[Bytes; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => parts.concat().into(),
    }
}

/// What an array is cut behind is its last element, without a comma.
fn array(events: Vec<Last>, begun: bool) -> Vec<u8> {
    let mut array = Vec::new();
    for (number, event) in events.into_iter().enumerate() {
        let before = if begun || number > 0 { ",\n" } else { "[" };
        array.extend_from_slice(before.as_bytes());
        array.extend(event.data);
    }
    array.extend_from_slice(b"\n]\n");
    array
}

/// The end of a stream that failed. Nothing in gRPC, which has it in its trailers.
pub(crate) fn of_error(
    problem: &Problem<'_>,
    dialect: Dialect,
    framing: Framing,
    begun: bool,
) -> Bytes {
    match framing {
        Framing::Grpc => Bytes::new(),
        // what an invoked model's own events would say of it, no client of Amazon's reads
        Framing::EventStream => event_stream::exception(problem).into(),
        _ => framed(
            framing,
            dialect,
            (dialect.wire().ended_by_error)(problem),
            begun,
        ),
    }
}

fn data(fields: &impl Serialize) -> Vec<u8> {
    // numbers and strings always serialise
    serde_json::to_vec(fields).unwrap_or_default()
}

pub(crate) fn openai_chat(open: &Open, tokens: Tokens, with_usage: bool) -> Vec<Last> {
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
        Last::new(data(&Chunk {
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

pub(crate) fn anthropic(open: &Open, tokens: Tokens, _: bool) -> Vec<Last> {
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
        Last::named(stop.r#type, data(&stop))
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
        Last::named(delta.r#type, data(&delta)),
        Last::named(stop.r#type, data(&stop)),
    ];
    stops.chain(last).collect()
}
