//! The texts of a call for embeddings.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use http::Request;
use llm_exchange::{Call, Dialect, Payload};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Key, Tags, Wanted,
    key::{BuildAsItIs, KeySettings},
    within::within,
};

/// More texts than the API takes in one call.
const MOST: usize = 2048;

/// A call for embeddings, text by text.
pub(crate) struct Batch {
    /// Its texts, each once.
    pub(super) texts: Vec<Text>,
    /// Which of them stands at each place.
    pub(super) places: Vec<usize>,
    pub(super) tags: Tags,
}

/// One text, or one list of tokens.
pub(super) struct Text {
    /// Where it stands in the body.
    pub(super) at: Range<usize>,
    pub(super) key: Key,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    input: &'a RawValue,
}

impl Batch {
    /// `None`: it is no call for embeddings, or one that can't be taken apart.
    pub(crate) fn read(
        settings: &KeySettings,
        request: &Request<Payload>,
        call: &Call,
    ) -> Option<Self> {
        if call.dialect() != Dialect::OpenAiEmbeddings {
            return None;
        }
        Call::can_be_rewritten(request).ok()?;
        let body: &[u8] = request.body().whole()?;
        let input = serde_json::from_slice::<Body<'_>>(body).ok()?.input.get();
        let inputs = inputs(input)?;
        let keyed = settings.read_but_texts(request, call)?;
        let mut known: HashMap<Key, usize, BuildAsItIs> = HashMap::default();
        let (mut texts, mut places) = (Vec::new(), Vec::with_capacity(inputs.len()));
        for input in inputs {
            let key = settings.text(keyed.key, &written(input)?);
            let place = *known.entry(key).or_insert(texts.len());
            if place == texts.len() {
                let at = within(body, input)?;
                texts.push(Text { at, key });
            }
            places.push(place);
        }
        Some(Self {
            texts,
            places,
            tags: keyed.tags,
        })
    }

    /// What is looked for.
    pub(super) fn wanted(&self, now: u64) -> impl Iterator<Item = Wanted> {
        self.texts.iter().map(move |text| Wanted {
            key: text.key,
            tags: self.tags,
            now,
        })
    }

    /// Every text stands once, so that the call asks for just these.
    pub(super) fn is_distinct(&self) -> bool {
        self.texts.len() == self.places.len()
    }

    /// The JSON list of some of the texts, as they are written.
    pub(super) fn list(&self, body: &[u8], some: &[usize]) -> Option<String> {
        let mut list = String::from("[");
        for number in some {
            if list.len() > 1 {
                list.push(',');
            }
            let text = body.get(self.texts[*number].at.clone())?;
            list.push_str(std::str::from_utf8(text).ok()?);
        }
        list.push(']');
        Some(list)
    }
}

/// One text or list of tokens, or several.
fn inputs(input: &str) -> Option<Vec<&str>> {
    if input.starts_with('"') {
        return Some(vec![input]);
    }
    let inputs: Vec<&RawValue> = serde_json::from_str(input).ok()?;
    let first = inputs.first()?.get();
    if first.starts_with(|first: char| first.is_ascii_digit()) {
        return Some(vec![input]);
    }
    (inputs.len() <= MOST).then(|| inputs.into_iter().map(RawValue::get).collect())
}

/// A text as it is written; of tokens the numbers alone.
fn written(input: &str) -> Option<Cow<'_, [u8]>> {
    if input.starts_with('"') {
        return Some(input.as_bytes().into());
    }
    let tokens = input.strip_prefix('[')?.strip_suffix(']')?;
    let is_token = |byte: &u8| byte.is_ascii_digit() || *byte == b',' || byte.is_ascii_whitespace();
    let all = !tokens.trim().is_empty() && tokens.as_bytes().iter().all(is_token);
    let bytes = tokens.bytes().filter(|byte| !byte.is_ascii_whitespace());
    all.then(|| bytes.collect::<Vec<_>>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_lists_of_tokens_alone_or_several_are_told_apart() {
        let read = |input: &'static str| {
            let inputs = inputs(input)?;
            let written = inputs
                .into_iter()
                .map(|input| Some(written(input)?.into_owned()));
            let written: Option<Vec<_>> = written.collect();
            Some(
                written?
                    .into_iter()
                    .map(|text| String::from_utf8(text).unwrap())
                    .collect::<Vec<_>>(),
            )
        };
        let is = |input, texts: &[&str]| assert_eq!(read(input).unwrap(), texts, "{input}");
        is(r#""a b""#, &[r#""a b""#]);
        is(r#"["a b", "c"]"#, &[r#""a b""#, r#""c""#]);
        is("[1, 2,\n3]", &["1,2,3"]);
        is("[[1, 2], [12]]", &["1,2", "12"]);
        is(r#"["1,2", [1,2]]"#, &[r#""1,2""#, "1,2"]);
        for none in [
            "[]",
            "[[]]",
            "{}",
            "7",
            "null",
            r#"[{"text":"a"}]"#,
            r#"[["a b"]]"#,
            "[[1,[2]]]",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
