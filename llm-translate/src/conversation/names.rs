//! What each dialect calls the things of a request, so that what cannot be carried over is told in the
//! caller's words.

pub(crate) struct Names {
    pub(crate) turns: &'static str,
    pub(crate) choices: &'static str,
    pub(crate) temperature: &'static str,
    pub(crate) top_p: &'static str,
    pub(crate) top_k: &'static str,
    pub(crate) presence_penalty: &'static str,
    pub(crate) frequency_penalty: &'static str,
    pub(crate) seed: &'static str,
    pub(crate) stops: &'static str,
    pub(crate) format: &'static str,
    pub(crate) effort: &'static str,
    pub(crate) thinking: &'static str,
    pub(crate) reasoning: &'static str,
    pub(crate) parallel_calls: &'static str,
    pub(crate) tools: &'static str,
    pub(crate) user: &'static str,
    pub(crate) failed: &'static str,
    /// Where a schema of the answer may be strict or not.
    pub(crate) strict: Option<&'static str>,
}

pub(crate) const CHAT: Names = Names {
    turns: "messages",
    choices: "n",
    temperature: "temperature",
    top_p: "top_p",
    top_k: "top_k",
    presence_penalty: "presence_penalty",
    frequency_penalty: "frequency_penalty",
    seed: "seed",
    stops: "stop",
    format: "response_format",
    effort: "reasoning_effort",
    thinking: "reasoning_effort",
    reasoning: "reasoning_content",
    parallel_calls: "parallel_tool_calls",
    tools: "tools",
    user: "safety_identifier",
    failed: "is_error",
    strict: Some("response_format.json_schema.strict"),
};

pub(crate) const MESSAGES: Names = Names {
    turns: "messages",
    choices: "n",
    stops: "stop_sequences",
    format: "output_config.format",
    effort: "output_config.effort",
    thinking: "thinking",
    reasoning: "messages.thinking",
    parallel_calls: "tool_choice.disable_parallel_tool_use",
    user: "metadata.user_id",
    failed: "tool_result.is_error",
    strict: None,
    ..CHAT
};

pub(crate) const GEMINI: Names = Names {
    turns: "contents",
    choices: "generationConfig.candidateCount",
    temperature: "generationConfig.temperature",
    top_p: "generationConfig.topP",
    top_k: "generationConfig.topK",
    presence_penalty: "generationConfig.presencePenalty",
    frequency_penalty: "generationConfig.frequencyPenalty",
    seed: "generationConfig.seed",
    stops: "generationConfig.stopSequences",
    format: "generationConfig.responseJsonSchema",
    effort: "generationConfig.thinkingConfig.thinkingLevel",
    thinking: "generationConfig.thinkingConfig",
    reasoning: "contents.parts.thought",
    failed: "functionResponse.response.error",
    strict: None,
    ..CHAT
};

pub(crate) const RESPONSES: Names = Names {
    turns: "input",
    format: "text.format",
    strict: Some("text.format.strict"),
    effort: "reasoning.effort",
    thinking: "reasoning",
    reasoning: "input.reasoning",
    ..CHAT
};
