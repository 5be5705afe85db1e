//! An answer, written as Gemini's stream.

use std::collections::BTreeMap;

use super::answer::{call, candidate, chunk, text_part, thought};
use crate::{
    answer::{Begins, End, Head, Kind, Piece},
    error::Unsaid,
    json::Object,
    write::Out,
};

/// The most of calls' arguments that is kept.
const MOST_BYTES: usize = 4 << 20;

/// A call is said whole here: what came of it is kept until something else of its choice comes.
#[derive(Default)]
pub(crate) struct Writer {
    /// By choice and number.
    calls: BTreeMap<(u64, u64), Pending>,
    bytes: usize,
}

struct Pending {
    begins: Begins,
    arguments: String,
}

impl Writer {
    /// # Errors
    ///
    /// Too much, and a call whose arguments are no object.
    pub(crate) fn piece(&mut self, piece: Piece, head: &Head, out: &mut Out) -> Result<(), Unsaid> {
        let part = match piece.kind {
            Kind::Text | Kind::Refusal => text_part(piece.text),
            Kind::Reasoning => thought(piece.text),
            Kind::Call { number, begins } => {
                return self.keep(piece.choice, number, begins, &piece.text);
            }
        };
        self.say_calls(piece.choice, head, out)?;
        say(piece.choice, vec![part], head, out);
        Ok(())
    }

    fn keep(
        &mut self,
        choice: u64,
        number: u64,
        begins: Option<Begins>,
        text: &str,
    ) -> Result<(), Unsaid> {
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > MOST_BYTES {
            return Err(Unsaid::TooLarge);
        }
        if let Some(begins) = begins {
            let arguments = String::new();
            self.calls
                .insert((choice, number), Pending { begins, arguments });
        }
        let call = self.calls.get_mut(&(choice, number)).ok_or(Unsaid::Mixed)?;
        call.arguments.push_str(text);
        Ok(())
    }

    /// Says the calls of a choice that have come.
    fn say_calls(&mut self, choice: u64, head: &Head, out: &mut Out) -> Result<(), Unsaid> {
        while let Some(key) = self.calls.range((choice, 0)..=(choice, u64::MAX)).next() {
            let key = *key.0;
            if let Some(Pending { begins, arguments }) = self.calls.remove(&key) {
                self.bytes = self.bytes.saturating_sub(arguments.len());
                let part = call(begins.id, begins.name, &arguments)?;
                say(choice, vec![part], head, out);
            }
        }
        Ok(())
    }

    pub(crate) fn end(&mut self, end: &End, head: &Head, out: &mut Out) -> Result<(), Unsaid> {
        for (choice, _) in &end.choices {
            self.say_calls(*choice, head, out)?;
        }
        // the last chunk of each has no text, and the usage stands on all that have an end
        let last = end.choices.iter().map(|(choice, ended)| {
            candidate(*choice, vec![text_part(String::new())], Some(*ended))
        });
        let last = chunk(head, last.collect(), end.usage);
        out.event(None, &last.to_json());
        Ok(())
    }
}

fn say(choice: u64, parts: Vec<Object<'static>>, head: &Head, out: &mut Out) {
    let chunk = chunk(head, vec![candidate(choice, parts, None)], None);
    out.event(None, &chunk.to_json());
}
