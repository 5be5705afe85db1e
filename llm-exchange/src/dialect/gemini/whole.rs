//! Gemini: chunks, which are answers themselves, to the whole answer, and back.

use std::collections::BTreeMap;

use crate::{
    sse::Event,
    stream::{
        collect::Collect,
        tree::{Object, Tree, Unexpected},
    },
};

/// More parts than any answer has that are not one text.
const MOST_PARTS: usize = 1 << 16;

/// Chunks put together.
#[derive(Default)]
pub(super) struct Collected {
    /// All fields of the chunks but the candidates; the last that says something counts.
    envelope: Object,
    candidates: BTreeMap<u64, Candidate>,
}

#[derive(Default)]
struct Candidate {
    candidate: Object,
    content: Object,
    parts: Vec<Object>,
}

impl Collect for Collected {
    fn event(&mut self, data: &[u8]) -> Result<(), Unexpected> {
        for (name, value) in Object::parse(data)?.into_fields() {
            match &*name {
                "candidates" => {
                    if !value.is_null() {
                        for candidate in value.list()? {
                            self.candidate(candidate.object()?)?;
                        }
                    }
                    // holds the place
                    self.envelope.set_known("candidates", Tree::null());
                }
                _ => self.envelope.set_known(&name, value),
            }
        }
        Ok(())
    }

    fn into_answer(mut self: Box<Self>) -> Result<Object, Unexpected> {
        // a prompt that was blocked has none
        if self.envelope.get("candidates").is_some() {
            let candidates = self.candidates.into_values();
            let candidates = candidates.map(|candidate| candidate.whole().into());
            self.envelope
                .set("candidates", Tree::List(candidates.collect()));
        }
        Ok(self.envelope)
    }
}

impl Collected {
    fn candidate(&mut self, candidate: Object) -> Result<(), Unexpected> {
        let index = candidate.get("index").and_then(Tree::as_number);
        let whole = self.candidates.entry(index.unwrap_or(0)).or_default();
        for (name, value) in candidate.into_fields() {
            match (&*name, whole.candidate.get_mut(&name)) {
                ("content", _) => {
                    if !value.is_null() {
                        whole.content(value.object()?)?;
                    }
                    whole.candidate.set_known("content", Tree::null());
                }
                // lists that go on
                ("logprobsResult", Some(known)) => known.grow(value)?,
                _ => whole.candidate.set_known(&name, value),
            }
        }
        Ok(())
    }
}

impl Candidate {
    fn content(&mut self, content: Object) -> Result<(), Unexpected> {
        for (name, value) in content.into_fields() {
            if name == "parts" {
                if !value.is_null() {
                    for part in value.list()? {
                        self.part(part.object()?)?;
                    }
                }
                self.content.set_known("parts", Tree::null());
            } else {
                self.content.set_known(&name, value);
            }
        }
        Ok(())
    }

    /// A text goes on in the part before it, if that is a text of the same kind. What has a signature
    /// of its own stays apart.
    fn part(&mut self, part: Object) -> Result<(), Unexpected> {
        if let Some(text) = only_text(&part) {
            let thought = is_thought(&part);
            match self.parts.last_mut() {
                Some(last) if only_text(last).is_some() && is_thought(last) == thought => {
                    let text = Tree::text(text);
                    return last
                        .get_mut("text")
                        .map_or(Ok(()), |known| known.grow(text));
                }
                Some(_) if text.is_empty() => return Ok(()),
                _ => {}
            }
        }
        if self.parts.len() >= MOST_PARTS {
            return Err(Unexpected);
        }
        self.parts.push(part);
        Ok(())
    }

    fn whole(mut self) -> Object {
        if self.content.get("parts").is_some() {
            let parts = self.parts.into_iter().map(Tree::from).collect();
            self.content.set("parts", Tree::List(parts));
        }
        if self.candidate.get("content").is_some() {
            self.candidate.set("content", self.content.into());
        }
        self.candidate
    }
}

/// The text of a part that is nothing else.
fn only_text(part: &Object) -> Option<std::borrow::Cow<'_, str>> {
    let only = part.names().all(|name| matches!(name, "text" | "thought"));
    part.text("text").filter(|_| only)
}

fn is_thought(part: &Object) -> bool {
    part.get("thought").is_some_and(Tree::is_true)
}

/// The chunks that a stream with this answer would have had: one a part, and the last parts with all
/// else that is said, as a candidate that has ended may be taken for the end of the answer.
pub(super) fn expand(mut answer: Object) -> Result<Vec<Event>, Unexpected> {
    if answer.get("error").is_some() {
        return Err(Unexpected);
    }
    let Some(candidates) = answer.remove("candidates") else {
        // a prompt that was blocked
        answer.get("promptFeedback").ok_or(Unexpected)?;
        return Ok(vec![Event::new(answer.to_json())]);
    };
    let mut repeated = Object::default();
    for name in ["modelVersion", "responseId"] {
        if let Some(value) = answer.get(name) {
            repeated.set(name, value.clone());
        }
    }
    let mut events = Vec::new();
    let mut ends = Vec::new();
    for candidate in candidates.list()? {
        let mut candidate = candidate.object()?;
        if let Some(content) = candidate
            .get("content")
            .filter(|content| !content.is_null())
        {
            let mut content = content.clone().object()?;
            let mut parts = match content.remove("parts").filter(|parts| !parts.is_null()) {
                Some(parts) => parts.list()?,
                None => Vec::new(),
            };
            let last = parts.pop().into_iter().collect();
            for part in parts {
                let said = content.clone().with("parts", Tree::List(vec![part]));
                let mut one = Object::default().with("content", said.into());
                if let Some(index) = candidate.get("index") {
                    one.set("index", index.clone());
                }
                let one = Tree::List(vec![one.into()]);
                let chunk = repeated.clone().with("candidates", one);
                events.push(Event::new(chunk.to_json()));
            }
            content.set("parts", Tree::List(last));
            candidate.set("content", content.into());
        }
        ends.push(candidate.into());
    }
    answer.set("candidates", Tree::List(ends));
    events.push(Event::new(answer.to_json()));
    Ok(events)
}
