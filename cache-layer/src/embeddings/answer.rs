//! An answer of embeddings, taken apart and put together.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::within::within;

/// The embeddings of an answer as they are written, in the order of their texts.
pub(crate) struct Embeddings<'a> {
    body: &'a [u8],
    /// Where the list of them stands.
    data: Range<usize>,
    usage: Option<Range<usize>>,
    pub(crate) vectors: Vec<Vector<'a>>,
    pub(super) tokens: u64,
}

/// One embedding with what is said of it, and where in that its index stands.
#[derive(Clone, PartialEq)]
pub(crate) struct Vector<'a> {
    text: &'a str,
    index: Range<usize>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    #[serde(borrow)]
    index: &'a RawValue,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
}

/// What a merged answer says it used.
#[derive(Clone, Copy)]
pub(crate) enum Used {
    /// What the answer says that it is made from.
    AsSaid,
    /// So many tokens.
    Tokens(u64),
}

impl<'a> Embeddings<'a> {
    /// `None`: it is no answer to so many texts, each with its index.
    pub(crate) fn read(body: &'a [u8], texts: usize) -> Option<Self> {
        let answer: Answer<'a> = serde_json::from_slice(body).ok()?;
        let list: Vec<&'a RawValue> = serde_json::from_str(answer.data.get()).ok()?;
        if list.len() != texts {
            return None;
        }
        let mut vectors = vec![None; texts];
        for text in list {
            let text = text.get();
            let Embedding { index, embedding } = serde_json::from_str(text).ok()?;
            let number: usize = index.get().parse().ok()?;
            let index = within(text.as_bytes(), index.get())?;
            let is_one = embedding.get().starts_with(['[', '"']);
            let there = vectors.get_mut(number)?.replace(Vector { text, index });
            if there.is_some() || !is_one {
                return None;
            }
        }
        let usage = answer.usage.map(RawValue::get);
        let tokens =
            usage.and_then(|usage| serde_json::from_str::<Usage>(usage).ok()?.prompt_tokens);
        Some(Self {
            body,
            data: within(body, answer.data.get())?,
            usage: usage.and_then(|usage| within(body, usage)),
            vectors: vectors.into_iter().collect::<Option<_>>()?,
            tokens: tokens.unwrap_or(0),
        })
    }

    /// The answer with these embeddings in place of its own.
    pub(crate) fn with(&self, vectors: &[&Vector<'_>], used: Used) -> Bytes {
        let size: usize = vectors.iter().map(|vector| vector.text.len() + 8).sum();
        let mut data = Vec::with_capacity(size + 2);
        data.push(b'[');
        for (number, Vector { text, index }) in vectors.iter().enumerate() {
            if number > 0 {
                data.push(b',');
            }
            data.extend_from_slice(&text.as_bytes()[..index.start]);
            data.extend_from_slice(number.to_string().as_bytes());
            data.extend_from_slice(&text.as_bytes()[index.end..]);
        }
        data.push(b']');
        let mut changed = vec![(self.data.clone(), data)];
        if let (Used::Tokens(tokens), Some(at)) = (used, &self.usage) {
            let usage = format!(r#"{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}"#);
            changed.push((at.clone(), usage.into_bytes()));
        }
        changed.sort_by_key(|(at, _)| at.start);
        let mut whole = Vec::with_capacity(self.body.len() - self.data.len() + size + 128);
        let mut from = 0;
        for (at, text) in changed {
            whole.extend_from_slice(&self.body[from..at.start]);
            whole.extend_from_slice(&text);
            from = at.end;
        }
        whole.extend_from_slice(&self.body[from..]);
        whole.into()
    }
}

/// Whether there are embeddings in it, of however many texts.
pub(crate) fn is_answer(body: &[u8]) -> bool {
    let texts = serde_json::from_slice::<Answer<'_>>(body)
        .ok()
        .and_then(|answer| {
            let list: Vec<&RawValue> = serde_json::from_str(answer.data.get()).ok()?;
            Some(list.len())
        });
    texts.is_some_and(|texts| texts > 0 && Embeddings::read(body, texts).is_some())
}

/// A total in shares of these weights, to the last token.
pub(super) fn share(total: u64, weights: &[u64]) -> Vec<u64> {
    let all = weights
        .iter()
        .map(|weight| u128::from(*weight))
        .sum::<u128>()
        .max(1);
    let (mut weight, mut given) = (0_u128, 0_u64);
    let shares = weights.iter().map(|own| {
        weight += u128::from(*own);
        // up to here and no further, so that the shares sum up
        let until = u64::try_from(u128::from(total) * weight / all).unwrap_or(total);
        let share = until - given;
        given = until;
        share
    });
    shares.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_sum_up_exactly(total in any::<u64>(), weights in proptest::collection::vec(1u64..1 << 40, 1..50)) {
            let shares = share(total, &weights);
            let sum: u128 = shares.iter().map(|share| u128::from(*share)).sum();
            prop_assert_eq!(sum, u128::from(total));
        }

        #[test]
        fn no_answer_is_too_strange(text in "[\\[\\]{}\":,a-z0-9 ]{0,60}") {
            let _ = Embeddings::read(text.as_bytes(), 1);
        }
    }

    const ZERO: &str = r#"{"object":"embedding", "index": 0,"embedding":[0.1]}"#;
    const ONE: &str = r#"{"index":1,"embedding":"AAAA","more":{"index":7}}"#;

    fn body(data: &str) -> String {
        format!(r#"{{"usage":{{"prompt_tokens":7,"cost":1}}, "data":[{data}],"model":"m"}}"#)
    }

    #[test]
    fn embeddings_are_put_in_order_and_all_else_stays_as_it_was() {
        let text = body(&format!("{ONE}, {ZERO}"));
        let read = Embeddings::read(text.as_bytes(), 2).unwrap();
        assert_eq!(read.tokens, 7);
        let [zero, one] = &read.vectors[..] else {
            panic!()
        };
        assert_eq!(
            read.with(&[zero, one], Used::AsSaid),
            body(&format!("{ZERO},{ONE}"))
        );
        let turned = read.with(&[one, one, zero], Used::Tokens(3));
        let expected = r#"{"usage":{"prompt_tokens":3,"total_tokens":3}, "data":[{"index":0,"embedding":"AAAA","more":{"index":7}},{"index":1,"embedding":"AAAA","more":{"index":7}},{"object":"embedding", "index": 2,"embedding":[0.1]}],"model":"m"}"#;
        assert_eq!(turned, expected);
    }

    #[test]
    fn an_answer_with_a_gap_or_to_another_number_of_texts_is_none() {
        let reads = |data: &str, texts| Embeddings::read(body(data).as_bytes(), texts).is_some();
        assert!(reads(ZERO, 1));
        assert!(!reads(ZERO, 2));
        assert!(!reads(ONE, 1));
        assert!(!reads(&format!("{ZERO},{ZERO}"), 2));
        assert!(!reads(&format!("{ZERO},{ONE}"), 1));
        assert!(!reads(r#"{"index":0,"embedding":null}"#, 1));
        assert!(!reads(r#"{"embedding":[1]}"#, 1));
    }
}
