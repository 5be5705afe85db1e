//! Small tools over JSON text, shared by the dialects.

use std::{borrow::Cow, fmt, ops::Range, sync::LazyLock};

use memchr::memmem::Finder;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeSeed},
};
use serde_json::{error::Category, value::RawValue};

use crate::{
    call::{Media, Unreadable},
    meter::Reading,
};

/// Reads a request's JSON.
pub(super) fn request<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Unreadable::Fields,
        Category::Syntax | Category::Eof | Category::Io => Unreadable::Syntax,
    })
}

/// JSON of ours, of texts and numbers, which always serialises.
pub(super) fn written(json: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(json).unwrap_or_default()
}

/// The bytes of the parts of a prompt.
pub(super) fn bytes_of(prompt: &[Option<&RawValue>]) -> usize {
    prompt.iter().flatten().map(|raw| raw.get().len()).sum()
}

/// A string that is borrowed from the body unless it has escapes.
///
/// `Option<Cow<str>>` would be copied always: serde borrows only where the attribute stands on the
/// `Cow` itself.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A count as clients really send it: an integer, `400.0`, or `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Count(pub(super) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count")
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Count, E> {
                Ok(Count(count))
            }

            // A negative count is the caller's mistake; the provider will say so.
            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Count, E> {
                u64::try_from(count).map(Count).map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, count: f64) -> Result<Count, E> {
                // `as` saturates, and 2^53 is far above any real count
                if count.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&count) {
                    Ok(Count(count as u64))
                } else {
                    Err(E::custom("not a whole count"))
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A count in an answer. What is absent, `null` or no count is `None` and costs nothing else: a
/// server's mistake in one number must not hide the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MaybeCount(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for MaybeCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(
            serde_json::from_str(raw.get())
                .ok()
                .map(|count: Count| count.0),
        ))
    }
}

/// Where a string stands in the text that it was borrowed from, its quotes left out.
pub(super) fn range_within(text: &[u8], quoted: &str) -> Option<Range<usize>> {
    let start = (quoted.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let end = start.checked_add(quoted.len())?;
    (quoted.len() >= 2 && end <= text.len()).then(|| start + 1..end - 1)
}

/// What of an event was said aloud: the strings of content in it, which are counted as they come.
#[derive(Default)]
pub(super) struct Spoken<'a> {
    content: bool,
    /// how many strings or other values
    values: u32,
    /// The only one, as it stands in the JSON with its quotes.
    only: Option<&'a str>,
}

impl<'a> Spoken<'a> {
    pub(super) const fn is_any(&self) -> bool {
        self.content
    }

    /// The string, if there was exactly one and nothing else.
    pub(super) const fn only(&self) -> Option<&'a str> {
        self.only
    }

    /// Content, whether or not strings of it follow.
    pub(super) const fn silently(&mut self) {
        self.content = true;
    }

    /// Content that is no text, such as audio.
    pub(super) fn other(&mut self, raw: Option<&RawValue>) {
        if raw.is_some_and(|raw| !is_empty(raw.get())) {
            self.content = true;
            self.values += 1;
            self.only = None;
        }
    }

    /// A value of content: a string, or parts with strings in them.
    pub(super) fn say(&mut self, raw: Option<&'a RawValue>, reading: &mut Reading) {
        let Some(raw) = raw.map(RawValue::get).filter(|raw| !is_empty(raw)) else {
            return;
        };
        self.content = true;
        self.values += 1;
        self.only = (self.values == 1 && raw.starts_with('"')).then_some(raw);
        match text_of(raw) {
            Some(text) => reading.text(text.as_bytes()),
            None => texts_within(raw, reading),
        }
    }
}

fn is_empty(raw: &str) -> bool {
    matches!(raw, "\"\"" | "[]" | "{}" | "null" | "false")
}

/// The text of a JSON string.
fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
}

/// Counts the strings of a JSON value that are no keys.
fn texts_within(raw: &str, reading: &mut Reading) {
    struct Texts<'r>(&'r mut Reading);

    impl<'de> DeserializeSeed<'de> for Texts<'_> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_any(self)
        }
    }

    impl<'de> de::Visitor<'de> for Texts<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }

        fn visit_str<E>(self, text: &str) -> Result<(), E> {
            self.0.text(text.as_bytes());
            Ok(())
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }

        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }

        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }

        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }

        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while seq.next_element_seed(Texts(&mut *self.0))?.is_some() {}
            Ok(())
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while map.next_key::<de::IgnoredAny>()?.is_some() {
                map.next_value_seed(Texts(&mut *self.0))?;
            }
            Ok(())
        }
    }

    // what is no JSON has no text
    let _ = Texts(reading).deserialize(&mut serde_json::Deserializer::from_str(raw));
}

/// What of a prompt's JSON is no text: the base64 of data URLs, of `data` members, of Amazon's `bytes` and
/// of Ollama's `images`.
pub(super) fn media(prompt: &[Option<&RawValue>]) -> Media {
    /// A shorter string may as well be text.
    const SHORTEST: usize = 256;
    static URL: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b";base64,"));
    static DATA: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"data\""));
    static BYTES: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"bytes\""));
    static IMAGES: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"images\""));
    let mut media = Media::default();
    for raw in prompt.iter().flatten() {
        let text = raw.get().as_bytes();
        let urls = URL.find_iter(text).map(|at| &text[at + 8..]);
        let data = DATA.find_iter(text).map(|at| at + 6);
        let members = data.chain(BYTES.find_iter(text).map(|at| at + 7));
        let members = members.filter_map(|at| value_at(text, at)?.strip_prefix(b"\""));
        let images = IMAGES.find_iter(text).map(|at| at + 8);
        let images = images.flat_map(|at| strings(value_at(text, at).unwrap_or_default()));
        for rest in urls.chain(members).chain(images) {
            let length = memchr::memchr(b'"', rest).unwrap_or(rest.len());
            // a data URL may itself be a `data` member
            if length >= SHORTEST && !rest.starts_with(b"data:") {
                media.bytes += length;
                media.parts += 1;
            }
        }
    }
    media
}

/// The value of a member whose name ends at `at`.
fn value_at(text: &[u8], at: usize) -> Option<&[u8]> {
    let value = text.get(at..)?.trim_ascii_start().strip_prefix(b":")?;
    Some(value.trim_ascii_start())
}

/// Where in an array of plain strings, up to what is none, each begins.
fn strings(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = array.strip_prefix(b"[").unwrap_or_default();
    std::iter::from_fn(move || {
        let string = rest.trim_ascii_start().strip_prefix(b"\"")?;
        let after = &string[memchr::memchr(b'"', string)? + 1..];
        let after = after.trim_ascii_start();
        rest = after.strip_prefix(b",").unwrap_or_default();
        Some(string)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_be_a_whole_float_but_nothing_else() {
        let read = |text| {
            serde_json::from_str::<Count>(text)
                .map(|count| count.0)
                .ok()
        };
        assert_eq!(read("400"), Some(400));
        assert_eq!(read("400.0"), Some(400));
        assert_eq!(read("400.5"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(read("1e300"), None);
        assert_eq!(read("\"400\""), None);
    }
}
