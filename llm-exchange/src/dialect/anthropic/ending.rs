//! The end of a stream that reached a limit of ours.

use serde::Serialize;

use crate::{Tokens, dialect::json, meter::Open, stream::ending::Last};

pub(super) fn by_limit(open: &Open, tokens: Tokens, _: bool) -> Vec<Last> {
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
        Last::named(stop.r#type, json::written(&stop))
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
        Last::named(delta.r#type, json::written(&delta)),
        Last::named(stop.r#type, json::written(&stop)),
    ];
    stops.chain(last).collect()
}
