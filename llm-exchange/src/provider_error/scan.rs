//! Reads the fields of an error body whatever their types and order, and keeps what it has read
//! when the body breaks off: error bodies are cut at a limit, and some quote the whole request.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Of a text no more than this is kept.
pub(super) const MAX_TEXT: usize = 2048;

/// What is read of a JSON value. A value of a type that it does not ask for leaves it as it was,
/// and of a repeated one the first is kept; an array is read element by element into the same
/// place.
pub(super) trait Read {
    fn scalar(&mut self, _value: Scalar) {}

    /// Reads the value that stands under `key`.
    fn field<'de, A: MapAccess<'de>>(&mut self, _key: Key, map: &mut A) -> Result<(), A::Error> {
        skip(map)
    }
}

pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Text(String),
    Number(i64),
    True,
}

impl Read for Option<Scalar> {
    fn scalar(&mut self, value: Scalar) {
        let blank = matches!(&value, Scalar::Text(text) if text.is_empty());
        if self.is_none() && !blank {
            *self = Some(value);
        }
    }
}

/// The keys that mean something in some provider's error.
#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
pub(super) enum Key {
    Error,
    Response,
    Object,
    Code,
    ErrorCode,
    Type,
    ErrorType,
    Status,
    Message,
    Msg,
    Detail,
    Details,
    Metadata,
    LimitSource,
    Innererror,
    #[serde(rename = "retryDelay")]
    RetryDelay,
    Violations,
    #[serde(rename = "quotaId")]
    QuotaId,
    Reason,
    #[serde(other)]
    Other,
}

/// Reads a JSON value into what it borrows.
pub(super) struct Fill<'a, T>(pub(super) &'a mut T);

impl<'de, T: Read> DeserializeSeed<'de> for Fill<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Read> Visitor<'de> for Fill<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            self.0.field(key, &mut map)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Fill(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.scalar(Scalar::Text(cut(text, MAX_TEXT).to_owned()));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.scalar(Scalar::Number(number));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0
            .scalar(Scalar::Number(i64::try_from(number).unwrap_or(i64::MAX)));
        Ok(())
    }

    /// Some servers write whole numbers as `429.0`. A cast of a float saturates.
    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.scalar(Scalar::Number(number as i64));
        Ok(())
    }

    fn visit_bool<E>(self, yes: bool) -> Result<(), E> {
        if yes {
            self.0.scalar(Scalar::True);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The start of `text` that fits into `max` bytes, cut between characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Reads `bytes` as far as they are JSON.
pub(super) fn scan<T: Read>(bytes: &[u8], into: &mut T) {
    let text = String::from_utf8_lossy(bytes);
    let mut json = serde_json::Deserializer::from_str(&text);
    // Where the JSON ends early, what came before it stands.
    let _ = Fill(into).deserialize(&mut json);
}
