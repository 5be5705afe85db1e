//! Protobuf messages by field number, without generated code: two Google services number the same
//! meanings differently, and only a few fields of either are wanted.

use std::ops::Range;

/// One field of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field<'m> {
    pub(crate) number: u32,
    pub(crate) value: Value<'m>,
    /// Where it stands in the message, with its tag.
    at: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'m> {
    Varint(u64),
    Fixed64,
    /// A text, bytes, or a message.
    Bytes(&'m [u8]),
    Fixed32,
}

/// The bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'m> Field<'m> {
    pub(crate) fn into_parts(self) -> (u32, Value<'m>) {
        (self.number, self.value)
    }
}

impl<'m> Value<'m> {
    /// A count; a negative one (an `int32` on the wire is ten bytes then) is none.
    pub(crate) fn count(self) -> u64 {
        match self {
            Self::Varint(count) if i64::try_from(count).is_ok() => count,
            _ => 0,
        }
    }

    /// The inside of a text or message; empty for anything else.
    pub(crate) const fn bytes(self) -> &'m [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Varint(_) | Self::Fixed64 | Self::Fixed32 => &[],
        }
    }

    pub(crate) fn text(self) -> Option<&'m str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Varint(_) | Self::Fixed64 | Self::Fixed32 => None,
        }
    }
}

/// The fields of a message in the order of the wire; after something malformed, nothing more.
pub(crate) const fn fields(message: &[u8]) -> Fields<'_> {
    Fields { message, at: 0 }
}

pub(crate) struct Fields<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Fields<'m> {
    fn read(&mut self) -> Option<Field<'m>> {
        let start = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            // groups are long gone from every API here
            _ => return None,
        };
        Some(Field {
            number,
            value,
            at: start..self.at,
        })
    }

    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.message.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.message.get(self.at)?;
            self.at += 1;
            // the tenth byte has room for one bit; what is above is dropped, as other readers do
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl<'m> Iterator for Fields<'m> {
    type Item = Result<Field<'m>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.message.len() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            self.at = self.message.len();
        }
        Some(field.ok_or(Malformed))
    }
}

/// The text at the end of a path of field numbers through nested messages.
pub(crate) fn text_at<'m>(message: &'m [u8], path: &[u32]) -> Option<&'m str> {
    let (number, inner) = path.split_first()?;
    let found = fields(message).map_while(Result::ok);
    let value = found.filter(|field| field.number == *number).last()?.value;
    if inner.is_empty() {
        value.text()
    } else {
        text_at(value.bytes(), inner)
    }
}

/// Sets a text, for a path of field numbers through nested messages.
///
/// Only the last occurrence is changed, as the last one is what counts; where there is none, it is
/// added at the end. No other byte is changed, but the lengths of the messages around it.
pub(crate) fn set_string(message: &[u8], path: &[u32], value: &str) -> Result<Vec<u8>, Malformed> {
    let mut encoded = Vec::with_capacity(value.len() + 5);
    put_varint(&mut encoded, value.len() as u64);
    encoded.extend_from_slice(value.as_bytes());
    set(message, path, 2, &encoded)
}

/// The same for a number.
pub(crate) fn set_varint(message: &[u8], path: &[u32], value: u64) -> Result<Vec<u8>, Malformed> {
    let mut encoded = Vec::with_capacity(10);
    put_varint(&mut encoded, value);
    set(message, path, 0, &encoded)
}

/// `encoded` is the value as it stands after the tag.
fn set(message: &[u8], path: &[u32], wire: u64, encoded: &[u8]) -> Result<Vec<u8>, Malformed> {
    let Some((number, inner)) = path.split_first() else {
        return Err(Malformed);
    };
    let mut last: Option<Field<'_>> = None;
    for field in fields(message) {
        let field = field?;
        if field.number == *number {
            last = Some(field);
        }
    }
    let at = last
        .as_ref()
        .map_or(message.len()..message.len(), |field| field.at.clone());
    let mut set_to = Vec::with_capacity(message.len() + encoded.len() + 16);
    set_to.extend_from_slice(&message[..at.start]);
    if inner.is_empty() {
        put_varint(&mut set_to, u64::from(*number) << 3 | wire);
        set_to.extend_from_slice(encoded);
    } else {
        let nested = match &last {
            None => &[][..],
            Some(field) => match field.value {
                Value::Bytes(nested) => nested,
                Value::Varint(_) | Value::Fixed64 | Value::Fixed32 => return Err(Malformed),
            },
        };
        let nested = set(nested, inner, wire, encoded)?;
        put_bytes(&mut set_to, *number, &nested);
    }
    set_to.extend_from_slice(&message[at.end..]);
    Ok(set_to)
}

/// A message as it is written, field by field.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// A number; 0 is what is there without it.
    pub(crate) fn varint(mut self, number: u32, value: u64) -> Self {
        if value > 0 {
            put_varint(&mut self.0, u64::from(number) << 3);
            put_varint(&mut self.0, value);
        }
        self
    }

    /// A text or a message.
    pub(crate) fn bytes(mut self, number: u32, value: &[u8]) -> Self {
        put_bytes(&mut self.0, number, value);
        self
    }

    pub(crate) fn into_message(self) -> Vec<u8> {
        self.0
    }
}

fn put_bytes(into: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_varint(into, u64::from(number) << 3 | 2);
    put_varint(into, value.len() as u64);
    into.extend_from_slice(value);
}

fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

#[cfg(test)]
mod tests;
