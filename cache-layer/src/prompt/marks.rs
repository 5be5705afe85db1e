//! Marks in a prompt, and not another byte.

use std::{borrow::Cow, collections::HashMap};

use bytes::Bytes;
use http::Request;
use llm_exchange::{Call, NotRewritten, Payload};
use memchr::memmem;
use serde_json::value::RawValue;

use super::points::{Form, Member, Point};
use crate::within::within;

/// For how long the provider is to keep a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keep {
    FiveMinutes,
    OneHour,
}

impl Keep {
    const fn json(self, form: Form) -> &'static str {
        match (form, self) {
            (Form::Anthropic, Self::FiveMinutes) => r#""cache_control":{"type":"ephemeral"}"#,
            (Form::Anthropic, Self::OneHour) => {
                r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#
            }
            (Form::Converse, Self::FiveMinutes) => r#"{"cachePoint":{"type":"default"}}"#,
            (Form::Converse, Self::OneHour) => r#"{"cachePoint":{"type":"default","ttl":"1h"}}"#,
        }
    }
}

/// Whether the caller placed marks of its own, which win.
pub(super) fn has_marks(form: Form, body: &[u8]) -> bool {
    let name: &[u8] = match form {
        Form::Anthropic => b"\"cache_control\"",
        Form::Converse => b"\"cachePoint\"",
    };
    memmem::find(body, name).is_some()
}

/// Marks these points, which are of the body of this request, in their order.
///
/// # Errors
///
/// [`NotRewritten`]: the request is signed. It is unchanged then.
pub(super) fn mark(
    request: &mut Request<Payload>,
    body: &Bytes,
    form: Form,
    points: &[Point<'_>],
    keep: Keep,
) -> Result<(), NotRewritten> {
    Call::can_be_rewritten(request)?;
    for member in [Member::Tools, Member::System, Member::Messages] {
        let of_it: Vec<_> = points
            .iter()
            .filter(|point| point.member == member)
            .collect();
        let Some(value) = of_it
            .first()
            .and_then(|_| member_of(body, member.name(form)))
        else {
            continue;
        };
        let mut text = String::with_capacity(value.len() + of_it.len() * 64);
        let mut done = 0;
        for point in of_it {
            let Some(at) = within(value.as_bytes(), point.block) else {
                continue;
            };
            text.push_str(&value[done..at.start]);
            text.push_str(&marked(form, point.block, keep));
            done = at.end;
        }
        text.push_str(&value[done..]);
        Call::set_parameter(request, member.name(form), &text)?;
    }
    Ok(())
}

/// A block with its mark. A text becomes a list of one block.
fn marked(form: Form, block: &str, keep: Keep) -> String {
    let mark = keep.json(form);
    if form == Form::Converse {
        return format!("{block},{mark}");
    }
    if block.starts_with('"') {
        return format!(r#"[{{"type":"text","text":{block},{mark}}}]"#);
    }
    let open = block.trim_end().strip_suffix('}').unwrap_or(block);
    let comma = if open.trim_end().ends_with('{') {
        ""
    } else {
        ","
    };
    format!("{open}{comma}{mark}}}")
}

/// The value of a member of the outermost object.
fn member_of<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let mut members: HashMap<Cow<'a, str>, &'a RawValue> = serde_json::from_slice(body).ok()?;
    members.remove(name).map(RawValue::get)
}
