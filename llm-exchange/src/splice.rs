//! Changing one value of a JSON text and no other byte.

use std::{borrow::Cow, ops::Range};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Sets a string member of the outermost object; adds it in front if it isn't there.
///
/// `None`: the text is no JSON object, or has the member twice.
pub(crate) fn set_string(text: &Bytes, name: &str, value: &str) -> Option<Bytes> {
    // a string always serialises
    set(text, name, &serde_json::to_string(value).ok()?)
}

/// Sets a member of an object that is itself a member of the outermost one; adds what isn't there.
/// `null` in the object's place counts as not there.
///
/// `None`: either is no JSON object, or has the member twice.
pub(crate) fn set_within(text: &Bytes, outer: &str, name: &str, json: &str) -> Option<Bytes> {
    let object = match find_member(text, outer)? {
        Some(at) if &text[at.clone()] != b"null" => set(&text.slice(at), name, json)?,
        _ => Bytes::from(format!("{{\"{name}\":{json}}}")),
    };
    set(text, outer, std::str::from_utf8(&object).ok()?)
}

/// The same in Google's JSON, which has two spellings for every name: those that stand there are kept.
pub(crate) fn set_within_spelt(text: &Bytes, outer: &str, name: &str, json: &str) -> Option<Bytes> {
    let outer = spelling(text, outer)?;
    let Some(at) = find_member(text, &outer)? else {
        return set_within(text, &outer, name, json);
    };
    let name = match &text[at.clone()] {
        b"null" => name.into(),
        _ => spelling(&text.slice(at), name)?,
    };
    set_within(text, &outer, &name, json)
}

/// The spelling of a name that an object has; `camelCase` where it has neither.
fn spelling<'n>(text: &[u8], camel: &'n str) -> Option<Cow<'n, str>> {
    let mut snake = String::with_capacity(camel.len() + 2);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    Some(match has(text, &snake)? {
        true => snake.into(),
        false => camel.into(),
    })
}

/// Sets a member of the outermost object to this JSON; adds it in front if it isn't there.
///
/// `None`: the text is no JSON object, or has the member twice.
pub(crate) fn set(text: &Bytes, name: &str, json: &str) -> Option<Bytes> {
    match find_member(text, name)? {
        Some(at) => Some(join(&text[..at.start], json.as_bytes(), &text[at.end..])),
        None => {
            let open = text.iter().position(|byte| *byte == b'{')? + 1;
            let empty = text[open..].trim_ascii_start().starts_with(b"}");
            let name = serde_json::to_string(name).ok()?;
            let member = format!("{name}:{json}{}", if empty { "" } else { "," });
            Some(join(&text[..open], member.as_bytes(), &text[open..]))
        }
    }
}

/// Whether the outermost object has a member. `None`: the text is no JSON object, or has it twice.
pub(crate) fn has(text: &[u8], name: &str) -> Option<bool> {
    Some(find_member(text, name)?.is_some())
}

/// Takes a member out of the outermost object, with the comma that sets it off; the text itself if
/// it isn't there.
///
/// `None`: the text is no JSON object, or has the member twice.
pub(crate) fn remove(text: &Bytes, name: &str) -> Option<Bytes> {
    let Some(value) = find_member(text, name)? else {
        return Some(text.clone());
    };
    let before = text[..value.start].trim_ascii_end();
    let before = before.strip_suffix(b":")?.trim_ascii_end();
    let start = start_of_string(before)?;
    let after = text[value.end..].trim_ascii_start();
    if let Some(after) = after.strip_prefix(b",") {
        return Some(join(&text[..start], b"", after.trim_ascii_start()));
    }
    // the last member: what it leaves is closed without a comma
    let before = text[..start].trim_ascii_end();
    let before = before.strip_suffix(b",").unwrap_or(before);
    Some(join(before, b"", &text[value.end..]))
}

/// Where the string begins with whose closing quote the text ends.
fn start_of_string(text: &[u8]) -> Option<usize> {
    let mut end = text.strip_suffix(b"\"")?.len();
    loop {
        let quote = text[..end].iter().rposition(|byte| *byte == b'"')?;
        let escapes = text[..quote]
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\');
        if escapes.count() % 2 == 0 {
            return Some(quote);
        }
        end = quote;
    }
}

fn join(before: &[u8], middle: &[u8], after: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(before.len() + middle.len() + after.len());
    text.put(before);
    text.put(middle);
    text.put(after);
    text.freeze()
}

/// Where the value of a member of the outermost object stands. The outer `None`: no JSON object, or
/// the member stands twice.
#[allow(clippy::option_option)] // "unreadable" and "not there" are handled apart by one caller
fn find_member(text: &[u8], name: &str) -> Option<Option<Range<usize>>> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let found = json.deserialize_map(Find { name }).ok()?;
    json.end().ok()?;
    Some(found.map(|raw| {
        // the raw value borrows from `text`, so its address says where it stands
        let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        start..start + raw.get().len()
    }))
}

struct Find<'n> {
    name: &'n str,
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(IsName(self.name))? {
            if !wanted {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value()?).is_some() {
                return Err(serde::de::Error::custom("the member stands twice"));
            }
        }
        Ok(found)
    }
}

/// Compares a key, escapes resolved, without keeping it.
struct IsName<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn set(text: &str, model: &str) -> Option<String> {
        let text = Bytes::copy_from_slice(text.as_bytes());
        set_string(&text, "model", model).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn only_the_value_changes() {
        assert_eq!(
            set(
                "{ \"a\" : [1, {\"model\":\"in\"}],\n \"model\" :\t\"x\" , \"z\":1.0e2 }",
                "y\""
            )
            .unwrap(),
            "{ \"a\" : [1, {\"model\":\"in\"}],\n \"model\" :\t\"y\\\"\" , \"z\":1.0e2 }"
        );
    }

    #[test]
    fn a_key_written_with_escapes_is_the_same_key() {
        assert_eq!(
            set(r#"{"m\u006fdel":"x"}"#, "y").unwrap(),
            r#"{"m\u006fdel":"y"}"#
        );
    }

    #[test]
    fn a_missing_member_is_added_in_front() {
        assert_eq!(
            set(" {\"a\":1}", "y").unwrap(),
            " {\"model\":\"y\",\"a\":1}"
        );
        assert_eq!(set("{ }", "y").unwrap(), "{\"model\":\"y\" }");
    }

    #[test]
    fn a_member_of_a_member_is_set_wherever_it_stands() {
        let ask = |text: &'static str| {
            let text = Bytes::from_static(text.as_bytes());
            let asked = set_within(&text, "stream_options", "include_usage", "true");
            asked.map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        let added = r#"{"stream_options":{"include_usage":true},"a":1}"#;
        assert_eq!(ask(r#"{"a":1}"#).unwrap(), added);
        assert_eq!(
            ask(r#"{"stream_options": null }"#).unwrap(),
            r#"{"stream_options": {"include_usage":true} }"#
        );
        assert_eq!(
            ask(r#"{"stream_options":{ "x":0,"include_usage" :false}}"#).unwrap(),
            r#"{"stream_options":{ "x":0,"include_usage" :true}}"#
        );
        assert_eq!(ask(r#"{"stream_options":[1]}"#), None);
        let twice = r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#;
        assert_eq!(ask(twice), None);
    }

    #[test]
    fn what_is_no_object_or_has_the_member_twice_is_left_alone() {
        for text in ["", "[]", "{", "{}x", r#"{"model":"a","model":"b"}"#, "nul"] {
            assert_eq!(set(text, "y"), None, "{text}");
        }
    }

    fn written(object: &Map<String, Value>, pretty: bool) -> Bytes {
        let text = if pretty {
            serde_json::to_string_pretty(object).unwrap()
        } else {
            serde_json::to_string(object).unwrap()
        };
        text.into()
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("model|n|[a-z]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn a_member_goes_with_its_comma_and_nothing_else() {
        let removed = |text: &str| {
            remove(&Bytes::copy_from_slice(text.as_bytes()), "model")
                .map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        for (text, left) in [
            (r#"{"model":"x"}"#, "{}"),
            (
                "{ \"model\" : [1, {\"model\":2}] , \"z\" : 1.0e2 }",
                "{ \"z\" : 1.0e2 }",
            ),
            ("{\"a\":1 ,\n \"model\":\"}\"\n}", "{\"a\":1 \n}"),
            ("{\"a\":1, \"m\\u006fdel\":0,\"b\":2}", "{\"a\":1, \"b\":2}"),
            (r#"{"a":{"model":1}}"#, r#"{"a":{"model":1}}"#),
        ] {
            assert_eq!(removed(text).unwrap(), left);
        }
        assert_eq!(removed(r#"{"model":1,"model":2}"#), None);
        assert_eq!(removed("[]"), None);
    }

    proptest! {
        #[test]
        fn what_is_left_means_the_same_without_the_member(
            members in prop::collection::btree_map("model|[a-z\"\\\\\u{e9}]{0,4}", json(), 0..6),
            pretty in any::<bool>(),
        ) {
            let object: Map<String, Value> = members.into_iter().collect();
            let text = written(&object, pretty);
            let names: Vec<String> = object.keys().cloned().collect();
            for name in names {
                let left = remove(&text, &name).unwrap();
                let mut expected = object.clone();
                expected.remove(&name);
                let left: Value = serde_json::from_slice(&left).unwrap();
                prop_assert_eq!(left, Value::Object(expected));
            }
            prop_assert_eq!(remove(&text, "absent").unwrap(), text);
        }

        #[test]
        fn the_spliced_text_means_the_same_but_for_the_member(
            members in prop::collection::btree_map("model|[a-z\"\\\\\u{e9}]{0,4}", json(), 0..6),
            model in any::<String>(),
            pretty in any::<bool>(),
        ) {
            let object: Map<String, Value> = members.into_iter().collect();
            let text = String::from_utf8(written(&object, pretty).to_vec()).unwrap();
            let spliced: Value = serde_json::from_str(&set(&text, &model).unwrap()).unwrap();
            let mut expected = object;
            expected.insert("model".into(), model.into());
            prop_assert_eq!(spliced, Value::Object(expected));
        }
    }
}
