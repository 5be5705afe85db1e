//! Which calls may be made twice at once.

use http::Request;
use llm_exchange::{Call, Dialect, Payload};

use crate::members::{Members, elements};

/// What a provider keeps, or does by itself, for a call that has it.
const STATEFUL: [&str; 13] = [
    "previous_response_id",
    "conversation",
    "thread",
    "container",
    "background",
    "store",
    "mcp_servers",
    "web_search_options",
    "cachedContent",
    "cached_content",
    "context_management",
    "diagnostics",
    "plugins",
];

/// Whether a call does nothing but ask for an answer: no tool that runs at the provider, nothing that
/// it keeps.
pub(crate) fn is_stateless(request: &Request<Payload>) -> bool {
    let Some(call) = Call::of(request) else {
        return false;
    };
    let Some(members) = request.body().whole().and_then(|body| Members::of(body)) else {
        return false;
    };
    // an answer is kept there unless the call says otherwise, and a prompt is one that is kept
    let may_keep = call.dialect() == Dialect::OpenAiResponses
        && (members.get("store") != Some("false") || members.get("prompt").is_some());
    let is_off = |name: &str| matches!(members.get(name), None | Some("false"));
    !may_keep && STATEFUL.iter().all(|name| is_off(name)) && has_own_tools_only(&members)
}

fn has_own_tools_only(members: &Members<'_>) -> bool {
    let Some(tools) = members.get("tools") else {
        return true;
    };
    let is_own = |json: &str| Members::of(json.as_bytes()).is_some_and(|tool| is_own(&tool));
    elements(tools).is_some_and(|tools| tools.iter().all(|tool| is_own(tool.get())))
}

/// A tool that the app runs.
fn is_own(tool: &Members<'_>) -> bool {
    match tool.read::<String>("type") {
        Some(kind) => matches!(&*kind, "function" | "custom"),
        // Anthropic's need no type; Google's say what they are by their one member
        None => {
            let googles = ["functionDeclarations", "function_declarations"];
            let mut names = tool.names();
            tool.get("input_schema").is_some() || names.all(|name| googles.contains(&name))
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use serde_json::{Value, json};

    use super::*;

    async fn may(path: &str, json: Value) -> bool {
        let request = Request::post(format!("https://h{path}")).body(Full::from(json.to_string()));
        is_stateless(&Payload::read(request.unwrap(), 1 << 20).await)
    }

    #[tokio::test]
    async fn a_call_that_only_asks_may_be_made_twice() {
        let tool = json!([{"type": "function", "function": {"name": "f"}}]);
        assert!(
            may(
                "/v1/chat/completions",
                json!({"model": "m", "messages": [], "tools": tool})
            )
            .await
        );
        assert!(
            may(
                "/v1/chat/completions",
                json!({"model": "m", "store": false})
            )
            .await
        );
        assert!(
            may(
                "/v1/messages",
                json!({"model": "m", "max_tokens": 1, "tools": [{"name": "f", "input_schema": {}}]})
            )
            .await
        );
        assert!(
            may(
                "/v1/responses",
                json!({"model": "m", "input": "hi", "store": false})
            )
            .await
        );
        assert!(may("/v1/completions", json!({"model": "m", "prompt": "hi"})).await);
        assert!(may("/v1/embeddings", json!({"model": "m", "input": "hi"})).await);
        let tools = json!([{"functionDeclarations": []}]);
        assert!(
            may(
                "/v1beta/models/m:generateContent",
                json!({"contents": [], "tools": tools})
            )
            .await
        );
    }

    #[tokio::test]
    async fn what_the_provider_keeps_or_runs_is_not() {
        for more in [
            json!({"store": true}),
            json!({"web_search_options": {}}),
            json!({"tools": [{"type": "web_search"}]}),
        ] {
            let mut call = json!({"model": "m", "messages": []});
            call.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            assert!(!may("/v1/chat/completions", call).await, "{more}");
        }
        for more in [
            json!({}),
            json!({"store": true}),
            json!({"store": false, "previous_response_id": "r"}),
            json!({"store": false, "background": true}),
            json!({"store": false, "conversation": "c"}),
            json!({"store": false, "prompt": {"id": "p"}}),
            json!({"store": false, "tools": [{"type": "mcp"}]}),
        ] {
            let mut call = json!({"model": "m", "input": "hi"});
            call.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            assert!(!may("/v1/responses", call).await, "{more}");
        }
        for more in [
            json!({"container": "c"}),
            json!({"mcp_servers": []}),
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ] {
            let mut call = json!({"model": "m", "max_tokens": 1});
            call.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            assert!(!may("/v1/messages", call).await, "{more}");
        }
        let path = "/v1beta/models/m:generateContent";
        assert!(!may(path, json!({"contents": [], "cachedContent": "c"})).await);
        assert!(
            !may(
                path,
                json!({"contents": [], "tools": [{"google_search": {}}]})
            )
            .await
        );
    }
}
