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

/// The fewest tokens of a prefix that may be marked. `None`: the model takes no marks.
pub(super) fn least_for_marks(dialect: Dialect, model: &str) -> Option<u64> {
    let name = &model[model.find("claude")?..];
    form_of(dialect)?;
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

/// Whether a prefix can be kept for an hour. Converse takes it only for the models of this generation.
pub(super) fn keeps_an_hour(form: Form, model: &str) -> bool {
    let known = ["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"];
    form == Form::Anthropic || known.iter().any(|known| model.contains(known))
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
        let least = |model| least_for_marks(Dialect::AnthropicMessages, model);
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
        assert_eq!(least_for_marks(Dialect::OpenAiChat, "claude-opus-5"), None);
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
