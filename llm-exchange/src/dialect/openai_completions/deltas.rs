//! The deltas of a chunk.

use serde::Deserialize;

use crate::stream::{
    DeltaKind,
    delta::{Deltas, Field},
};

pub(super) fn read(data: &[u8], out: &mut Deltas) {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        choices: Option<Vec<Choice<'a>>>,
    }

    #[derive(Deserialize)]
    struct Choice<'a> {
        index: Option<u64>,
        #[serde(borrow)]
        text: Field<'a>,
    }

    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
        return;
    };
    for choice in chunk.choices.into_iter().flatten() {
        out.say(choice.index.unwrap_or(0), DeltaKind::Text, choice.text);
    }
}
