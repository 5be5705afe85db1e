//! What the fuzz targets check, as the property tests do. Only there when built for fuzzing.

use std::{borrow::Cow, collections::HashSet, fmt};

use bytes::Bytes;
use llm_exchange::Dialect;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    Entry,
    alike::Question,
    embeddings::{Embeddings, Used},
    key::canonical,
    replay,
};

/// Every dialect whose requests are JSON.
const DIALECTS: [Dialect; 8] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::OpenAiCompletions,
    Dialect::OpenAiEmbeddings,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::Ollama,
    Dialect::BedrockConverse,
];

/// Bytes that a store may hold: what is read of them is written and read again as it was, and can be
/// replayed in either form.
pub fn entry(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let Some(entry) = Entry::from_bytes(&bytes) else {
        return;
    };
    let again = Entry::from_bytes(&entry.to_bytes().into()).expect("what was written is read");
    assert_eq!(
        (&again.head, &again.headers, &again.body),
        (&entry.head, &entry.headers, &entry.body)
    );
    let hidden: u64 = entry
        .head
        .usage_events
        .iter()
        .map(|at| at.end - at.start)
        .sum();
    let shown = replay::without(&entry.body, &entry.head.usage_events);
    let shown: usize = shown.iter().map(Bytes::len).sum();
    assert_eq!(shown as u64 + hidden, entry.body.len() as u64);
    let _ = (
        entry.age(u64::MAX),
        entry.is_over(u64::MAX),
        entry.keep(),
        entry.usage(),
    );
    for dialect in DIALECTS {
        let _ = replay::collected(&entry, dialect);
        let _ = replay::expanded(&entry, dialect, true);
    }
}

/// What a Redis server may hold under a name, as it is and sealed as one who knows the secret would.
#[cfg(feature = "redis")]
pub fn packed(bytes: &[u8]) {
    crate::store::fuzz(bytes);
}

/// A request: it has one canonical form, in whatever order and with whatever blanks it is written.
pub fn request(body: &[u8]) {
    let turned = serde_json::from_slice::<&RawValue>(body)
        .ok()
        .and_then(turned);
    for dialect in DIALECTS {
        for without in [None, Some(&b"input"[..])] {
            let read = |body: &[u8]| {
                let mut written = Vec::new();
                let seen = canonical(body, dialect, without, &mut written)?;
                Some((written, seen))
            };
            let once = read(body);
            if let Some(turned) = &turned {
                assert_eq!(once, read(turned.as_bytes()), "{turned}");
            }
        }
    }
}

/// The same JSON with the members of its objects turned round and blanks between. `None`: some name stands
/// twice, or is written with escapes.
fn turned(value: &RawValue) -> Option<String> {
    match value.get().as_bytes().first()? {
        b'{' => {
            let Members(mut members) = serde_json::from_str(value.get()).ok()?;
            members.reverse();
            let mut names = HashSet::new();
            let members = members.into_iter().map(|(name, value)| {
                let is_plain = matches!(name, Cow::Borrowed(_)) && names.insert(name.clone());
                let value = turned(value)?;
                is_plain.then(|| format!(" \"{name}\"\t:\n{value} "))
            });
            Some(format!(
                "{{{}}}",
                members.collect::<Option<Vec<_>>>()?.join(",")
            ))
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            let items = items.into_iter().map(turned);
            Some(format!(
                "[ {} ]",
                items.collect::<Option<Vec<_>>>()?.join(" ,\r")
            ))
        }
        _ => Some(value.get().to_owned()),
    }
}

/// All members of an object, in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(serde::Deserialize, PartialEq, Eq, Hash)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}

/// An answer of embeddings: put together in another order it is one to as many texts.
pub fn embeddings(body: &[u8]) {
    for texts in 1..4 {
        let Some(read) = Embeddings::read(body, texts) else {
            continue;
        };
        let turned: Vec<_> = read.vectors.iter().rev().collect();
        let whole = read.with(&turned, Used::Tokens(7));
        let again = Embeddings::read(&whole, texts).expect("it is put together again");
        let back: Vec<_> = again.vectors.iter().rev().collect();
        let back = again.with(&back, Used::AsSaid);
        let once_more = Embeddings::read(&back, texts).expect("and back");
        assert!(once_more.vectors.iter().eq(&read.vectors));
    }
}

/// A request whose question is looked up by its meaning: it stands where it is said to stand, and the
/// request without it is JSON.
pub fn question(body: &[u8]) {
    for conversations in [false, true] {
        let Some(question) = Question::read(body, conversations) else {
            continue;
        };
        let quoted = body.get(question.at.clone()).expect("it is in the body");
        let text: String = serde_json::from_slice(quoted).expect("a text");
        assert_eq!(text, question.text);
        let (before, after) = (&body[..question.at.start], &body[question.at.end..]);
        let without = [before, b"\"\"", after].concat();
        assert!(is_json(&without));
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}
