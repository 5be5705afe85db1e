//! JSON that was cut off, closed.

use super::tree::{Tree, Unexpected};

/// A tool's input of its pieces. `cut`: the model was stopped by its cap, so that it may lack its end.
pub(crate) fn input(json: &str, cut: bool) -> Result<Option<Tree>, Unexpected> {
    if json.is_empty() {
        return Ok(None);
    }
    let whole = match Tree::raw(json) {
        Err(_) if cut => Tree::raw(&completed(json).ok_or(Unexpected)?),
        whole => whole,
    };
    whole.map(Some).map_err(|_| Unexpected)
}

/// What is expected next.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Value,
    /// A value, or the end of the list that has just begun.
    First,
    Key,
    Colon,
    /// A comma, or the end of what is open.
    More,
}

/// The beginning of a JSON text, made whole: what is open is closed, and what has no value yet is left
/// out. A text that breaks off keeps what came of it; a number may lack digits, so it is left out.
///
/// `None`: it is no beginning of a JSON text, or not even its first value has begun.
pub(super) fn completed(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let mut open = Vec::new();
    let mut next = Next::Value;
    // up to here it is whole once what is open, and a text in quotes, are closed
    let mut whole = None;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match (byte, next) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => continue,
            (b'{', Next::Value | Next::First) => {
                open.push(b'}');
                next = Next::Key;
            }
            (b'[', Next::Value | Next::First) => {
                open.push(b']');
                next = Next::First;
            }
            (b'}' | b']', Next::More | Next::Key | Next::First) if open.last() == Some(&byte) => {
                open.pop();
                next = Next::More;
            }
            (b'"', Next::Key) => {
                let Some(end) = end_of_text(&bytes[at..]).0 else {
                    break;
                };
                at += end;
                next = Next::Colon;
                continue;
            }
            (b'"', Next::Value | Next::First) => match end_of_text(&bytes[at..]) {
                (Some(end), _) => {
                    at += end;
                    next = Next::More;
                }
                (None, kept) => {
                    whole = Some((at + kept, true));
                    break;
                }
            },
            (b':', Next::Colon) => {
                next = Next::Value;
                continue;
            }
            (b',', Next::More) => {
                next = match open.last()? {
                    b'}' => Next::Key,
                    _ => Next::Value,
                };
                continue;
            }
            (_, Next::Value | Next::First) => {
                let rest = &bytes[at..];
                let end = rest.iter().position(|byte| b",]} \t\r\n".contains(byte));
                let Some(end) = end else { break };
                at += end;
                next = Next::More;
            }
            _ => return None,
        }
        whole = Some((at, false));
    }
    let (length, in_text) = whole?;
    let mut json = json.get(..length)?.to_owned();
    if in_text {
        json.push('"');
    }
    json.extend(open.iter().rev().map(|close| char::from(*close)));
    Some(json)
}

/// The length of a text after its opening quote, with its closing one; and if that is not there, how
/// much can be kept: no half of a character, of an escape, or of a pair of escapes.
fn end_of_text(bytes: &[u8]) -> (Option<usize>, usize) {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let length = match byte {
            b'"' => return (Some(at + 1), at),
            b'\\' if bytes.get(at + 1) == Some(&b'u') => match bytes.get(at + 2..at + 4) {
                // the first half of a pair
                Some([b'd' | b'D', b'8'..=b'9' | b'a'..=b'b' | b'A'..=b'B']) => 12,
                _ => 6,
            },
            b'\\' => 2,
            _ => 1,
        };
        if at + length > bytes.len() {
            break;
        }
        at += length;
    }
    (None, at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_has_no_value_yet_is_left_out() {
        let of = |json| completed(json).unwrap();
        assert_eq!(of(r#"{"#), "{}");
        assert_eq!(of(r#"{"a"#), "{}");
        assert_eq!(of(r#"{"a":"#), "{}");
        assert_eq!(of(r#"{"a":1"#), "{}");
        assert_eq!(of(r#"{"a":1,"#), r#"{"a":1}"#);
        assert_eq!(of(r#"{"a":1,"b":tr"#), r#"{"a":1}"#);
        assert_eq!(of(r#"{"a":[1,{"b":"#), r#"{"a":[1,{}]}"#);
        assert_eq!(of(r#"{"q":"lem"#), r#"{"q":"lem"}"#);
        assert_eq!(of(r#"{"q":"lem\"#), r#"{"q":"lem"}"#);
        assert_eq!(of(r#"{"q":"\ud83d\ude"#), r#"{"q":""}"#);
        assert_eq!(of(r#"{"q":"a"}"#), r#"{"q":"a"}"#);
        assert_eq!(completed(""), None);
        assert_eq!(completed("}"), None);
        assert_eq!(completed(r#"{"a" 1}"#), None);
        assert_eq!(completed(r#"{]"#), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a\"\\\\\n\u{1f600}é]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-c\"]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_beginning_of_an_object_is_made_whole(json in json()) {
            let json = serde_json::json!({ "a": json, "b": "é" });
            for text in [json.to_string(), serde_json::to_string_pretty(&json).unwrap()] {
                for end in (1..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                    let whole = completed(&text[..end]).unwrap();
                    let read: Value = serde_json::from_str(&whole).unwrap();
                    prop_assert!(read.is_object());
                    if end == text.len() {
                        prop_assert_eq!(&read, &json);
                    }
                }
            }
        }

        #[test]
        fn noise_is_no_panic(text in "[\\[\\]{}\",:a0\\\\u\\s]{0,40}") {
            completed(&text);
        }
    }
}
