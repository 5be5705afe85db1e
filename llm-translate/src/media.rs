//! What an answer shows or plays besides what it says.

use llm_exchange::Dialect;
use serde_json::Value;

/// Whether an event or a whole answer of this dialect has an image, a sound or another file in it.
/// It is taken apart only where the name of such a field stands in it.
pub(crate) fn is_in(dialect: Dialect, json: &[u8]) -> bool {
    let names: &[&str] = match dialect {
        Dialect::Gemini => &["inlineData", "fileData"],
        Dialect::OpenAiChat => &["audio", "images"],
        _ => return false,
    };
    let Ok(text) = std::str::from_utf8(json) else {
        return false;
    };
    if !names.iter().any(|name| text.contains(name)) {
        return false;
    }
    let Ok(answer) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    let has_one = |of: &Value| {
        let fields = names.iter().filter_map(|name| of.get(name));
        fields.into_iter().any(|value| match value {
            Value::Null => false,
            Value::Array(list) => !list.is_empty(),
            _ => true,
        })
    };
    match dialect {
        Dialect::Gemini => list(&answer, "/candidates")
            .flat_map(|candidate| list(candidate, "/content/parts"))
            .any(has_one),
        _ => list(&answer, "/choices").any(|choice| {
            let said = [choice.get("message"), choice.get("delta")];
            said.into_iter().flatten().any(has_one)
        }),
    }
}

fn list<'v>(of: &'v Value, at: &str) -> impl Iterator<Item = &'v Value> {
    let list = of.pointer(at).and_then(Value::as_array);
    list.into_iter().flatten()
}
