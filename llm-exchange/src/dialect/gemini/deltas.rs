//! The deltas of a chunk. A function call comes whole, and has no number; it is given the next one.

use serde::Deserialize;

use crate::stream::{
    Delta, DeltaKind,
    delta::{Deltas, Field, json_of},
};

pub(super) fn read(data: &[u8], out: &mut Deltas) {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        candidates: Option<Vec<Candidate<'a>>>,
    }

    #[derive(Deserialize)]
    struct Candidate<'a> {
        index: Option<u64>,
        #[serde(borrow)]
        content: Option<Content<'a>>,
    }

    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        parts: Option<Vec<Part<'a>>>,
    }

    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        text: Field<'a>,
        thought: Option<bool>,
        #[serde(borrow, alias = "function_call", rename = "functionCall")]
        function_call: Option<FunctionCall<'a>>,
    }

    #[derive(Deserialize)]
    struct FunctionCall<'a> {
        #[serde(borrow)]
        id: Field<'a>,
        #[serde(borrow)]
        name: Field<'a>,
        #[serde(borrow)]
        args: Field<'a>,
    }

    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        return;
    };
    for candidate in chunk.candidates.into_iter().flatten() {
        let choice = candidate.index.unwrap_or(0);
        let parts = candidate.content.and_then(|content| content.parts);
        for part in parts.into_iter().flatten() {
            let kind = match part.thought {
                Some(true) => DeltaKind::Reasoning,
                _ => DeltaKind::Text,
            };
            out.say(choice, kind, part.text);
            if let Some(function) = part.function_call {
                let kind = DeltaKind::call(out.next_call(), function.id, function.name);
                out.push(Delta::new(choice, kind, json_of(function.args)));
            }
        }
    }
}
