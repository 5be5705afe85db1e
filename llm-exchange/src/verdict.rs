use http::StatusCode;

use crate::ProviderError;

mod words;

/// What an answer means for resilience.
///
/// [`Verdict::of`] reads the body before the status, because providers use one status for things
/// that need opposite reactions: a 429 may be gone in a second or last until somebody pays.
///
/// | Verdict | What says so | Source |
/// |---|---|---|
/// | `Ok` | 1xx, 2xx, 3xx, and no error in the body | RFC 9110 |
/// | `QuotaExhausted` | 402, except OpenRouter's `openrouter_in_flight_budget` (`Throttled`) | OpenRouter errors |
/// | | `insufficient_quota`, `credit_balance_exhausted`, `organization_spend_limit_exceeded`, `project_spend_limit_exceeded`, `organization_usage_limit_exceeded`, `billing_hard_limit_reached`, `billing_not_active`, as type or code | OpenAI error codes |
/// | | `billing_error`; `details.error_code` `enforced_spend_limit_reached`, `contract_spend_limit_reached` | Anthropic errors |
/// | | a throttling whose `quotaId` is `PerDay`, a `RESOURCE_EXHAUSTED` whose message says `limit: 0`, or a throttling because prepayment credits are depleted | Google API errors |
/// | | `ServiceQuotaExceededException` | Bedrock errors |
/// | `PromptTooLong` | `context_length_exceeded`; a 429 whose message says `Limit N … Requested M` with M above N | OpenAI error codes |
/// | | a 400, 413 or 422 whose message says so, in the words of Anthropic, vLLM, Gemini, TGI, llama.cpp, Bedrock or Cerebras (never with `string_above_max_length`, which is about one field) | their errors |
/// | | a 429 "token budget exceeded by request parameters" | Azure errors |
/// | `Filtered` | `content_filter`, `content_policy_violation`, `invalid_prompt`, `cyber_policy`; `innererror.code` `ResponsibleAIPolicyViolation` | OpenAI error codes, Azure errors |
/// | `Throttled` | 429; `rate_limit…`, `slow_down`, `ramp_limit_exceeded`, `RESOURCE_EXHAUSTED`, `ThrottlingException` on any status but 402; a 5xx whose body says 429 | OpenAI error codes, Anthropic errors, Google API errors |
/// | `Overloaded` | 503, 529, 498; `overloaded_error`, `server_is_overloaded`, `provider_overloaded`, `overloaded` | OpenAI error codes, Anthropic errors, Groq errors, TGI |
/// | `TimedOut` | 408, 504, 524 | RFC 9110, Cloudflare |
/// | `Failed` | 409, 424, 425, 500, 502, 520 to 523, 530, any other 5xx; an error of unknown kind in a 2xx; a 400 with `details.error_code` `thread_continue_in_flight` or `request_body_timeout` | RFC 9110, Cloudflare, Anthropic errors |
/// | `CallersFault` | any other 4xx (400, 401, 403, 404, 405, 410, 412, 413, 415, 422, …), 501, 505 | RFC 9110 |
/// | `CallerGone` | 499 | nginx, Google API errors |
///
/// An error in a 2xx (a body that is only an error, an error event in a stream) is judged by the
/// status that the error itself amounts to, [`ProviderError::status`].
///
/// The same call makes sense again after `Throttled`, `Overloaded`, `Failed` and `TimedOut`, unless
/// the answer says otherwise ([`Hints::should_retry`](crate::Hints::should_retry)). About the
/// provider's health speak `Overloaded`, `Failed` and `TimedOut`; `QuotaExhausted` is about one
/// credential.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// An answer.
    Ok,
    /// Too many calls or tokens for now.
    Throttled,
    /// The credential has nothing left to spend, or not before tomorrow: waiting does not help.
    QuotaExhausted,
    /// The provider has too much to do.
    Overloaded,
    /// The provider failed.
    Failed,
    /// The provider, or somebody on the way, took too long.
    TimedOut,
    /// The call asks for more tokens than the model, or its limit per minute, takes at once.
    /// Another model may.
    PromptTooLong,
    /// The content was blocked.
    Filtered,
    /// The call itself is wrong, and will be again.
    CallersFault,
    /// The caller went away, or its upload broke.
    CallerGone,
    /// Another attempt at the same call, asked at the same time, answered first, and this one was dropped. It
    /// says nothing of the provider: to be slower is no failure. Never the verdict of an answer's words.
    Outrun,
    /// A layer of ours refused the call: none was sent. Never the verdict of a provider's answer.
    Refused,
}

impl Verdict {
    /// The name in `snake_case`, for labels: `quota_exhausted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Throttled => "throttled",
            Verdict::QuotaExhausted => "quota_exhausted",
            Verdict::Overloaded => "overloaded",
            Verdict::Failed => "failed",
            Verdict::TimedOut => "timed_out",
            Verdict::PromptTooLong => "prompt_too_long",
            Verdict::Filtered => "filtered",
            Verdict::CallersFault => "callers_fault",
            Verdict::CallerGone => "caller_gone",
            Verdict::Outrun => "outrun",
            Verdict::Refused => "refused",
        }
    }

    /// Judges an answer by its status and by the error in its body or stream, if there is one.
    ///
    /// ```
    /// use http::StatusCode;
    /// use llm_exchange::{ProviderError, Verdict};
    ///
    /// let body = br#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#;
    /// let error = ProviderError::from_body(body);
    /// let status = StatusCode::TOO_MANY_REQUESTS;
    /// assert_eq!(Verdict::of(status, error.as_ref()), Verdict::QuotaExhausted);
    /// assert_eq!(Verdict::of(status, None), Verdict::Throttled);
    /// ```
    pub fn of(status: StatusCode, error: Option<&ProviderError>) -> Verdict {
        let Some(error) = error else {
            return of_status(status);
        };
        // An error in a "success" counts as the answer that it should have been.
        let status = if status.as_u16() < 400 {
            error.status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        } else {
            status
        };
        if let Some(verdict) = error.names().find_map(words::by_name) {
            return verdict;
        }
        match by_body(status, error) {
            Verdict::Throttled if words::is_hopeless(error) => Verdict::QuotaExhausted,
            Verdict::Throttled if words::is_over_the_limit(error) => Verdict::PromptTooLong,
            Verdict::CallersFault if words::is_too_long(status, error) => Verdict::PromptTooLong,
            verdict => verdict,
        }
    }
}

/// Whether it is about the rate or the load, where the body can say otherwise than the status.
fn by_body(status: StatusCode, error: &ProviderError) -> Verdict {
    if status == StatusCode::PAYMENT_REQUIRED {
        return match error.limit_source() {
            Some("openrouter_in_flight_budget") => Verdict::Throttled,
            _ => Verdict::QuotaExhausted,
        };
    }
    match error.status().map(|status| status.as_u16()) {
        // Vertex wraps a 429 in a 500 or 503.
        Some(429) if status.is_server_error() => Verdict::Throttled,
        _ => error
            .names()
            .find_map(words::pressure)
            .unwrap_or_else(|| of_status(status)),
    }
}

fn of_status(status: StatusCode) -> Verdict {
    match status.as_u16() {
        ..400 => Verdict::Ok,
        402 => Verdict::QuotaExhausted,
        408 | 504 | 524 => Verdict::TimedOut,
        // 424: a model behind the gateway failed.
        409 | 424 | 425 => Verdict::Failed,
        429 => Verdict::Throttled,
        498 | 503 | 529 => Verdict::Overloaded,
        499 => Verdict::CallerGone,
        501 | 505 => Verdict::CallersFault,
        500.. => Verdict::Failed,
        _ => Verdict::CallersFault,
    }
}
