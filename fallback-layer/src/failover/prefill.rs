//! Which models go on from the beginning of an answer, and how they are asked to.

use http::{Request, Uri};
use llm_exchange::{Call, Dialect, Payload};

/// How a model is asked to go on from the beginning of an answer; see
/// [`Target::prefill`](crate::Target::prefill).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefill {
    /// It cannot be.
    Never,
    /// By a last message that is the assistant's: Anthropic, Gemini, and servers of the chat API that
    /// do so (Ollama).
    LastMessage,
    /// The same, with `"prefix": true` in that message (Mistral, DeepSeek's beta address). The answer
    /// may give the beginning back.
    PrefixMember,
    /// The same, with `continue_final_message` and without a generation prompt (vLLM, SGLang).
    ContinueFinalMessage,
}

impl Prefill {
    /// What is known of the model that this request asks for.
    pub(super) fn known(request: &Request<Payload>, call: &Call) -> Self {
        let model = call.model().unwrap_or_default();
        match call.dialect() {
            Dialect::AnthropicMessages if is_early_claude(model) => Self::LastMessage,
            Dialect::OpenAiChat if takes_prefix_member(request.uri(), model) => Self::PrefixMember,
            _ => Self::Never,
        }
    }
}

/// Up to 4.5, Anthropic's models take a prefill; the later ones answer with a 400.
fn is_early_claude(model: &str) -> bool {
    let Some((_, name)) = model.split_once("claude-") else {
        return false;
    };
    let four = ["opus-4", "sonnet-4", "haiku-4"];
    let minor = four.iter().find_map(|family| name.strip_prefix(family));
    let early = ["-0", "-1", "-5", "-2025", "@2025"];
    // 4-1 is a version, and 4-10 would be another one
    let is_it = |minor: &str, known: &&str| {
        let rest = minor.strip_prefix(*known);
        rest.is_some_and(|rest| {
            known.len() > 2 || !rest.starts_with(|next: char| next.is_ascii_digit())
        })
    };
    name.starts_with("3-")
        || minor.is_some_and(|minor| early.iter().any(|known| is_it(minor, known)))
}

fn takes_prefix_member(uri: &Uri, model: &str) -> bool {
    let host = uri.host().unwrap_or_default();
    let reasons = model.starts_with("magistral") || model.contains("reasoner");
    let mistral = host == "api.mistral.ai";
    let deepseek = host == "api.deepseek.com" && uri.path().starts_with("/beta/");
    (mistral || deepseek) && !reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_that_take_a_prefill_are_known_and_newer_ones_are_not_taken_for_them() {
        for model in [
            "claude-3-5-sonnet-20241022",
            "claude-sonnet-4-20250514",
            "claude-sonnet-4@20250514",
            "claude-opus-4-0",
            "claude-opus-4-1-20250805",
            "claude-sonnet-4-5",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        ] {
            assert!(is_early_claude(model), "{model}");
        }
        for model in [
            "claude-opus-4-6",
            "claude-sonnet-4-6-20260217",
            "claude-opus-4-10",
            "claude-sonnet-5",
            "claude-opus-5-5",
            "claude-haiku-5-5",
            "claude-sonnet-4-8",
            "gpt-4o",
        ] {
            assert!(!is_early_claude(model), "{model}");
        }
    }

    #[test]
    fn of_the_chat_api_those_are_known_that_document_it() {
        let takes = |uri: &str, model| takes_prefix_member(&uri.parse().unwrap(), model);
        let mistral = "https://api.mistral.ai/v1/chat/completions";
        assert!(takes(mistral, "mistral-large-4") && !takes(mistral, "magistral-medium"));
        let beta = "https://api.deepseek.com/beta/chat/completions";
        assert!(takes(beta, "deepseek-chat") && !takes(beta, "deepseek-reasoner"));
        assert!(!takes(
            "https://api.deepseek.com/chat/completions",
            "deepseek-chat"
        ));
        assert!(!takes(
            "https://api.openai.com/v1/chat/completions",
            "gpt-4o"
        ));
    }
}
