//! The stream that goes on, as a part of the one that the caller reads.

use std::mem;

use bytes::Bytes;
use llm_exchange::{
    Dialect,
    sse::Event,
    stream::{DeltaKind, DeltaReader},
};

use super::{heard::Names, seam::Seam};
use crate::members::{Members, elements, text as json_text};

/// Makes of the events of a further attempt a continuation of the first one's: what opens a stream is
/// left out, what names it is changed, and text that the caller has is left out.
pub(super) struct Graft {
    dialect: Dialect,
    reader: DeltaReader,
    /// As long as it is not clear where the new text begins.
    seam: Option<Seam>,
    held: Vec<(Event, String)>,
    /// Anthropic tells the prompt's tokens in the event that opens a stream.
    usage: Option<String>,
    /// The content block that the first attempt opened.
    block_is_open: bool,
}

/// The further attempt says something that is no continuation of a text.
#[derive(Debug)]
pub(super) struct Unsuited;

impl Graft {
    pub(super) fn new(dialect: Dialect, seam: Seam) -> Self {
        Self {
            dialect,
            reader: DeltaReader::new(dialect),
            seam: Some(seam),
            held: Vec::new(),
            usage: None,
            block_is_open: true,
        }
    }

    /// What the caller is given for the next event.
    pub(super) fn event(
        &mut self,
        event: Event,
        names: &Names,
        out: &mut Vec<Event>,
    ) -> Result<(), Unsuited> {
        let Some(data) = event.data() else {
            out.push(event);
            return Ok(());
        };
        if self.reader.push_data(&data).is_err() {
            self.release(names, out);
            out.push(event);
            return Ok(());
        }
        let mut text = String::new();
        while let Some(delta) = self.reader.next_delta() {
            match delta.kind {
                DeltaKind::Text => text.push_str(&delta.text),
                DeltaKind::Reasoning => {}
                _ => return Err(Unsuited),
            }
        }
        let opens = self.opens(&data)?;
        let Some(seam) = &mut self.seam else {
            self.pass(&event, None, names, out);
            return Ok(());
        };
        if !text.is_empty() {
            let decided = seam.push(&text);
            self.held.push((event, text));
            if let Some(left_out) = decided {
                self.leave_out(left_out, names, out);
            }
        } else if is_ping(&event) {
            out.push(event);
        } else if !opens {
            self.release(names, out);
            self.pass(&event, None, names, out);
        }
        Ok(())
    }

    /// No more comes: what is still held goes out.
    pub(super) fn release(&mut self, names: &Names, out: &mut Vec<Event>) {
        if let Some(seam) = &self.seam {
            self.leave_out(seam.end(), names, out);
        }
    }

    fn leave_out(&mut self, mut bytes: usize, names: &Names, out: &mut Vec<Event>) {
        self.seam = None;
        for (event, text) in mem::take(&mut self.held) {
            let rest = &text[bytes.min(text.len())..];
            let changed = (rest.len() < text.len()).then_some(rest);
            bytes = bytes.saturating_sub(text.len());
            self.pass(&event, changed, names, out);
        }
    }

    /// Whether the event only opens a stream, or says nothing.
    fn opens(&mut self, data: &[u8]) -> Result<bool, Unsuited> {
        let Some(event) = Members::of(data) else {
            return Ok(false);
        };
        Ok(match self.dialect {
            Dialect::AnthropicMessages => match event.read::<String>("type").as_deref() {
                Some("message_start") => {
                    let message = event
                        .get("message")
                        .and_then(|json| Members::of(json.as_bytes()));
                    self.usage =
                        message.and_then(|message| message.get("usage").map(str::to_owned));
                    true
                }
                Some("content_block_start") if self.seam.is_some() => {
                    let block = event
                        .get("content_block")
                        .and_then(|json| Members::of(json.as_bytes()));
                    let kind = block.and_then(|block| block.read::<String>("type"));
                    if event.get("index") != Some("0") || kind.as_deref() != Some("text") {
                        return Err(Unsuited);
                    }
                    true
                }
                _ => false,
            },
            // what ends it, or counts, is no opening
            _ => self.reader.finish_reasons().next().is_none() && event.get("usage").is_none(),
        })
    }

    fn pass(&mut self, event: &Event, text: Option<&str>, names: &Names, out: &mut Vec<Event>) {
        let changed = event.data().and_then(|data| match self.dialect {
            Dialect::OpenAiChat => chat(&data, text, names),
            Dialect::AnthropicMessages => self.message(&data, text, out),
            Dialect::Gemini => gemini(&data, text, names),
            _ => None,
        });
        out.push(match changed {
            None => event.clone(),
            Some(json) => match &*event.name() {
                "message" => Event::new(json),
                name => Event::named(name, json),
            },
        });
    }

    fn message(&mut self, data: &[u8], text: Option<&str>, out: &mut Vec<Event>) -> Option<String> {
        let mut event = Members::of(data)?;
        match (&*event.read::<String>("type")?, text) {
            ("content_block_delta", Some(text)) => {
                let mut delta = Members::of(event.get("delta")?.as_bytes())?;
                delta.set("text", json_text(text));
                let delta = delta.to_json();
                event.set("delta", delta);
            }
            ("content_block_stop", _) => {
                self.block_is_open = false;
                return None;
            }
            ("message_delta", _) => {
                if mem::take(&mut self.block_is_open) {
                    let stop = r#"{"type":"content_block_stop","index":0}"#;
                    out.push(Event::named("content_block_stop", stop));
                }
                let opening = self.usage.take()?;
                let opening = Members::of(opening.as_bytes())?;
                let mut usage = Members::of(event.get("usage")?.as_bytes())?;
                for name in PROMPT_TOKENS {
                    if let (Some(json), None) = (opening.get(name), usage.get(name)) {
                        usage.set(name, json.to_owned());
                    }
                }
                let usage = usage.to_json();
                event.set("usage", usage);
            }
            _ => return None,
        }
        Some(event.to_json())
    }
}

/// What Anthropic counts of a prompt.
const PROMPT_TOKENS: [&str; 4] = [
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
];

fn is_ping(event: &Event) -> bool {
    event.name() == "ping"
}

/// A chunk under the first stream's names. No second role: SDKs would put the two together.
fn chat(data: &[u8], text: Option<&str>, names: &Names) -> Option<String> {
    let mut chunk = Members::of(data)?;
    rename(&mut chunk, "id", names.id.as_ref());
    rename(&mut chunk, "created", names.created.as_ref());
    let choices = chunk.get("choices").and_then(elements).unwrap_or_default();
    let choices = choices.into_iter().map(|choice| {
        let mut choice = Members::of(choice.get().as_bytes())?;
        if let Some(delta) = choice.get("delta") {
            let mut delta = Members::of(delta.as_bytes())?;
            delta.remove("role");
            if let Some(text) = text {
                delta.set("content", json_text(text));
            }
            let delta = delta.to_json();
            choice.set("delta", delta);
        }
        Some(choice.to_json())
    });
    let choices = choices.collect::<Option<Vec<_>>>()?.join(",");
    chunk.set("choices", format!("[{choices}]"));
    Some(chunk.to_json())
}

fn rename(event: &mut Members<'_>, name: &'static str, to: Option<&String>) {
    if let Some(to) = to
        && event.get(name).is_some()
    {
        event.set(name, to.clone());
    }
}

fn gemini(data: &[u8], text: Option<&str>, names: &Names) -> Option<String> {
    let mut chunk = Members::of(data)?;
    rename(&mut chunk, "responseId", names.id.as_ref());
    if let Some(text) = text {
        let candidates = elements(chunk.get("candidates")?)?;
        let mut candidate = Members::of(candidates.first()?.get().as_bytes())?;
        let mut content = Members::of(candidate.get("content")?.as_bytes())?;
        let mut text = Some(text);
        let parts = elements(content.get("parts")?)?.into_iter().map(|part| {
            let mut part = Members::of(part.get().as_bytes())?;
            if part.get("text").is_some() && part.get("thought") != Some("true") {
                part.set("text", json_text(text.take().unwrap_or_default()));
            }
            Some(part.to_json())
        });
        let parts = parts.collect::<Option<Vec<_>>>()?.join(",");
        content.set("parts", format!("[{parts}]"));
        let content = content.to_json();
        candidate.set("content", content);
        let candidate = candidate.to_json();
        chunk.set("candidates", format!("[{candidate}]"));
    }
    Some(chunk.to_json())
}

/// Events one after the other, as bytes of a body.
pub(super) fn joined(events: &[Event]) -> Bytes {
    match events {
        [only] => only.raw().clone(),
        events => {
            let parts: Vec<_> = events.iter().map(|event| event.raw().as_ref()).collect();
            parts.concat().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const DIALECTS: [Dialect; 3] = [
        Dialect::OpenAiChat,
        Dialect::AnthropicMessages,
        Dialect::Gemini,
    ];

    fn says(dialect: Dialect, text: &str) -> Event {
        let data = match dialect {
            Dialect::OpenAiChat => {
                json!({"id": "2", "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]})
            }
            Dialect::AnthropicMessages => {
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
            }
            _ => json!({"candidates": [{"content": {"parts": [{"text": text}]}}]}),
        };
        Event::new(data.to_string())
    }

    fn text_of(dialect: Dialect, events: &[Event]) -> String {
        let (mut reader, mut text) = (DeltaReader::new(dialect), String::new());
        for event in events {
            reader.push(event).unwrap();
            while let Some(delta) = reader.next_delta() {
                text.push_str(&delta.text);
            }
        }
        text
    }

    proptest! {
        #[test]
        fn the_events_that_go_on_say_what_is_new_in_every_dialect(
            before in "[a-cä \"\n]{1,16}", pieces in prop::collection::vec("[a-cä \"\n]{1,6}", 0..6),
            echoes: bool,
        ) {
            let whole = pieces.concat();
            let mut seam = Seam::after(&before, echoes);
            let left_out = seam.push(&whole).unwrap_or_else(|| seam.end());
            for dialect in DIALECTS {
                let mut graft = Graft::new(dialect, Seam::after(&before, echoes));
                let (names, mut out) = (Names::default(), Vec::new());
                for piece in &pieces {
                    graft.event(says(dialect, piece), &names, &mut out).unwrap();
                }
                graft.release(&names, &mut out);
                prop_assert_eq!(text_of(dialect, &out), &whole[left_out..]);
                let raw = joined(&out);
                prop_assert!(!raw.windows(4).any(|part| part == b"role"));
            }
        }

        #[test]
        fn whatever_an_attempt_says_nothing_panics(
            events in prop::collection::vec(
                prop_oneof![
                    any::<Vec<u8>>(),
                    "[{}\\[\\]:,\"a-z0-9]{0,40}".prop_map(String::into_bytes),
                    prop::sample::select(vec![
                        r#"{"type":"message_delta","usage":[]}"#, r#"{"choices":[{"delta":7}]}"#, "[DONE]",
                        r#"{"choices":[{"delta":{"content":["x"]}}]}"#, r#"{"candidates":[{"content":{"parts":7}}]}"#,
                        r#"{"type":"content_block_start"}"#, r#"{"error":{}}"#, r#"{"id":null,"choices":null}"#,
                    ]).prop_map(|text| text.as_bytes().to_vec()),
                ],
                0..8,
            ),
        ) {
            for dialect in DIALECTS {
                let mut graft = Graft::new(dialect, Seam::after("One two", false));
                let mut heard = super::super::heard::Heard::new(dialect, 64);
                let mut out = Vec::new();
                for data in &events {
                    if graft.event(Event::new(data), heard.names(), &mut out).is_err() {
                        break;
                    }
                    for event in out.drain(..) {
                        let _ = heard.event(&event);
                    }
                }
                graft.release(heard.names(), &mut out);
            }
        }
    }
}
