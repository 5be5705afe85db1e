//! What an answer has beside its content, which other dialects have no place for.

use std::fmt;

use llm_exchange::Dialect;
use memchr::memmem;
use serde_json::Value;

/// Where such fields stand in an answer, or in an event of a stream.
struct Place {
    /// Of an object, or of all objects of a list.
    lists: &'static [&'static [&'static str]],
    fields: &'static [&'static str],
}

const CHAT: [Place; 3] = [
    Place {
        lists: &[&["choices", "message"], &["choices", "delta"]],
        fields: &["annotations"],
    },
    Place {
        lists: &[&["choices"]],
        fields: &["logprobs"],
    },
    // of servers that search by themselves
    Place {
        lists: &[&[]],
        fields: &["citations", "search_results"],
    },
];

const MESSAGES: [Place; 2] = [
    Place {
        lists: &[&["content"], &["content_block"]],
        fields: &["citations"],
    },
    Place {
        lists: &[&["delta"]],
        fields: &["citation"],
    },
];

const GEMINI: [Place; 1] = [Place {
    lists: &[&["candidates"]],
    fields: &[
        "citationMetadata",
        "groundingMetadata",
        "logprobsResult",
        "safetyRatings",
        "urlContextMetadata",
    ],
}];

/// The fields that were seen, each once.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Beside(Vec<&'static str>);

impl Beside {
    /// Of a whole answer, or of an event.
    pub(crate) fn of(dialect: Dialect, json: &[u8]) -> Self {
        let mut beside = Self::default();
        let places: &[Place] = match dialect {
            Dialect::OpenAiChat => &CHAT,
            Dialect::AnthropicMessages => &MESSAGES,
            Dialect::Gemini => &GEMINI,
            _ => return beside,
        };
        let Ok(text) = std::str::from_utf8(json) else {
            return beside;
        };
        let mut fields = places.iter().flat_map(|place| place.fields);
        // it is taken apart only where such a field is there with something in it
        if !fields.any(|name| is_filled(text, name)) {
            return beside;
        }
        let Ok(answer) = serde_json::from_str::<Value>(text) else {
            return beside;
        };
        for place in places {
            for path in place.lists {
                look(&answer, path, place.fields, &mut beside);
            }
        }
        beside
    }

    /// Takes what was not seen before out of another one.
    pub(crate) fn add(&mut self, other: Self) -> Self {
        let new = other.0.into_iter().filter(|name| !self.0.contains(name));
        let new: Vec<_> = new.collect();
        self.0.extend(&new);
        Self(new)
    }

    pub(crate) const fn names(&self) -> &[&'static str] {
        self.0.as_slice()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `citations, logprobs`
impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Whether a member of this name is anywhere with something in it.
fn is_filled(text: &str, name: &str) -> bool {
    let mut rest = text;
    while let Some(at) = memmem::find(rest.as_bytes(), name.as_bytes()) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        rest = after;
        let value = after
            .strip_prefix('"')
            .and_then(|after| after.trim_start().strip_prefix(':'));
        let Some(value) = value.filter(|_| before.ends_with('"')) else {
            continue;
        };
        let value = value.trim_start();
        let ended = |open: char, close: char| {
            let inside = value.strip_prefix(open);
            inside.is_some_and(|inside| inside.trim_start().starts_with(close))
        };
        if !(value.starts_with("null") || ended('[', ']') || ended('{', '}')) {
            return true;
        }
    }
    false
}

fn look(at: &Value, path: &[&'static str], fields: &'static [&'static str], beside: &mut Beside) {
    if let Value::Array(all) = at {
        for one in all {
            look(one, path, fields, beside);
        }
        return;
    }
    if let [first, then @ ..] = path {
        if let Some(inside) = at.get(first) {
            look(inside, then, fields, beside);
        }
        return;
    }
    for name in fields {
        let is_empty = match at.get(name) {
            None | Some(Value::Null) => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(members)) => members.is_empty(),
            Some(_) => false,
        };
        // one of a stream's is told under the name of them all
        let name = match *name {
            "citation" => "citations",
            name => name,
        };
        if !is_empty && !beside.0.contains(&name) {
            beside.0.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_and_beside_the_content_is_told() {
        let of = |dialect, json: &str| Beside::of(dialect, json.as_bytes()).to_string();
        for (dialect, json, says) in [
            (
                Dialect::OpenAiChat,
                r#"{"choices":[{"message":{"content":"\"logprobs\": 1","annotations":[ ]},"logprobs" : null}]}"#,
                "",
            ),
            (
                Dialect::OpenAiChat,
                r#"{"choices":[{"delta":{"annotations":[{"type":"url_citation"}]},"logprobs":{"content":[]}}],"citations":["u"]}"#,
                "annotations, logprobs, citations",
            ),
            (
                Dialect::OpenAiChat,
                r#"{"choices":[{"delta":{"tool_calls":[{"logprobs":1}]}}]}"#,
                "",
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"content":[{"type":"text","citations":null},{"type":"text","citations":[{}]}]}"#,
                "citations",
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"type":"content_block_delta","delta":{"type":"citations_delta","citation":{"type":"x"}}}"#,
                "citations",
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"content":[{"type":"tool_use","input":{"citations":[1]}}]}"#,
                "",
            ),
            (
                Dialect::Gemini,
                r#"{"candidates":[{"groundingMetadata":{"webSearchQueries":["q"]},"safetyRatings":[]}]}"#,
                "groundingMetadata",
            ),
            (Dialect::Gemini, "[1", ""),
        ] {
            assert_eq!(of(dialect, json), says, "{json}");
        }
    }
}
