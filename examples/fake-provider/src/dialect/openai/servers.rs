//! What the servers that speak chat completions do differently from OpenAI.

use serde_json::{Value, json};

use super::{Event, Problem};
use crate::ask::Answer;

/// A server that speaks OpenAI's chat completions, with its oddities.
///
/// | server | what it does differently |
/// |---|---|
/// | `azure` | the first chunk has no choice but filter results; codes of errors are texts of numbers |
/// | `mistral` | usage on the finish chunk, the cached count three times in it; flat errors |
/// | `groq` | `x_groq`: an id at the start, usage on the finish chunk, errors as a text |
/// | `deepseek` | `prompt_cache_hit_tokens`, usage on the finish chunk, `: keep-alive`; blank lines before JSON |
/// | `openrouter` | `: OPENROUTER PROCESSING`; usage always, with a cost; errors beside a choice, then `[DONE]` |
/// | `xai` | reasoning outside `completion_tokens`; usage on the finish chunk |
/// | `vllm` | errors have a number as code, then comes `[DONE]`; `continuous_usage_stats` |
/// | `tgi` | an error is a text with an `error_type`, then comes `[DONE]` |
/// | `ollama` | an error in a stream is swallowed: an empty delta, then the end |
/// | `gemini` | reasoning is only in `total_tokens` |
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Server {
    /// As OpenAI does it.
    #[default]
    OpenAi,
    /// Azure OpenAI.
    Azure,
    /// Mistral.
    Mistral,
    /// Groq.
    Groq,
    /// DeepSeek.
    DeepSeek,
    /// OpenRouter.
    OpenRouter,
    /// xAI.
    Xai,
    /// vLLM.
    Vllm,
    /// Hugging Face's TGI.
    Tgi,
    /// Ollama's `/v1`.
    Ollama,
    /// Gemini's OpenAI-compatible endpoint.
    Gemini,
}

impl Server {
    pub(crate) const ALL: [(&str, Self); 11] = [
        ("openai", Self::OpenAi),
        ("azure", Self::Azure),
        ("mistral", Self::Mistral),
        ("groq", Self::Groq),
        ("deepseek", Self::DeepSeek),
        ("openrouter", Self::OpenRouter),
        ("xai", Self::Xai),
        ("vllm", Self::Vllm),
        ("tgi", Self::Tgi),
        ("ollama", Self::Ollama),
        ("gemini", Self::Gemini),
    ];

    pub(super) const fn comment(self) -> &'static str {
        match self {
            Self::OpenRouter => "OPENROUTER PROCESSING",
            _ => "keep-alive",
        }
    }

    /// What keeps an unstreamed answer alive while it is waited for.
    pub(crate) const fn before_json(self) -> &'static str {
        match self {
            Self::DeepSeek => "\n\n\n\n",
            _ => "",
        }
    }

    /// Members that every answer and chunk has.
    pub(super) const fn marks(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Azure => {
                r#","service_tier":"default","system_fingerprint":"fp_fake""#
            }
            Self::OpenRouter => r#","provider":"Fake""#,
            _ => "",
        }
    }

    /// A first chunk that is about no choice.
    pub(super) const fn first_event(self) -> Option<&'static str> {
        match self {
            Self::Azure => Some(
                r#""choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]"#,
            ),
            _ => None,
        }
    }

    /// On the chunk with the role.
    pub(super) fn at_start(self, answer: &Answer) -> String {
        match self {
            Self::Groq => format!(r#","x_groq":{{"id":"req_fake_{}"}}"#, answer.number),
            Self::OpenAi if answer.include_usage && answer.usage => r#","usage":null"#.into(),
            _ => String::new(),
        }
    }

    /// On the last chunk with a finish reason.
    pub(super) fn at_finish(self, answer: &Answer) -> String {
        let usage = || self.usage(answer, answer.deltas());
        match self {
            _ if !answer.usage => String::new(),
            Self::Mistral | Self::DeepSeek | Self::Xai => format!(r#","usage":{}"#, usage()),
            Self::Groq => format!(
                r#","x_groq":{{"id":"req_fake_{}","usage":{}}}"#,
                answer.number,
                usage()
            ),
            Self::OpenAi if answer.include_usage => r#","usage":null"#.into(),
            _ => String::new(),
        }
    }

    /// Whether usage has a chunk of its own.
    pub(super) fn sends_usage_chunk(self, answer: &Answer) -> bool {
        let always = self == Self::OpenRouter;
        let never = matches!(self, Self::Mistral | Self::DeepSeek | Self::Xai);
        answer.usage && !never && (always || answer.include_usage)
    }

    /// The usage after so many deltas of each choice.
    pub(super) fn usage(self, answer: &Answer, deltas: usize) -> String {
        let prompt = answer.prompt_tokens;
        let reasoning = answer.reasoning.len().min(deltas) * answer.choices;
        let output = deltas * answer.choices;
        // here alone reasoning is not among the completion's tokens
        let completion = match self {
            Self::Xai | Self::Gemini => output - reasoning,
            _ => output,
        };
        let mut usage = json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + output,
        });
        match self {
            Self::Mistral => {
                usage["num_cached_tokens"] = 0.into();
                usage["prompt_tokens_details"] = json!({"cached_tokens": 0});
                usage["prompt_token_details"] = json!({"cached_tokens": 0});
            }
            // no details at all
            Self::Vllm | Self::Tgi | Self::Ollama | Self::Gemini => {}
            _ => {
                usage["prompt_tokens_details"] = json!({"cached_tokens": 0});
                usage["completion_tokens_details"] = json!({"reasoning_tokens": reasoning});
            }
        }
        match self {
            Self::Groq => {
                usage["queue_time"] = 0.01.into();
                usage["total_time"] = 0.05.into();
            }
            Self::DeepSeek => {
                usage["prompt_cache_hit_tokens"] = 0.into();
                usage["prompt_cache_miss_tokens"] = prompt.into();
            }
            Self::OpenRouter => {
                usage["cost"] = 0.001.into();
                usage["is_byok"] = false.into();
            }
            _ => {}
        }
        usage.to_string()
    }

    /// How a stream tells of an error.
    pub(super) fn error_events(self, problem: Problem) -> Vec<Event> {
        let chunk = |members: &str| {
            Event::data(format!(
                r#"{{"id":"fake","object":"chat.completion.chunk","created":{},"model":"fake",{members}}}"#,
                super::CREATED
            ))
        };
        let done = Event::data("[DONE]");
        match self {
            Self::Vllm | Self::Tgi => vec![Event::data(problem.body), done],
            Self::OpenRouter => {
                let body: Value = serde_json::from_str(&problem.body).unwrap_or_default();
                let error = &body["error"];
                let choices =
                    r#""choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]"#;
                vec![chunk(&format!(r#""error":{error},{choices}"#)), done]
            }
            Self::Groq => vec![chunk(
                r#""choices":[{"index":0,"delta":{},"finish_reason":null}],"x_groq":{"error":"The model stopped early."}"#,
            )],
            Self::Ollama => vec![chunk(
                r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]"#,
            )],
            _ => vec![Event::data(problem.body)],
        }
    }
}
