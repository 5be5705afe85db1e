//! Which calls, and which of their answers, can be gone on with.

use http::Request;
use llm_exchange::{Call, Dialect, Payload};

use super::{request::Beginning, seam};
use crate::members::{Members, elements};

/// Members of a request whose meaning does not depend on where in the answer the model is. A request
/// with any other is not gone on with.
const CHAT: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "random_seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "user",
    "user_id",
    "safety_identifier",
    "metadata",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safe_prompt",
    "cache_salt",
    "n",
    "response_format",
    "store",
    "logprobs",
    "modalities",
    "parallel_tool_calls",
    "tools",
    "tool_choice",
    "reasoning_effort",
];
const MESSAGES: &[&str] = &[
    "model",
    "messages",
    "system",
    "max_tokens",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "metadata",
    "service_tier",
    "cache_control",
    "anthropic_version",
    "speed",
    "inference_geo",
    "thinking",
    "tools",
    "tool_choice",
];
const GEMINI: &[&str] = &[
    "model",
    "contents",
    "systemInstruction",
    "system_instruction",
    "generationConfig",
    "generation_config",
    "safetySettings",
    "safety_settings",
    "labels",
    "serviceTier",
    "tools",
];
const GENERATION: &[&str] = &[
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
    "stopSequences",
    "candidateCount",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseMimeType",
    "thinkingConfig",
];

/// Why a stream is not gone on with.
pub(super) type Why = &'static str;

/// Whether an answer to this call that has come so far can be gone on with by another attempt.
pub(super) fn check(request: &Request<Payload>, beginning: &Beginning) -> Result<(), Why> {
    let call = Call::of(request).ok_or("it is no LLM call")?;
    let body = request.body().whole().ok_or("its request is not kept")?;
    let members = Members::of(body).ok_or("its request is no object")?;
    let stops = match call.dialect() {
        Dialect::OpenAiChat => chat(&members)?,
        Dialect::AnthropicMessages => messages(&members)?,
        Dialect::Gemini => gemini(&members)?,
        _ => return Err("its dialect has no prefill"),
    };
    if seam::split(&beginning.text).0.trim_start().is_empty() {
        return Err("there is no text yet");
    }
    if stops
        .iter()
        .any(|stop| may_have_begun(stop, &beginning.text))
    {
        return Err("a stop sequence may have begun");
    }
    Ok(())
}

/// The other half would come from an attempt that does not know of the first.
fn may_have_begun(stop: &str, text: &str) -> bool {
    let mut ends = stop.char_indices().map(|(at, _)| at).skip(1);
    ends.any(|end| text.ends_with(&stop[..end]))
}

fn only(members: &Members<'_>, known: &[&str]) -> Result<(), Why> {
    let is_known = |name: &str| known.contains(&name) || members.get(name).is_none();
    members
        .names()
        .all(is_known)
        .then_some(())
        .ok_or("a parameter may depend on the place")
}

/// Absent, or one of these.
fn is_one_of(members: &Members<'_>, name: &str, plain: &[&str]) -> bool {
    members.get(name).is_none_or(|json| plain.contains(&json))
}

fn has_no_tools(members: &Members<'_>) -> Result<(), Why> {
    is_one_of(members, "tools", &["[]"])
        .then_some(())
        .ok_or("it has tools")
}

fn chat(members: &Members<'_>) -> Result<Vec<String>, Why> {
    only(members, CHAT)?;
    has_no_tools(members)?;
    for (name, plain, why) in [
        ("n", &["1"][..], "it asks for several choices"),
        ("store", &["false"], "the provider keeps the answer"),
        ("logprobs", &["false"], "it asks for probabilities"),
        ("modalities", &[r#"["text"]"#], "it asks for more than text"),
        ("reasoning_effort", &[r#""none""#], "the model reasons"),
    ] {
        if !is_one_of(members, name, plain) {
            return Err(why);
        }
    }
    if let Some(format) = members.get("response_format") {
        let format = Members::of(format.as_bytes());
        let kind = format.and_then(|format| format.read::<String>("type"));
        if kind.as_deref() != Some("text") {
            return Err("it asks for JSON");
        }
    }
    ends_with_the_user(members, "messages")?;
    match members.get("stop") {
        None => Ok(Vec::new()),
        Some(stop) => serde_json::from_str(stop)
            .or_else(|_| serde_json::from_str(stop).map(|stop| vec![stop]))
            .map_err(|_| "its stop sequences are not read"),
    }
}

fn messages(members: &Members<'_>) -> Result<Vec<String>, Why> {
    only(members, MESSAGES)?;
    has_no_tools(members)?;
    if let Some(thinking) = members.get("thinking") {
        let thinking = Members::of(thinking.as_bytes());
        let kind = thinking.and_then(|thinking| thinking.read::<String>("type"));
        if kind.as_deref() != Some("disabled") {
            return Err("the model reasons");
        }
    }
    ends_with_the_user(members, "messages")?;
    Ok(members.read("stop_sequences").unwrap_or_default())
}

fn gemini(members: &Members<'_>) -> Result<Vec<String>, Why> {
    only(members, GEMINI)?;
    has_no_tools(members)?;
    ends_with_the_user(members, "contents")?;
    if members.get("generation_config").is_some() {
        return Err("a parameter may depend on the place");
    }
    let Some(config) = members.get("generationConfig") else {
        return Ok(Vec::new());
    };
    let config = Members::of(config.as_bytes()).ok_or("its configuration is not read")?;
    only(&config, GENERATION)?;
    if !is_one_of(&config, "candidateCount", &["1"]) {
        return Err("it asks for several choices");
    }
    if !is_one_of(&config, "responseMimeType", &[r#""text/plain""#]) {
        return Err("it asks for JSON");
    }
    if let Some(thinking) = config.get("thinkingConfig") {
        let thinking = Members::of(thinking.as_bytes());
        if thinking.and_then(|thinking| thinking.read("thinkingBudget")) != Some(0) {
            return Err("the model reasons");
        }
    }
    Ok(config.read("stopSequences").unwrap_or_default())
}

/// The last message is a user's: not the result of a tool, and no prefill of the caller's own.
fn ends_with_the_user(members: &Members<'_>, list: &str) -> Result<(), Why> {
    let messages = members.get(list).and_then(elements);
    let last = messages
        .as_ref()
        .and_then(|all| all.last())
        .map(|last| last.get());
    let last = last.and_then(|last| Members::of(last.as_bytes()));
    let last = last.ok_or("its messages are not read")?;
    let role: Option<String> = last.read("role");
    // Gemini's turns are the user's unless they say otherwise
    let is_users = role
        .as_deref()
        .map_or(list == "contents", |role| role == "user");
    is_users
        .then_some(())
        .ok_or("its last message is not the user's")
}

#[cfg(test)]
pub(super) mod tests {
    use http_body_util::Full;
    use serde_json::{Value, json};

    use super::*;

    pub(crate) const CHAT_PATH: &str = "/v1/chat/completions";
    pub(crate) const MESSAGES_PATH: &str = "/v1/messages";
    pub(crate) const GEMINI_PATH: &str =
        "/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse";

    pub(crate) async fn request(path: &str, json: &Value) -> Request<Payload> {
        let request = Request::post(format!("https://h{path}")).body(Full::from(json.to_string()));
        Payload::read(request.unwrap(), 1 << 20).await
    }

    pub(crate) fn said(text: &str) -> Beginning {
        Beginning {
            text: text.into(),
            tokens: 10,
        }
    }

    pub(crate) fn asks(list: &str, more: Value) -> Value {
        let turn = if list == "contents" {
            json!({"contents": [{"parts": [{"text": "hi"}]}]})
        } else {
            json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]})
        };
        let Value::Object(mut all) = turn else {
            unreachable!()
        };
        if let Value::Object(more) = more {
            all.extend(more);
        }
        all.into()
    }

    #[tokio::test]
    async fn a_plain_call_can_be_gone_on_with_in_each_dialect() {
        for (path, list, more) in [
            (
                CHAT_PATH,
                "messages",
                json!({"temperature": 0, "stop": "END", "n": 1, "max_tokens": 99}),
            ),
            (
                CHAT_PATH,
                "messages",
                json!({"response_format": {"type": "text"}, "tools": [], "store": false}),
            ),
            (
                MESSAGES_PATH,
                "messages",
                json!({"max_tokens": 99, "system": "s", "thinking": {"type": "disabled"}}),
            ),
            (
                GEMINI_PATH,
                "contents",
                json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}),
            ),
        ] {
            let request = request(path, &asks(list, more)).await;
            assert_eq!(check(&request, &said("Hello")), Ok(()));
        }
    }

    #[tokio::test]
    async fn what_would_be_wrong_is_refused() {
        let chat = [
            json!({"tools": [{"type": "function"}]}),
            json!({"n": 2}),
            json!({"store": true}),
            json!({"response_format": {"type": "json_object"}}),
            json!({"logprobs": true}),
            json!({"response_format": {"type": "json_schema", "json_schema": {}}}),
            json!({"reasoning_effort": "low"}),
            json!({"modalities": ["text", "audio"]}),
            json!({"min_tokens": 5}),
            json!({"prediction": {}}),
            json!({"web_search_options": {}}),
            json!({"messages": []}),
            json!({"messages": [{"role": "assistant", "content": "H"}]}),
            json!({"messages": [{"role": "tool", "content": "4"}]}),
            json!({"stop": ["x", "lo!"]}),
            json!({"something_new": 1}),
        ];
        for more in chat {
            let request = request(CHAT_PATH, &asks("messages", more.clone())).await;
            assert!(check(&request, &said("Hello")).is_err(), "{more}");
        }
        for more in [
            json!({"thinking": {"type": "enabled", "budget_tokens": 9}}),
            json!({"container": "c"}),
            json!({"thinking": {"type": "adaptive"}}),
            json!({"mcp_servers": []}),
            json!({"output_config": {}}),
            json!({"stop_sequences": ["o\n"]}),
        ] {
            let request = request(MESSAGES_PATH, &asks("messages", more.clone())).await;
            assert!(check(&request, &said("Hello")).is_err(), "{more}");
        }
        for more in [
            json!({"cachedContent": "c"}),
            json!({"tools": [{"google_search": {}}]}),
            json!({"generationConfig": {"candidateCount": 2}}),
            json!({"generationConfig": {"responseMimeType": "application/json"}}),
            json!({"generationConfig": {"responseSchema": {}}}),
            json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 9}}}),
        ] {
            let request = request(GEMINI_PATH, &asks("contents", more.clone())).await;
            assert!(check(&request, &said("Hello")).is_err(), "{more}");
        }
        let plain = request(CHAT_PATH, &asks("messages", json!({}))).await;
        assert!(check(&plain, &said(" \n")).is_err());
        let responses = request("/v1/responses", &json!({"model": "m", "input": "hi"})).await;
        assert!(check(&responses, &said("Hello")).is_err());
    }
}
