//! The field numbers of Google's two services.

/// Field numbers, for what differs between the services. Contents are 2, the system instruction 8
/// and the generation config 4 in both, as are prompt 1, candidates 2 and total 3 of the usage.
pub(super) struct Numbers {
    // of the request
    pub(super) model: u32,
    pub(super) tools: u32,
    pub(super) candidate_count: u32,
    pub(super) max_output_tokens: u32,
    // of the response
    pub(super) candidates: u32,
    pub(super) prompt_feedback: u32,
    pub(super) usage_metadata: u32,
    pub(super) model_version: u32,
    pub(super) response_id: u32,
    // of a candidate
    pub(super) content: u32,
    pub(super) finish_reason: u32,
    pub(super) index: u32,
    // of a content and of its parts
    pub(super) role: u32,
    pub(super) parts: u32,
    pub(super) text: u32,
    pub(super) thought: u32,
    pub(super) inline_data: u32,
    /// What is said of a part's data and is none: signatures of thoughts, metadata.
    pub(super) marks: &'static [u32],
    // of the usage
    pub(super) cached: u32,
    pub(super) tool_use: u32,
    pub(super) thoughts: u32,
    pub(super) traffic_type: u32,
    /// The parts of prompt, cached and candidates, by what they are of.
    pub(super) prompt_details: u32,
    pub(super) cache_details: u32,
    pub(super) candidates_details: u32,
    pub(super) finish_reasons: [&'static str; 11],
}

const NOWHERE: u32 = 0;

/// Of what tokens are of, in both.
pub(super) const AUDIO: u64 = 4;

/// Of the finish reasons, in both.
pub(super) const MAX_TOKENS: u64 = 2;

pub(super) const GENERATIVE_LANGUAGE: Numbers = Numbers {
    model: 1,
    tools: 5,
    candidate_count: 1,
    max_output_tokens: 4,
    candidates: 1,
    prompt_feedback: 2,
    usage_metadata: 3,
    model_version: 4,
    response_id: 5,
    content: 1,
    finish_reason: 2,
    index: 3,
    role: 2,
    parts: 1,
    text: 2,
    thought: 11,
    inline_data: 3,
    marks: &[8, 13, 14],
    cached: 4,
    tool_use: 8,
    thoughts: 10,
    traffic_type: NOWHERE,
    prompt_details: 5,
    cache_details: 6,
    candidates_details: 7,
    finish_reasons: [
        "",
        "STOP",
        "MAX_TOKENS",
        "SAFETY",
        "RECITATION",
        "OTHER",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MALFORMED_FUNCTION_CALL",
    ],
};

pub(super) const AI_PLATFORM: Numbers = Numbers {
    model: 5,
    tools: 6,
    candidate_count: 4,
    max_output_tokens: 5,
    candidates: 2,
    prompt_feedback: 3,
    usage_metadata: 4,
    model_version: 11,
    response_id: 13,
    content: 2,
    finish_reason: 3,
    index: 1,
    role: 1,
    parts: 2,
    text: 1,
    thought: 10,
    inline_data: 2,
    marks: &[4, 11],
    cached: 5,
    tool_use: 13,
    thoughts: 14,
    traffic_type: 8,
    prompt_details: 9,
    cache_details: 10,
    candidates_details: 11,
    finish_reasons: [
        "",
        "STOP",
        "MAX_TOKENS",
        "SAFETY",
        "RECITATION",
        "OTHER",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MALFORMED_FUNCTION_CALL",
        "MODEL_ARMOR",
    ],
};

pub(super) const BLOCK_REASONS: [&str; 5] =
    ["", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT"];

/// Of Vertex AI's `TrafficType`; a later one stays a number.
pub(super) const TRAFFIC_TYPES: [&str; 3] = ["", "ON_DEMAND", "PROVISIONED_THROUGHPUT"];
