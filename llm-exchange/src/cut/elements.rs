//! The elements of one JSON array that is written bit by bit, as Gemini streams without `alt=sse`.

use super::{FindEnd, Found};

/// Each piece is the text of one element, without blanks and commas around it.
///
/// A body that is one object instead of an array counts as its only element: that is how an error
/// may come. Whether an element is JSON is for its reader to say; here only its end is found.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    at: At,
    /// The body is no array, but its one element.
    bare: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the array.
    #[default]
    Start,
    /// After `[`.
    First,
    /// After a comma.
    Next,
    /// After an element.
    After,
    /// After the array.
    Closed,
    /// Within an element, so many brackets deep.
    Nested(u32),
    /// The same, within a string.
    Text(u32),
    /// The same, after a backslash.
    Escape(u32),
    /// Within a number or a word.
    Plain,
}

impl Elements {
    /// As after the opening bracket.
    pub(crate) const fn within() -> Self {
        Self {
            at: At::First,
            bare: false,
        }
    }

    /// Whether the array's closing bracket, or the only object's, was seen.
    pub(crate) fn is_closed(&self) -> bool {
        self.at == At::Closed
    }

    /// Whether the last byte that was seen is behind an element and before the comma that follows, or
    /// behind them all.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self.at, At::After | At::Closed)
    }

    /// How many bytes at the front belong to no element. `None`: what follows can be none.
    fn between(&mut self, chunk: &[u8]) -> Option<usize> {
        for (at, byte) in chunk.iter().enumerate() {
            self.at = match (self.at, byte) {
                (before, b' ' | b'\t' | b'\n' | b'\r') => before,
                (At::Start, b'[') => At::First,
                (At::First | At::After, b']') if !self.bare => At::Closed,
                (At::After, b',') if !self.bare => At::Next,
                (At::Start | At::First | At::Next, b'{' | b'[') => {
                    self.bare = self.at == At::Start;
                    return Some(at);
                }
                (At::First | At::Next, b'"' | b'-' | b'0'..=b'9' | b'a'..=b'z') => return Some(at),
                _ => return None,
            };
        }
        Some(chunk.len())
    }

    const fn over(&self) -> At {
        if self.bare { At::Closed } else { At::After }
    }
}

impl FindEnd for Elements {
    fn find_end(&mut self, chunk: &[u8]) -> Found {
        let mut i = 0;
        if matches!(
            self.at,
            At::Start | At::First | At::Next | At::After | At::Closed
        ) {
            let Some(between) = self.between(chunk) else {
                return Found::Broken;
            };
            if between > 0 {
                return Found::Between(between);
            }
            self.at = match chunk[0] {
                b'{' | b'[' => At::Nested(1),
                b'"' => At::Text(0),
                _ => At::Plain,
            };
            i = 1;
        }
        while i < chunk.len() {
            let byte = chunk[i];
            match self.at {
                At::Text(depth) => {
                    let special = |byte: &u8| matches!(byte, b'"' | b'\\');
                    let Some(next) = chunk[i..].iter().position(special) else {
                        return Found::More;
                    };
                    i += next;
                    self.at = match (chunk[i], depth) {
                        (b'\\', _) => At::Escape(depth),
                        (_, 0) => {
                            self.at = self.over();
                            return Found::End(i + 1);
                        }
                        _ => At::Nested(depth),
                    };
                }
                At::Escape(depth) => self.at = At::Text(depth),
                At::Plain => {
                    if matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') {
                        self.at = self.over();
                        return Found::End(i);
                    }
                }
                At::Nested(depth) => {
                    let bracket = |byte: &u8| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']');
                    let Some(next) = chunk[i..].iter().position(bracket) else {
                        return Found::More;
                    };
                    i += next;
                    self.at = match chunk[i] {
                        b'"' => At::Text(depth),
                        b'{' | b'[' => match depth.checked_add(1) {
                            Some(deeper) => At::Nested(deeper),
                            None => return Found::Broken,
                        },
                        _ if depth == 1 => {
                            self.at = self.over();
                            return Found::End(i + 1);
                        }
                        _ => At::Nested(depth - 1),
                    };
                }
                At::Start | At::First | At::Next | At::After | At::Closed => return Found::Broken,
            }
            i += 1;
        }
        Found::More
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::cut::{Cutter, Uncut, oracle};

    fn cut(text: &str) -> (Vec<Result<String, Uncut>>, bool) {
        let mut cutter = Cutter::new(Elements::default(), 1 << 20);
        cutter.push(Bytes::copy_from_slice(text.as_bytes()));
        let pieces = std::iter::from_fn(|| cutter.next_piece());
        let texts = pieces
            .map(|piece| piece.map(|text| String::from_utf8_lossy(&text).into_owned()))
            .collect();
        (texts, cutter.finder().is_closed())
    }

    fn ok(texts: &[&str]) -> Vec<Result<String, Uncut>> {
        texts.iter().map(|text| Ok((*text).to_owned())).collect()
    }

    #[test]
    fn elements_come_without_what_stands_between_them() {
        assert_eq!(
            cut("\n [{\"a\":[1]},\r\n {\"b\":\"]}\\\"\"} ,3.5,\"x\\\\\" , null]\n"),
            (
                ok(&[
                    "{\"a\":[1]}",
                    "{\"b\":\"]}\\\"\"}",
                    "3.5",
                    "\"x\\\\\"",
                    "null"
                ]),
                true
            )
        );
        assert_eq!(cut("[]"), (vec![], true));
        assert_eq!(cut("[[],[[1]]]"), (ok(&["[]", "[[1]]"]), true));
    }

    #[test]
    fn a_single_object_is_its_own_element() {
        assert_eq!(cut(" {\"error\":{}} \n"), (ok(&["{\"error\":{}}"]), true));
    }

    #[test]
    fn an_array_that_breaks_off_is_not_closed() {
        assert_eq!(cut("[{\"a\":1},{\"b\""), (ok(&["{\"a\":1}"]), false));
        assert_eq!(cut("[{\"a\":1}"), (ok(&["{\"a\":1}"]), false));
        assert_eq!(cut("[{\"a\":1},"), (ok(&["{\"a\":1}"]), false));
    }

    #[test]
    fn what_is_no_array_is_broken() {
        for text in [
            "x", "[,", "[1 2", "[1]]", "{}{}", "{},", "}", "]", "<html>", "\"text\"",
        ] {
            let (pieces, _) = cut(text);
            assert_eq!(pieces.last(), Some(&Err(Uncut::Broken)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_elements_are_those_of_the_array_however_it_is_cut(
            elements in prop::collection::vec(oracle::json(), 0..5),
            pretty in any::<bool>(),
            cuts in prop::collection::vec(0usize..40, 0..40),
        ) {
            let array = Value::Array(elements.clone());
            let text = if pretty {
                serde_json::to_string_pretty(&array).unwrap()
            } else {
                array.to_string()
            };
            let mut cutter = Cutter::new(Elements::default(), 1 << 20);
            let pieces = oracle::feed(&mut cutter, text.as_bytes(), &cuts);
            let read: Vec<Value> = pieces
                .iter()
                .map(|piece| serde_json::from_slice(piece.as_ref().unwrap()).unwrap())
                .collect();
            prop_assert_eq!(read, elements);
            prop_assert!(cutter.finder().is_closed());
            prop_assert!(!cutter.is_within());
        }
    }
}
