//! The text in a message, for a client. Function calls are left out: their arguments are no JSON here.

use super::{inside, numbers::Numbers};
use crate::{
    grpc::{Malformed, fields},
    stream::{Delta, DeltaKind, delta::Deltas},
};

/// What comes before something malformed is believed.
pub(super) fn read(message: &[u8], numbers: &Numbers, out: &mut Deltas) {
    for candidate in inside(message, numbers.candidates) {
        let Ok(candidate) = candidate else { return };
        let _ = candidate_deltas(candidate, numbers, out);
    }
}

fn candidate_deltas(
    candidate: &[u8],
    numbers: &Numbers,
    out: &mut Deltas,
) -> Result<(), Malformed> {
    let mut choice = 0;
    for field in fields(candidate) {
        let (number, value) = field?.into_parts();
        if number == numbers.index {
            choice = value.count();
        }
    }
    for content in inside(candidate, numbers.content) {
        for part in inside(content?, numbers.parts) {
            let (mut text, mut thought) = ("", false);
            for field in fields(part?) {
                let (number, value) = field?.into_parts();
                if number == numbers.text {
                    text = value.text().unwrap_or_default();
                } else if number == numbers.thought {
                    thought = value.count() != 0;
                }
            }
            if !text.is_empty() {
                let kind = match thought {
                    true => DeltaKind::Reasoning,
                    false => DeltaKind::Text,
                };
                out.push(Delta::new(choice, kind, text));
            }
        }
    }
    Ok(())
}
