//! The question of a call, where all else of it can be equal.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::within::within;

/// A longer question is not looked up by its meaning.
const LONGEST: usize = 8 << 10;

/// The last text of the user, of a call that has nothing but texts.
#[derive(Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) text: String,
    /// Where it stands in the body, with its quotes.
    pub(crate) at: Range<usize>,
}

type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// Of the outermost object: what may make an answer depend on more than the texts, or be more than one.
const MORE_THAN_TEXT: [&str; 14] = [
    "audio",
    "documents",
    "functions",
    "mcp_servers",
    "modalities",
    "plugins",
    "prediction",
    "prompt",
    "search_parameters",
    "toolConfig",
    "tool_config",
    "toolChoice",
    "tools",
    "web_search_options",
];
/// What a turn may have.
const OF_A_TURN: [&str; 6] = ["cache_control", "content", "name", "parts", "role", "type"];
/// What a block of text may have.
const OF_A_TEXT: [&str; 3] = ["cache_control", "text", "type"];

impl Question {
    /// `None`: there are tools, images or anything else beside texts, several turns where
    /// `conversations` are not looked up, or no text of the user at the end.
    pub(crate) fn read(body: &[u8], conversations: bool) -> Option<Self> {
        let members: Members<'_> = serde_json::from_slice(body).ok()?;
        let is_empty = |value: &RawValue| matches!(value.get(), "null" | "[]" | "{}");
        let has_more = |name: &&str| members.get(*name).is_some_and(|value| !is_empty(value));
        if MORE_THAN_TEXT.iter().any(has_more) {
            return None;
        }
        let of = ["messages", "contents", "input"];
        let mut turns = of.iter().filter_map(|name| members.get(*name));
        let (Some(turns), None) = (turns.next().map(|turns| turns.get()), turns.next()) else {
            return None;
        };
        if turns.starts_with('"') {
            return Self::of(body, turns);
        }
        let turns: Vec<Members<'_>> = serde_json::from_str(turns).ok()?;
        let (last, before) = turns.split_last()?;
        let mut users = 0;
        for turn in &turns {
            let is_user = match role(turn)?.as_ref() {
                "system" | "developer" => false,
                "user" => true,
                "assistant" | "model" if conversations => false,
                _ => return None,
            };
            users += usize::from(is_user);
            texts(turn)?;
        }
        let several = users > 1 && !conversations;
        if several || role(last)?.as_ref() != "user" || before.len() > MOST_TURNS {
            return None;
        }
        match texts(last)?[..] {
            [text] => Self::of(body, text),
            _ => None,
        }
    }

    fn of(body: &[u8], quoted: &str) -> Option<Self> {
        let text: String = serde_json::from_str(quoted).ok()?;
        let fits = !text.trim().is_empty() && text.len() <= LONGEST;
        fits.then(|| {
            Some(Self {
                text,
                at: within(body, quoted)?,
            })
        })?
    }
}

/// More turns before the last one are not read.
const MOST_TURNS: usize = 256;

/// Gemini's turns may leave it out.
fn role<'a>(turn: &Members<'a>) -> Option<Cow<'a, str>> {
    match turn.get("role") {
        None => Some("user".into()),
        Some(role) => serde_json::from_str::<Text<'_>>(role.get())
            .ok()
            .map(|role| role.0),
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The texts of a turn, as they are written. `None`: there is something else in it.
fn texts<'a>(turn: &Members<'a>) -> Option<Vec<&'a str>> {
    if !turn.keys().all(|name| OF_A_TURN.contains(&&**name)) {
        return None;
    }
    let content = turn.get("content").or_else(|| turn.get("parts"))?.get();
    if content.starts_with('"') {
        return Some(vec![content]);
    }
    let blocks: Vec<Members<'_>> = serde_json::from_str(content).ok()?;
    let text = |block: &Members<'a>| {
        let is_text = block.keys().all(|name| OF_A_TEXT.contains(&&**name));
        let text = block.get("text")?.get();
        (is_text && text.starts_with('"')).then_some(text)
    };
    blocks.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str, conversations: bool) -> Option<String> {
        let question = Question::read(body.as_bytes(), conversations)?;
        let quoted: String = serde_json::from_str(&body[question.at]).unwrap();
        assert_eq!(quoted, question.text);
        Some(quoted)
    }

    #[test]
    fn the_question_is_found_in_any_dialect() {
        for body in [
            r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"q \"1\""}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"q \"1\"","cache_control":{}}]}],"system":"s","tools":[]}"#,
            r#"{"contents":[{"parts":[{"text":"q \"1\""}]}],"systemInstruction":{"parts":[{"text":"s"}]}}"#,
            r#"{"input":"q \"1\"","instructions":"s","tools":null}"#,
            r#"{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"q \"1\""}]}]}"#,
        ] {
            assert_eq!(read(body, false).as_deref(), Some("q \"1\""), "{body}");
        }
    }

    #[test]
    fn what_has_tools_images_or_anything_else_has_none() {
        let turn = r#"{"role":"user","content":"q"}"#;
        for body in [
            format!(r#"{{"messages":[{turn}],"tools":[{{}}]}}"#),
            format!(r#"{{"messages":[{turn}],"functions":[{{}}]}}"#),
            format!(r#"{{"messages":[{turn}],"web_search_options":{{"x":1}}}}"#),
            format!(r#"{{"messages":[{turn},{{"role":"tool","content":"t"}},{turn}]}}"#),
            format!(r#"{{"messages":[{turn}],"input":"q"}}"#),
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"image_url","image_url":{}}]}]}"#.to_owned(),
            r#"{"messages":[{"role":"user","content":"q","images":["x"]}]}"#.to_owned(),
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"text","text":"r"}]}]}"#.to_owned(),
            r#"{"messages":[{"role":"user","content":"  "}]}"#.to_owned(),
            format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "q".repeat(LONGEST + 1)),
            r#"{"messages":[]}"#.to_owned(),
            r#"{"prompt":"q"}"#.to_owned(),
            "[]".to_owned(),
        ] {
            for conversations in [false, true] {
                assert_eq!(read(&body, conversations), None, "{body}");
            }
        }
    }

    #[test]
    fn several_turns_have_one_only_where_that_is_chosen() {
        let body = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#;
        assert_eq!(read(body, false), None);
        assert_eq!(read(body, true).as_deref(), Some("c"));
        let two = r#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":"c"}]}"#;
        assert_eq!(read(two, false), None);
        // the model goes on from words put into its mouth
        let prefilled =
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
        assert_eq!(read(prefilled, true), None);
    }

    proptest! {
        #[test]
        fn no_body_is_too_strange(body in "[\\[\\]{}\":,a-z0-9 ]{0,80}") {
            let _ = Question::read(body.as_bytes(), true);
        }
    }
}
