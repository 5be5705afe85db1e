//! How each provider writes its usage: a row for each, with the three rules of what is inside what.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use llm_exchange::{Dialect, Framing};
use serde_json::{Value, json};

use crate::{grpc::amazon, support::framed};

/// Where a count stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Within the prompt's or the completion's own count.
    Inside,
    /// Apart from it.
    Beside,
    /// Only the total has it.
    Hidden,
    /// Not told: nothing of the kind, or among the rest.
    Untold,
}

/// A provider's numbers, by its own rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
    pub(crate) written: u64,
    pub(crate) written_long: u64,
    pub(crate) completion: u64,
    pub(crate) reasoning: u64,
    /// What tools put into the prompt.
    pub(crate) tools: u64,
    pub(crate) total: u64,
}

pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    /// Where it is not the dialect's own.
    pub(crate) path: Option<&'static str>,
    /// `None`: it has no streams.
    pub(crate) framing: Option<Framing>,
    pub(crate) cached: Counted,
    pub(crate) written: Counted,
    pub(crate) written_long: Counted,
    pub(crate) reasoning: Counted,
    pub(crate) tools: Counted,
    /// Its usage, as JSON; over gRPC the fields by their numbers.
    pub(crate) usage: fn(&Told) -> Value,
    /// The event of a stream that has this text and, where it is some, this usage, which may be null.
    pub(crate) event: fn(&str, Option<&Value>) -> Value,
    /// An answer that is no stream.
    pub(crate) answer: fn(&Value) -> Value,
}

/// As OpenAI has it, and with it whoever speaks its format and says nothing else.
const OPENAI: Provider = Provider {
    name: "OpenAI chat",
    dialect: Dialect::OpenAiChat,
    path: None,
    framing: Some(Framing::Sse),
    cached: Counted::Inside,
    written: Counted::Inside,
    written_long: Counted::Inside,
    reasoning: Counted::Inside,
    tools: Counted::Untold,
    usage: |told| {
        json!({"prompt_tokens": told.prompt, "completion_tokens": told.completion, "total_tokens": told.total,
            "prompt_tokens_details": {"cached_tokens": told.cached, "cache_write_tokens": told.written,
                "cache_write_tokens_details": {"ttl_30m_tokens": told.written - told.written_long.min(told.written),
                    "ttl_12h_tokens": told.written_long}},
            "completion_tokens_details": {"reasoning_tokens": told.reasoning, "accepted_prediction_tokens": 1}})
    },
    // its usage comes with no choices, and so does what is no usage
    event: |text, usage| chunk(text, usage, usage.is_none()),
    answer: |usage| json!({"choices": [], "usage": usage}),
};

/// Those of which a cache is read that nothing is known to be written to.
const READS_ONLY: Provider = Provider {
    written: Counted::Untold,
    written_long: Counted::Untold,
    ..OPENAI
};

/// Two counts, and nothing of what is in them.
const PLAIN: Provider = Provider {
    cached: Counted::Untold,
    reasoning: Counted::Untold,
    usage: |told| {
        json!({"prompt_tokens": told.prompt, "completion_tokens": told.completion,
            "total_tokens": told.total})
    },
    ..READS_ONLY
};

const ANTHROPIC: Provider = Provider {
    name: "Anthropic",
    dialect: Dialect::AnthropicMessages,
    cached: Counted::Beside,
    written: Counted::Beside,
    usage: |told| {
        json!({"input_tokens": told.prompt, "cache_read_input_tokens": told.cached,
            "cache_creation_input_tokens": told.written,
            "cache_creation": {"ephemeral_1h_input_tokens": told.written_long},
            "output_tokens": told.completion,
            "output_tokens_details": {"thinking_tokens": told.reasoning}})
    },
    event: |text, usage| match usage {
        // any event that has one may be the first
        Some(usage) if text.is_empty() => {
            json!({"type": "message_start", "message": {"usage": usage}})
        }
        Some(usage) => json!({"type": "message_delta", "delta": {}, "usage": usage}),
        None if text.is_empty() => json!({"type": "ping"}),
        None => {
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}})
        }
    },
    answer: |usage| json!({"type": "message", "content": [], "usage": usage}),
    ..OPENAI
};

const GEMINI: Provider = Provider {
    name: "Gemini",
    dialect: Dialect::Gemini,
    path: Some("/v1beta/models/m:streamGenerateContent?alt=sse"),
    reasoning: Counted::Beside,
    tools: Counted::Beside,
    usage: |told| {
        json!({"promptTokenCount": told.prompt, "cachedContentTokenCount": told.cached,
            "toolUsePromptTokenCount": told.tools, "candidatesTokenCount": told.completion, "thoughtsTokenCount": told.reasoning,
            "totalTokenCount": told.total})
    },
    event: |text, usage| {
        let parts = json!([{"text": text}]);
        let mut event = json!({"candidates": [{"index": 0, "content": {"parts": parts}}]});
        if let Some(usage) = usage {
            event["usageMetadata"] = usage.clone();
        }
        event
    },
    answer: |usage| json!({"usageMetadata": usage}),
    ..READS_ONLY
};

/// Its JSON is made a message by [`Provider::bytes`].
const GEMINI_GRPC: Provider = Provider {
    name: "Gemini (gRPC)",
    dialect: Dialect::GeminiGrpc,
    path: None,
    framing: Some(Framing::Grpc),
    usage: |told| {
        json!({"1": told.prompt, "2": told.completion, "3": told.total, "4": told.cached,
            "8": told.tools, "10": told.reasoning})
    },
    event: |text, usage| {
        let candidate = json!({"1": {"1": {"1": text}}});
        match usage.filter(|usage| !usage.is_null()) {
            Some(usage) => json!({"1": candidate, "3": usage}),
            None => json!({"1": candidate}),
        }
    },
    answer: |usage| json!({"3": usage}),
    ..GEMINI
};

/// All providers whose numbers are known to differ in something, however little.
pub(crate) const PROVIDERS: &[Provider] = &[
    OPENAI,
    Provider {
        name: "Azure",
        path: Some("/openai/deployments/d/chat/completions?api-version=1"),
        event: |text, usage| {
            let mut event = chunk(text, usage, usage.is_none());
            event["prompt_filter_results"] = json!([]);
            event
        },
        ..OPENAI
    },
    Provider {
        name: "OpenAI responses",
        dialect: Dialect::OpenAiResponses,
        usage: |told| {
            json!({"input_tokens": told.prompt, "output_tokens": told.completion, "total_tokens": told.total,
                "input_tokens_details": {"cached_tokens": told.cached, "cache_write_tokens": told.written,
                    "cache_write_tokens_details": {"ttl_12h_tokens": told.written_long}},
                "output_tokens_details": {"reasoning_tokens": told.reasoning}})
        },
        event: |text, usage| match usage {
            Some(usage) => json!({"type": "response.completed",
                "response": {"status": "completed", "usage": usage}}),
            None => json!({"type": "response.output_text.delta", "delta": text}),
        },
        answer: |usage| json!({"status": "completed", "output": [], "usage": usage}),
        ..OPENAI
    },
    Provider {
        name: "OpenAI completions",
        dialect: Dialect::OpenAiCompletions,
        event: |text, usage| match usage {
            Some(usage) => json!({"choices": [], "usage": usage}),
            None => json!({"choices": [{"index": 0, "text": text}], "usage": null}),
        },
        ..PLAIN
    },
    Provider {
        name: "OpenAI embeddings",
        dialect: Dialect::OpenAiEmbeddings,
        framing: None,
        // there is nothing but the prompt
        usage: |told| json!({"prompt_tokens": told.prompt, "total_tokens": told.prompt}),
        answer: |usage| json!({"data": [], "model": "m", "usage": usage}),
        ..PLAIN
    },
    Provider {
        name: "Mistral",
        // one number under three names
        usage: |told| {
            json!({"prompt_tokens": told.prompt, "completion_tokens": told.completion, "total_tokens": told.total,
                "num_cached_tokens": told.cached, "prompt_tokens_details": {"cached_tokens": told.cached},
                "prompt_token_details": {"cached_tokens": told.cached},
                "completion_tokens_details": {"reasoning_tokens": told.reasoning}})
        },
        event: |text, usage| chunk(text, usage, true),
        ..READS_ONLY
    },
    Provider {
        name: "Groq",
        // twice, and the second may be missing
        usage: |told| {
            json!({"queue_time": 0.1, "prompt_tokens": told.prompt, "completion_tokens": told.completion,
                "total_tokens": told.total, "total_time": 0.5,
                "prompt_tokens_details": {"cached_tokens": told.cached},
                "completion_tokens_details": {"reasoning_tokens": told.reasoning}})
        },
        event: |text, usage| {
            let mut event = chunk(text, usage.filter(|_| text.len() > 1), true);
            if let Some(usage) = usage {
                event["x_groq"] = json!({"id": "req_1", "usage": usage});
            }
            event
        },
        ..READS_ONLY
    },
    Provider {
        name: "DeepSeek",
        usage: |told| {
            json!({"prompt_tokens": told.prompt, "completion_tokens": told.completion, "total_tokens": told.total,
                "prompt_cache_hit_tokens": told.cached,
                "prompt_cache_miss_tokens": told.prompt.saturating_sub(told.cached),
                "completion_tokens_details": {"reasoning_tokens": told.reasoning}})
        },
        event: |text, usage| chunk(text, usage, true),
        ..READS_ONLY
    },
    Provider {
        name: "OpenRouter",
        written_long: Counted::Untold,
        usage: |told| {
            json!({"prompt_tokens": told.prompt, "completion_tokens": told.completion, "total_tokens": told.total,
                "cost": 0.00103, "cost_details": {"upstream_inference_cost": null}, "is_byok": false,
                "prompt_tokens_details": {"cached_tokens": told.cached, "cache_write_tokens": told.written,
                    "audio_tokens": 0, "video_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": told.reasoning}})
        },
        event: |text, usage| {
            let mut event = chunk(text, usage, true);
            event["provider"] = "Someone".into();
            event
        },
        ..OPENAI
    },
    Provider {
        name: "xAI",
        reasoning: Counted::Beside,
        usage: |told| {
            json!({"prompt_tokens": told.prompt, "completion_tokens": told.completion, "total_tokens": told.total,
                "prompt_tokens_details": {"text_tokens": told.prompt, "cached_tokens": told.cached},
                "completion_tokens_details": {"reasoning_tokens": told.reasoning}})
        },
        event: |text, usage| chunk(text, usage, true),
        ..READS_ONLY
    },
    Provider {
        name: "Gemini's compatible endpoint",
        reasoning: Counted::Hidden,
        usage: |told| {
            json!({"prompt_tokens": told.prompt, "completion_tokens": told.completion, "total_tokens": told.total,
                "prompt_tokens_details": {"cached_tokens": told.cached}})
        },
        ..READS_ONLY
    },
    Provider {
        name: "vLLM",
        // running counts on every chunk, details only where the server is told to
        usage: |told| {
            let details = (told.cached > 0).then(|| json!({"cached_tokens": told.cached}));
            json!({"prompt_tokens": told.prompt, "total_tokens": told.total,
                "completion_tokens": told.completion, "prompt_tokens_details": details})
        },
        reasoning: Counted::Untold,
        event: |text, usage| chunk(text, usage, true),
        ..READS_ONLY
    },
    Provider {
        name: "TGI",
        event: |text, usage| {
            let mut event = chunk(text, usage, usage.is_none());
            event["system_fingerprint"] = "3.0-native".into();
            event
        },
        ..PLAIN
    },
    Provider {
        name: "Ollama's /v1",
        ..PLAIN
    },
    ANTHROPIC,
    Provider {
        name: "Anthropic on Vertex AI",
        path: Some("/v1/projects/p/locations/l/publishers/anthropic/models/m:streamRawPredict"),
        ..ANTHROPIC
    },
    Provider {
        name: "Anthropic on Bedrock",
        path: Some("/model/anthropic.m/invoke-with-response-stream"),
        framing: Some(Framing::EventStream),
        ..ANTHROPIC
    },
    Provider {
        name: "Bedrock Converse",
        dialect: Dialect::BedrockConverse,
        framing: Some(Framing::EventStream),
        cached: Counted::Beside,
        written: Counted::Beside,
        reasoning: Counted::Untold,
        usage: |told| {
            json!({"inputTokens": told.prompt, "outputTokens": told.completion, "totalTokens": told.total,
                "cacheReadInputTokens": told.cached, "cacheWriteInputTokens": told.written,
                "cacheDetails": [{"ttl": "1h", "inputTokens": told.written_long}]})
        },
        event: |text, usage| match usage {
            Some(usage) => json!({"usage": usage, "metrics": {"latencyMs": 9}}),
            None => json!({"contentBlockIndex": 0, "delta": {"text": text}}),
        },
        answer: |usage| json!({"stopReason": "end_turn", "usage": usage}),
        ..OPENAI
    },
    GEMINI,
    Provider {
        name: "Gemini, thoughts inside",
        reasoning: Counted::Inside,
        ..GEMINI
    },
    Provider {
        name: "Gemini (array)",
        path: None,
        framing: Some(Framing::Array),
        ..GEMINI
    },
    GEMINI_GRPC,
    Provider {
        name: "Vertex AI (gRPC)",
        dialect: Dialect::VertexGrpc,
        usage: |told| {
            json!({"1": told.prompt, "2": told.completion, "3": told.total, "5": told.cached,
                "13": told.tools, "14": told.reasoning})
        },
        event: |text, usage| {
            let candidate = json!({"2": {"2": {"1": text}}});
            match usage.filter(|usage| !usage.is_null()) {
                Some(usage) => json!({"2": candidate, "4": usage}),
                None => json!({"2": candidate}),
            }
        },
        answer: |usage| json!({"4": usage}),
        ..GEMINI_GRPC
    },
    Provider {
        name: "Ollama",
        dialect: Dialect::Ollama,
        framing: Some(Framing::Lines),
        usage: |told| {
            // what is zero is left out
            let mut usage = json!({"done": true, "done_reason": "stop"});
            for (name, count) in [
                ("prompt_eval_count", told.prompt),
                ("eval_count", told.completion),
            ] {
                if count > 0 {
                    usage[name] = count.into();
                }
            }
            usage
        },
        event: |text, usage| {
            let mut line = json!({"model": "m", "message": {"content": text}, "done": false});
            let usage = usage.and_then(Value::as_object);
            line.as_object_mut()
                .unwrap()
                .extend(usage.cloned().unwrap_or_default());
            line
        },
        answer: |usage| {
            let mut answer = usage.clone();
            answer["message"] = json!({"content": ""});
            answer
        },
        ..PLAIN
    },
];

/// A chunk of chat completions; with a usage either a choice too or none.
fn chunk(text: &str, usage: Option<&Value>, with_choice: bool) -> Value {
    let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
    let choices: Vec<_> = (with_choice && !text.is_empty())
        .then_some(choice)
        .into_iter()
        .collect();
    let mut chunk = json!({"id": "c", "object": "chat.completion.chunk", "choices": choices});
    if let Some(usage) = usage {
        chunk["usage"] = usage.clone();
    }
    chunk
}

impl Provider {
    /// The bytes of a stream of these events.
    pub(crate) fn stream(&self, events: &[Value]) -> Vec<u8> {
        let framing = self.framing.expect("a provider that streams");
        let each = events
            .iter()
            .enumerate()
            .map(|(place, event)| match framing {
                Framing::Sse => format!(": keep-alive\n\ndata: {event}\n\n").into_bytes(),
                Framing::Lines => format!("{event}\n").into_bytes(),
                Framing::Array => format!("{}{event}", ["[", ",\r\n"][place.min(1)]).into_bytes(),
                Framing::EventStream => {
                    let payload = match self.dialect {
                        Dialect::AnthropicMessages => {
                            json!({"bytes": STANDARD.encode(event.to_string()), "p": "abc"})
                        }
                        _ => event.clone(),
                    };
                    let headers = [(":event-type", "chunk"), (":message-type", "event")];
                    amazon(&headers, payload.to_string().as_bytes())
                }
                Framing::Grpc => framed(&message(event)).to_vec(),
                other => panic!("{other:?}"),
            });
        let mut bytes: Vec<_> = each.flatten().collect();
        if framing == Framing::Array {
            bytes.extend(if events.is_empty() { &b"[]"[..] } else { b"]" });
        }
        bytes
    }

    pub(crate) fn stream_type(&self) -> &'static str {
        match self.framing {
            Some(Framing::Sse) | None => "text/event-stream",
            Some(Framing::Lines) => "application/x-ndjson",
            Some(Framing::EventStream) => "application/vnd.amazon.eventstream",
            Some(Framing::Grpc) => "application/grpc",
            Some(_) => "application/json",
        }
    }

    /// The bytes of a whole answer, and their media type.
    pub(crate) fn whole(&self, usage: &Value) -> (&'static str, Vec<u8>) {
        let answer = (self.answer)(usage);
        match self.dialect.is_grpc() {
            true => ("application/grpc", framed(&message(&answer)).to_vec()),
            false => ("application/json", answer.to_string().into_bytes()),
        }
    }
}

/// An object of field numbers as a protobuf message.
fn message(fields: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, value) in fields.as_object().expect("fields") {
        let number: u64 = number.parse().expect("a number");
        let inner = match value {
            Value::Number(count) => {
                put_varint(&mut bytes, number << 3);
                put_varint(&mut bytes, count.as_u64().expect("a count"));
                continue;
            }
            Value::String(text) => text.as_bytes().to_vec(),
            value => message(value),
        };
        put_varint(&mut bytes, number << 3 | 2);
        put_varint(&mut bytes, inner.len() as u64);
        bytes.extend(inner);
    }
    bytes
}

fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}
