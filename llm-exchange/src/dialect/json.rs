//! Small tools over JSON text, shared by the dialects.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de};

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

/// Present and not empty: enough to know that a delta carries something, without reading what.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NotEmpty(pub(super) bool);

impl<'de> Deserialize<'de> for NotEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = NotEmpty;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<NotEmpty, E> {
                Ok(NotEmpty(false))
            }

            fn visit_bool<E>(self, value: bool) -> Result<NotEmpty, E> {
                Ok(NotEmpty(value))
            }

            fn visit_u64<E>(self, _: u64) -> Result<NotEmpty, E> {
                Ok(NotEmpty(true))
            }

            fn visit_i64<E>(self, _: i64) -> Result<NotEmpty, E> {
                Ok(NotEmpty(true))
            }

            fn visit_f64<E>(self, _: f64) -> Result<NotEmpty, E> {
                Ok(NotEmpty(true))
            }

            fn visit_str<E>(self, text: &str) -> Result<NotEmpty, E> {
                Ok(NotEmpty(!text.is_empty()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<NotEmpty, A::Error> {
                let mut any = false;
                while seq.next_element::<de::IgnoredAny>()?.is_some() {
                    any = true;
                }
                Ok(NotEmpty(any))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<NotEmpty, A::Error> {
                let mut any = false;
                while map
                    .next_entry::<de::IgnoredAny, de::IgnoredAny>()?
                    .is_some()
                {
                    any = true;
                }
                Ok(NotEmpty(any))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Whether an object's first member has this name (and this string value): `None` means that more
/// bytes are needed. Keep-alive blank lines before the object are passed over.
pub(super) fn starts_with_member(start: &[u8], name: &[u8], value: Option<&[u8]>) -> Option<bool> {
    let mut rest = start;
    if !take(&mut rest, b"{")? || !take_string(&mut rest, name)? {
        return Some(false);
    }
    match value {
        None => Some(true),
        Some(value) => Some(take(&mut rest, b":")? && take_string(&mut rest, value)?),
    }
}

fn take_string(rest: &mut &[u8], text: &[u8]) -> Option<bool> {
    Some(take(rest, b"\"")? && take_exact(rest, text)? && take_exact(rest, b"\"")?)
}

fn take(rest: &mut &[u8], token: &[u8]) -> Option<bool> {
    *rest = rest.trim_ascii_start();
    take_exact(rest, token)
}

fn take_exact(rest: &mut &[u8], token: &[u8]) -> Option<bool> {
    if let Some(after) = rest.strip_prefix(token) {
        *rest = after;
        return Some(true);
    }
    // too short to tell
    if token.starts_with(rest) {
        None
    } else {
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_member_is_known_as_soon_as_its_name_is_there() {
        let openai = |text: &[u8]| starts_with_member(text, b"error", None);
        assert_eq!(openai(b""), None);
        assert_eq!(openai(b" \r\n"), None);
        assert_eq!(openai(b"{ \"err"), None);
        assert_eq!(openai(b"{ \"error\""), Some(true));
        assert_eq!(openai(b"{\"errors\""), Some(false));
        assert_eq!(openai(b"{\"id\""), Some(false));
        assert_eq!(openai(b"[]"), Some(false));
        let anthropic = |text: &[u8]| starts_with_member(text, b"type", Some(b"error"));
        assert_eq!(anthropic(b"{\"type\":"), None);
        assert_eq!(anthropic(b"{\"type\": \"error\""), Some(true));
        assert_eq!(anthropic(b"{\"type\":\"message\""), Some(false));
    }

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
