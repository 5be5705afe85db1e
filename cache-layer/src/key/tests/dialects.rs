//! The same properties over every dialect that is cached: what differs in anything but the documented
//! members has another key, and nothing else has.

use super::*;

/// An address and a request to it, with something at every depth.
fn templates() -> Vec<(&'static str, Value)> {
    let schema = json!({"type": "object", "properties": {"cache_control": {"type": "string"}, "n": {"enum": [1, 2]}}});
    let image = "data:image/png;base64,aGk=";
    vec![
        (
            "https://api.openai.example/v1/chat/completions",
            json!({
                "model": "m", "temperature": 0, "seed": 7, "stop": ["a", "b"], "logit_bias": {"5": -1},
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "name": "n", "content": [
                        {"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": image}}
                    ]},
                    {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                    {"role": "tool", "tool_call_id": "1", "content": "r"},
                ],
                "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "j", "schema": schema}},
                "metadata": {"a": "b"}, "user": "u",
            }),
        ),
        (
            "https://h/openai/deployments/d/chat/completions?api-version=1",
            json!({"messages": [{"role": "user", "content": "t"}], "data_sources": [{"type": "x", "parameters": {"y": 1}}]}),
        ),
        (
            "https://api.openai.example/v1/responses",
            json!({
                "model": "m", "instructions": "i", "reasoning": {"effort": "low"}, "text": {"format": {"type": "text"}},
                "input": [
                    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "t"}, {"type": "input_file", "file_data": "x"}]},
                    {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "r"}]},
                ],
                "tools": [{"type": "function", "name": "f", "parameters": schema}, {"type": "web_search", "filters": {"allowed_domains": ["a"]}}],
                "include": ["x"], "store": false,
            }),
        ),
        (
            "https://api.openai.example/v1/completions",
            json!({"model": "m", "prompt": ["a", [1, 2]], "suffix": "s", "logprobs": 1, "logit_bias": {"5": 1}}),
        ),
        (
            "https://api.openai.example/v1/embeddings",
            json!({"model": "m", "input": ["a", "b", [1, 2]], "dimensions": 8, "encoding_format": "float", "extra": {"x": [1]}}),
        ),
        (
            "https://api.anthropic.example/v1/messages",
            anthropic(&schema),
        ),
        (
            "https://h/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict",
            anthropic(&schema),
        ),
        (
            "https://h/model/anthropic.claude/invoke",
            anthropic(&schema),
        ),
        (
            "https://h/v1beta/models/gemini:generateContent",
            gemini(&schema),
        ),
        (
            "https://h/v1/projects/p/locations/l/publishers/google/models/gemini:streamGenerateContent?alt=sse",
            gemini(&schema),
        ),
        (
            "https://h/model/nova/converse",
            json!({
                "system": [{"text": "s"}, {"cachePoint": {"type": "default"}}],
                "messages": [{"role": "user", "content": [{"text": "t"}, {"image": {"format": "png", "source": {"bytes": "aGk="}}}]}],
                "inferenceConfig": {"temperature": 0, "maxTokens": 9, "stopSequences": ["a"]},
                "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": schema}}}], "toolChoice": {"auto": {}}},
                "additionalModelRequestFields": {"top_k": 4}, "requestMetadata": {"a": "b"},
            }),
        ),
        (
            "http://h:11434/api/chat",
            json!({
                "model": "m", "keep_alive": "5m", "think": true, "format": schema,
                "messages": [{"role": "user", "content": "t", "images": ["aGk="]}],
                "options": {"temperature": 0, "seed": 1, "stop": ["a"]},
                "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
            }),
        ),
        (
            "http://h:11434/api/generate",
            json!({"model": "m", "prompt": "p", "system": "s", "template": "t", "context": [1, 2], "raw": false, "options": {"num_ctx": 8}}),
        ),
    ]
}

fn anthropic(schema: &Value) -> Value {
    let mark = json!({"type": "ephemeral"});
    json!({
        "model": "claude", "max_tokens": 9, "temperature": 0, "top_k": 3, "stop_sequences": ["a"],
        "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "s", "cache_control": mark}],
        "tools": [{"name": "t", "input_schema": schema, "cache_control": mark}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "t", "cache_control": mark}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {"cache_control": 1, "x": [2]}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "r", "cache_control": mark}]}]},
        ],
    })
}

fn gemini(schema: &Value) -> Value {
    json!({
        "contents": [{"role": "user", "parts": [{"text": "t"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "generationConfig": {"temperature": 0, "topK": 3, "responseSchema": schema, "thinkingConfig": {"thinkingBudget": 1}},
        "safetySettings": [{"category": "c", "threshold": "t"}],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}, "labels": {"a": "b"},
    })
}

/// What the README says is not in the key, taken out as it is written there.
fn without_what_does_not_matter(is_anthropic: bool, request: &Value) -> Value {
    const OUTERMOST: [&str; 13] = [
        "stream",
        "stream_options",
        "user",
        "user_id",
        "safety_identifier",
        "metadata",
        "labels",
        "end_user",
        "requestMetadata",
        "store",
        "service_tier",
        "diagnostics",
        "cache_control",
    ];
    let mut request = request.clone();
    let Value::Object(members) = &mut request else {
        return request;
    };
    members.retain(|name, _| {
        !OUTERMOST.contains(&&**name)
            && !matches!(
                &**name,
                "prompt_cache_key"
                    | "prompt_cache_retention"
                    | "prompt_cache_options"
                    | "prompt_cache_breakpoint"
            )
    });
    if is_anthropic {
        if let Some(tools) = members.get_mut("tools") {
            unmark(tools, &[]);
        }
        for name in ["system", "messages"] {
            if let Some(blocks) = members.get_mut(name) {
                unmark(blocks, &["content"]);
            }
        }
    }
    request
}

/// Takes the marks from objects in lists, and from what these have under the names.
fn unmark(value: &mut Value, under: &[&str]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| unmark(item, under)),
        Value::Object(members) => {
            members.remove("cache_control");
            for (name, value) in members {
                if under.contains(&&**name) {
                    unmark(value, under);
                }
            }
        }
        _ => {}
    }
}

#[derive(Clone, Debug)]
enum Change {
    /// To another value.
    Value,
    /// One member or item more.
    Add(String, Value),
    /// One member or item less.
    Remove(Index),
    /// Two items change places.
    Swap(Index, Index),
    /// A member has another name.
    Rename(Index, String),
}

/// Names that are left out of the key at some place, or say what a call is, and any others.
fn telling_names() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "cache_control",
        "content",
        "end_user",
        "input",
        "labels",
        "messages",
        "metadata",
        "prompt_cache_key",
        "requestMetadata",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "system",
        "temperature",
        "tools",
        "type",
        "user_id",
    ]);
    prop_oneof![known.prop_map(str::to_owned), names()]
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => Just(Change::Value),
        3 => (telling_names(), values()).prop_map(|(name, value)| Change::Add(name, value)),
        2 => any::<Index>().prop_map(Change::Remove),
        1 => any::<(Index, Index)>().prop_map(|(one, other)| Change::Swap(one, other)),
        2 => (any::<Index>(), telling_names()).prop_map(|(at, name)| Change::Rename(at, name)),
    ]
}

/// Makes the change at a place, where it can be made there.
fn make(value: &mut Value, place: usize, change_to: Change) {
    let Some(value) = at_place(value, place) else {
        return;
    };
    match (change_to, value) {
        (Change::Add(name, new), Value::Object(members)) => {
            members.insert(name, new);
        }
        (Change::Add(_, new), Value::Array(items)) => items.push(new),
        (Change::Remove(at), Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(at.index(members.len())).unwrap().clone();
            members.remove(&name);
        }
        (Change::Remove(at), Value::Array(items)) if !items.is_empty() => {
            items.remove(at.index(items.len()));
        }
        (Change::Swap(one, other), Value::Array(items)) if !items.is_empty() => {
            let length = items.len();
            items.swap(one.index(length), other.index(length));
        }
        (Change::Rename(at, name), Value::Object(members)) if !members.is_empty() => {
            let old = members.keys().nth(at.index(members.len())).unwrap().clone();
            let value = members.remove(&old).unwrap();
            members.insert(name, value);
        }
        (_, value) => change(value, 0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn in_every_dialect_a_key_is_of_all_that_matters_and_of_nothing_else(
        which in any::<Index>(),
        before in vec((any::<Index>(), changes()), 0..3),
        then in vec((any::<Index>(), changes()), 1..3),
        turn in 0usize..100,
    ) {
        let templates = templates();
        let (uri, mut one) = templates[which.index(templates.len())].clone();
        let key = |request: &str| key_with(uri, request, &[("authorization", "Bearer a")]);
        for (at, change) in before {
            let place = at.index(places(&one));
            make(&mut one, place, change);
        }
        let mut other = one.clone();
        for (at, change) in then {
            let place = at.index(places(&other));
            make(&mut other, place, change);
        }
        // what is no call any more, such as one whose model is a list, has no key
        let (its, others) = (key(&one.to_string()), key(&other.to_string()));
        prop_assume!(its.is_some() && others.is_some());
        let is_anthropic = ["messages", ":rawPredict", "/invoke"].iter().any(|end| uri.ends_with(end));
        let matters = |request| without_what_does_not_matter(is_anthropic, request);
        prop_assert_eq!(its == others, matters(&one) == matters(&other), "{} {}", one, other);
        // nor does how it is written
        prop_assert_eq!(its, key(&written(&one, turn)));
        prop_assert_eq!(others, key(&written(&other, turn)));
    }
}

proptest! {
    #[test]
    fn a_text_to_embed_is_known_again_in_any_batch_of_a_call_that_is_otherwise_the_same(
        changes in vec((any::<Index>(), changes()), 0..3),
        batch in vec("[ab]{1,2}", 1..4),
    ) {
        let (uri, one) = templates().swap_remove(4);
        let text_of = |request: &Value| {
            let request = Request::post(uri).header("authorization", "a").body(request.to_string());
            let request = read(request.unwrap());
            let call = Call::of(&request)?.clone();
            let keyed = settings().read_but_texts(&request, &call)?;
            Some(settings().text(keyed.key, b"\"a\""))
        };
        let mut other = one.clone();
        for (at, change) in changes {
            let place = at.index(places(&other));
            make(&mut other, place, change);
        }
        other["input"] = batch.into();
        let (its, others) = (text_of(&one), text_of(&other));
        prop_assume!(its.is_some() && others.is_some());
        let matters = |request: &Value| {
            let mut matters = without_what_does_not_matter(false, request);
            matters.as_object_mut().unwrap().remove("input");
            matters
        };
        prop_assert_eq!(its == others, matters(&one) == matters(&other), "{}", other);
    }
}

/// A template that was not read would have the properties hold of nothing.
#[test]
fn every_template_is_a_call_of_a_dialect_that_is_cached() {
    let mut dialects = std::collections::BTreeSet::new();
    for (uri, body) in templates() {
        let request = Request::post(uri).header("authorization", "a");
        let request = read(request.body(body.to_string()).unwrap());
        let call = Call::of(&request).expect(uri);
        assert_eq!(call.unreadable(), None, "{uri}");
        dialects.insert(call.dialect().as_str());
    }
    // all but gRPC's, which is not cached
    assert_eq!(dialects.len(), 8, "{dialects:?}");
}
