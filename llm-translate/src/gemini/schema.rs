//! Google's own form of a schema, as JSON Schema.

use serde_json::value::RawValue;

use crate::{
    error::NotTranslated,
    json::{Pair, Raw, camel_case, items, pairs, text},
};

/// Deeper ones are no schemas of a tool.
const DEEPEST: usize = 32;

/// The same schema in the words of JSON Schema: types in small letters, and `nullable` as a type.
pub(super) fn plain(raw: Raw<'_>) -> Result<Box<RawValue>, NotTranslated> {
    let mut json = String::with_capacity(raw.get().len());
    schema(raw, &mut json, 0)?;
    RawValue::from_string(json).map_err(|_| NotTranslated::malformed("", "it is no schema"))
}

/// Where a schema says that it takes `null`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    No,
    WithType,
    /// As one of `anyOf`.
    Listed,
}

fn schema(raw: Raw<'_>, out: &mut String, depth: usize) -> Result<(), NotTranslated> {
    if depth > DEEPEST {
        return Err(NotTranslated::not("", "it is too deep"));
    }
    let fields = pairs(raw)?;
    let is_nullable = |(name, value): &Pair<'_>| name == "nullable" && value.get() == "true";
    let says = |name: &str| fields.iter().any(|(known, _)| camel_case(known) == name);
    let null = match fields.iter().any(is_nullable) {
        false => Null::No,
        true if says("type") => Null::WithType,
        true if says("anyOf") => Null::Listed,
        true => return Err(NotTranslated::not("nullable", "it says of no type")),
    };
    let mut first = true;
    out.push('{');
    for (name, value) in fields {
        let name = camel_case(&name);
        // the order in which Gemini writes them, and what is said with the type
        if matches!(&*name, "propertyOrdering" | "nullable") {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        push_text(&name, out);
        out.push(':');
        field(&name, value, null, out, depth).map_err(|error| error.inside(&name))?;
    }
    out.push('}');
    Ok(())
}

fn field(
    name: &str,
    value: Raw<'_>,
    null: Null,
    out: &mut String,
    depth: usize,
) -> Result<(), NotTranslated> {
    match name {
        "type" => {
            let kind = text(value)?.to_ascii_lowercase();
            if null == Null::WithType {
                out.push('[');
            }
            push_text(&kind, out);
            if null == Null::WithType {
                out.push_str(",\"null\"]");
            }
        }
        "enum" if null == Null::WithType => {
            let listed = value.get().trim_end_matches(']').trim_end();
            let comma = if listed == "[" { "" } else { "," };
            out.push_str(&format!("{listed}{comma}null]"));
        }
        "items" => schema(value, out, depth + 1)?,
        "anyOf" => {
            let mut list = String::new();
            items(value, |raw| {
                list.push(if list.is_empty() { '[' } else { ',' });
                schema(raw, &mut list, depth + 1)
            })?;
            out.push_str(if list.is_empty() { "[" } else { &list });
            if null == Null::Listed {
                let comma = if list.is_empty() { "" } else { "," };
                out.push_str(&format!(r#"{comma}{{"type":"null"}}"#));
            }
            out.push(']');
        }
        "properties" => {
            out.push('{');
            for (at, (name, value)) in pairs(value)?.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push_text(&name, out);
                out.push(':');
                schema(value, out, depth + 1).map_err(|error| error.inside(&name))?;
            }
            out.push('}');
        }
        // 64-bit numbers are texts in Google's JSON
        "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
            let number = text(value).ok();
            let digits = number.as_deref().unwrap_or(value.get());
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number {
                return Err(NotTranslated::malformed("", "it is no whole number"));
            }
            out.push_str(digits);
        }
        _ => out.push_str(value.get()),
    }
    Ok(())
}

fn push_text(text: &str, out: &mut String) {
    // a text always serialises
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
