//! Which models and servers keep prompts, and from which length on.

use http::Uri;
use llm_exchange::Dialect;

use super::points::Form;

/// The fewest tokens of a prefix that a model keeps, by the beginning of its name. The first that fits
/// counts.
const CLAUDE: [(&str, u64); 10] = [
    ("claude-opus-4-5", 4096),
    ("claude-opus-4-6", 4096),
    ("claude-opus-4-7", 2048),
    ("claude-opus-4-8", 1024),
    ("claude-haiku-4-5", 4096),
    ("claude-sonnet-4", 1024),
    ("claude-sonnet-5-5", 512),
    ("claude-sonnet-5", 1024),
    ("claude-opus-4", 1024),
    ("claude-3", 2048),
];
/// Models since the fifth generation.
const CLAUDE_5: u64 = 512;
/// Others of the house, and those to come.
const CLAUDE_OTHER: u64 = 4096;

/// OpenAI keeps prefixes from this length on.
pub(super) const OPENAI: u64 = 1024;

/// The fewest tokens of a prefix that may be marked. `None`: the model takes no marks there.
pub(super) fn least_for_marks(dialect: Dialect, uri: &Uri, model: &str) -> Option<u64> {
    let name = &model[model.find("claude")?..];
    form_of(dialect)?;
    if is_bedrock(dialect, uri) && !takes_marks_on_bedrock(name) {
        return None;
    }
    let known = CLAUDE.iter().find(|(start, _)| name.starts_with(start));
    let fifth = [
        "claude-opus-5",
        "claude-haiku-5",
        "claude-fable-5",
        "claude-mythos-5",
    ];
    Some(match known {
        Some((_, least)) => *least,
        None if fifth.iter().any(|start| name.starts_with(start)) => CLAUDE_5,
        None => CLAUDE_OTHER,
    })
}

/// How marks are written. `None`: the dialect has none.
pub(super) const fn form_of(dialect: Dialect) -> Option<Form> {
    match dialect {
        Dialect::AnthropicMessages => Some(Form::Anthropic),
        Dialect::BedrockConverse => Some(Form::Converse),
        _ => None,
    }
}

/// Whether a prefix can be kept for an hour. Bedrock takes it only for the models of this generation.
pub(super) fn keeps_an_hour(dialect: Dialect, uri: &Uri, model: &str) -> bool {
    let known = ["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"];
    !is_bedrock(dialect, uri) || known.iter().any(|known| model.contains(known))
}

/// Whether Bedrock is asked, by Converse or by Anthropic's messages.
fn is_bedrock(dialect: Dialect, uri: &Uri) -> bool {
    let (host, path) = (uri.host().unwrap_or_default(), uri.path());
    let is_invoke = ["/invoke", "/invoke-with-response-stream"]
        .iter()
        .any(|end| path.ends_with(end));
    dialect == Dialect::BedrockConverse
        || host.to_ascii_lowercase().contains("bedrock")
        || is_invoke
}

/// Bedrock refuses marks for models before these.
fn takes_marks_on_bedrock(name: &str) -> bool {
    let third = [
        "claude-3-5-haiku",
        "claude-3-5-sonnet-20241022",
        "claude-3-7-sonnet",
    ];
    // `claude-opus-4-1`: since the fourth, the generation stands behind the name
    let mut parts = name.split('-').skip(1);
    let is_named = parts
        .next()
        .is_some_and(|name| name.starts_with(|first: char| first.is_ascii_lowercase()));
    let generation = parts.next().and_then(|number| number.parse::<u8>().ok());
    third.iter().any(|known| name.starts_with(known))
        || (is_named && generation.is_some_and(|number| number >= 4))
}

/// Whether the server takes `prompt_cache_key`. Others of the same dialect refuse fields that they don't
/// know.
pub(super) fn takes_key(dialect: Dialect, uri: &Uri, more: &[Box<str>]) -> bool {
    if !matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses) {
        return false;
    }
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let is = |known: &str| {
        host == known
            || host
                .strip_suffix(known)
                .is_some_and(|before| before.ends_with('.'))
    };
    is("api.openai.com")
        || is("openai.azure.com")
        || is("services.ai.azure.com")
        || is("api.mistral.ai")
        || is("openrouter.ai")
        || more.iter().any(|known| is(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_its_least_length_and_others_take_no_marks() {
        let uri = Uri::from_static("https://api.anthropic.com/v1/messages");
        let least = |model| least_for_marks(Dialect::AnthropicMessages, &uri, model);
        for (model, tokens) in [
            ("claude-opus-5-5", 512),
            ("claude-opus-5", 512),
            ("claude-sonnet-5-5-20261021", 512),
            ("claude-sonnet-5", 1024),
            ("claude-sonnet-4-6", 1024),
            ("claude-opus-4-8", 1024),
            ("claude-opus-4-7", 2048),
            ("claude-opus-4-6", 4096),
            ("claude-haiku-4-5", 4096),
            ("claude-fable-5-1", 512),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 1024),
            ("claude-saga-9", 4096),
        ] {
            assert_eq!(least(model), Some(tokens), "{model}");
        }
        assert_eq!(least("deepseek-v4-pro"), None);
        let chat = least_for_marks(Dialect::OpenAiChat, &uri, "claude-opus-5");
        assert_eq!(chat, None);
    }

    #[test]
    fn on_bedrock_only_models_that_take_marks_get_them_and_few_for_an_hour() {
        let host = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m";
        for (dialect, end) in [
            (Dialect::BedrockConverse, "converse-stream"),
            (Dialect::AnthropicMessages, "invoke"),
            (Dialect::AnthropicMessages, "invoke-with-response-stream"),
        ] {
            let asked: Uri = format!("{host}/{end}").parse().unwrap();
            let proxied: Uri = format!("/model/m/{end}").parse().unwrap();
            for uri in [&asked, &proxied] {
                let takes = |model| least_for_marks(dialect, uri, model).is_some();
                for model in [
                    "anthropic.claude-3-5-haiku-20241022-v1:0",
                    "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
                    "anthropic.claude-3-7-sonnet-20250219-v1:0",
                    "anthropic.claude-sonnet-4-20250514-v1:0",
                    "global.anthropic.claude-opus-4-8",
                    "anthropic.claude-fable-5-1",
                ] {
                    assert!(takes(model), "{model}");
                }
                for model in [
                    "anthropic.claude-v2:1",
                    "anthropic.claude-instant-v1",
                    "anthropic.claude-3-haiku-20240307-v1:0",
                    "anthropic.claude-3-opus-20240229-v1:0",
                    "anthropic.claude-3-5-sonnet-20240620-v1:0",
                    "my-claude",
                ] {
                    assert!(!takes(model), "{model}");
                }
                let hour = |model| keeps_an_hour(dialect, uri, model);
                assert!(hour("us.anthropic.claude-sonnet-4-5-20250929-v1:0"));
                assert!(!hour("anthropic.claude-3-7-sonnet-20250219-v1:0"));
            }
        }
        let own = Uri::from_static("https://api.anthropic.com/v1/messages");
        let dialect = Dialect::AnthropicMessages;
        assert!(keeps_an_hour(dialect, &own, "claude-3-7-sonnet-latest"));
        assert!(least_for_marks(dialect, &own, "claude-3-haiku-20240307").is_some());
    }

    #[test]
    fn the_key_goes_only_to_servers_that_are_known_to_take_it() {
        let takes = |uri: &str| {
            takes_key(
                Dialect::OpenAiChat,
                &uri.parse().unwrap(),
                &["llm.corp".into()],
            )
        };
        for uri in [
            "https://api.openai.com/v1/chat/completions",
            "https://eu.api.openai.com/v1/chat/completions",
            "https://mine.openai.azure.com/openai/v1/chat/completions",
            "https://LLM.corp/v1/chat/completions",
        ] {
            assert!(takes(uri), "{uri}");
        }
        for uri in [
            "https://api.groq.com/openai/v1/chat/completions",
            "http://127.0.0.1:8000/v1/chat/completions",
            "https://notapi.openai.com.evil/v1/chat/completions",
            "https://xapi.openai.com/v1/chat/completions",
            "/v1/chat/completions",
        ] {
            assert!(!takes(uri), "{uri}");
        }
        let anthropic = "https://api.openai.com/v1/messages".parse().unwrap();
        assert!(!takes_key(Dialect::AnthropicMessages, &anthropic, &[]));
    }
}
