//! What the beginning of a JSON text tells, as it comes.

use crate::cut::{Elements, FindEnd, Found};

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

/// Goes through an object's members as far as they are here, until `tell` knows from one of them; it
/// is given the name as it stands, first alone and then with the value. `None`: more bytes are needed.
pub(super) fn members_tell(
    start: &[u8],
    tell: impl Fn(&[u8], Option<&[u8]>) -> Option<bool>,
) -> Option<bool> {
    let mut rest = start;
    if !take(&mut rest, b"{")? {
        return Some(false);
    }
    loop {
        let name = rest.trim_ascii_start();
        if name.first()? != &b'"' {
            return Some(false);
        }
        let (name, after) = name.split_at(value_length(name)?);
        let name = name[1..].strip_suffix(b"\"").unwrap_or_default();
        rest = after;
        if let Some(told) = tell(name, None) {
            return Some(told);
        }
        if !take(&mut rest, b":")? {
            return Some(false);
        }
        let value = rest.trim_ascii_start();
        let (value, after) = value.split_at(value_length(value)?);
        if let Some(told) = tell(name, Some(value)) {
            return Some(told);
        }
        rest = after;
        if !take(&mut rest, b",")? {
            return Some(false);
        }
    }
}

/// The length of the JSON value at the start of the bytes; `None`: its end is not here.
fn value_length(bytes: &[u8]) -> Option<usize> {
    // mostly it is a string without an escape
    if bytes.first()? == &b'"'
        && let Some(end) = memchr::memchr2(b'"', b'\\', &bytes[1..])
        && bytes[1 + end] == b'"'
    {
        return Some(end + 2);
    }
    let mut cutter = Elements::within();
    match cutter.find_end(bytes) {
        Found::End(end) => Some(end),
        Found::More => None,
        // what is no value is nothing to look for
        Found::Between(_) | Found::Broken => Some(bytes.len()),
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
    fn members_are_looked_at_as_they_come() {
        let failed = |text: &[u8]| {
            members_tell(text, |name, value| {
                let value = value.filter(|_| name == b"status")?;
                Some(value == b"\"failed\"")
            })
        };
        let text =
            br#" { "id" : "a\"}", "n":[1,{"status":"failed"}], "x":1.5,"status": "failed" }"#;
        assert_eq!(failed(text), Some(true));
        let told = text.len() - 2;
        for end in 0..told {
            assert_eq!(failed(&text[..end]), None, "{end}");
        }
        assert_eq!(failed(br#"{"a":1,"status":"completed""#), Some(false));
        assert_eq!(failed(br#"{"a":1}"#), Some(false));
        assert_eq!(failed(b"[]"), Some(false));
        assert_eq!(failed(b"{1:2}"), Some(false));
    }
}
