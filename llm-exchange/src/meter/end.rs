//! How an answer ended.

/// How an answer ended, by the proof that its protocol gives.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// All of it came: the provider's own end marks, and no error.
    Complete,
    /// The body ended in order, but the protocol's end marks are missing.
    Truncated,
    /// The provider said that it failed: an error answer, or an error inside of a 200.
    Errored,
    /// The connection broke.
    Broken,
    /// The connection broke because somebody waited too long.
    TimedOut,
    /// A layer of ours ended it.
    Cut(Cut),
    /// The reader dropped it: the caller went away.
    Dropped,
    /// The body ended in order; it is compressed or in a format that is not read, or an event of it
    /// was too large to be read and what would prove its end did not come in another.
    Unreadable,
}

/// Why a layer of ours ended an answer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// It reached a limit on tokens or money.
    Limit,
    /// A clock ran out.
    Clock,
    /// The model said the same thing again and again.
    Repeating,
    /// Another attempt at the same call answered first.
    Outrun,
}

/// Why a provider ended a choice, in one vocabulary. Ordered: the later, the less of an answer it
/// is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FinishReason {
    /// The model was done (`stop`, `end_turn`, `stop_sequence`, `STOP`).
    Stop,
    /// It calls a tool (`tool_calls`, `tool_use`, `function_call`).
    Tool,
    /// It pauses and wants to be asked to go on (`pause_turn`).
    Continue,
    /// An output cap or the context window (`length`, `max_tokens`, `MAX_TOKENS`).
    Length,
    /// Blocked or refused (`content_filter`, `refusal`, `SAFETY`).
    Filtered,
    /// The provider gave up (`error`, `insufficient_system_resource`, `aborted`).
    Failed,
    /// A reason that is not known. Not to be cached.
    Unknown,
}

impl FinishReason {
    /// What a provider's finish reason means, in any dialect.
    #[must_use]
    pub fn of(reason: &str) -> Self {
        match reason {
            "stop" | "end_turn" | "stop_sequence" | "STOP" | "eos_token" | "completed" => {
                Self::Stop
            }
            "tool_calls" | "tool_use" | "function_call" => Self::Tool,
            "pause_turn" | "CONTINUATION" | "compaction" => Self::Continue,
            "length"
            | "max_tokens"
            | "MAX_TOKENS"
            | "max_output_tokens"
            | "model_length"
            | "model_context_window_exceeded" => Self::Length,
            "content_filter"
            | "refusal"
            | "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "MODEL_ARMOR"
            | "IMAGE_SAFETY"
            | "guardrail_intervened"
            | "content_filtered" => Self::Filtered,
            "error"
            | "failed"
            | "cancelled"
            | "insufficient_system_resource"
            | "abort"
            | "aborted" => Self::Failed,
            // the prompt itself, and Google's many reasons about images
            _ if reason.starts_with("blocked:") || reason.starts_with("IMAGE_") => Self::Filtered,
            _ => Self::Unknown,
        }
    }
}
