//! What an error means.

use http::StatusCode;
use llm_exchange::{ProviderError, Verdict};
use proptest::prelude::*;
use serde_json::json;

use crate::{bare, verdict};

#[test]
fn a_bare_status_is_judged_by_the_table() {
    for (statuses, verdict) in [
        (&[100, 200, 204, 304][..], Verdict::Ok),
        (&[402], Verdict::QuotaExhausted),
        (
            &[
                400, 401, 403, 404, 405, 410, 412, 413, 415, 418, 422, 501, 505,
            ],
            Verdict::CallersFault,
        ),
        (&[408, 504, 524], Verdict::TimedOut),
        (
            &[
                409, 424, 425, 500, 502, 507, 520, 521, 522, 523, 530, 599, 600, 999,
            ],
            Verdict::Failed,
        ),
        (&[429], Verdict::Throttled),
        (&[498, 503, 529], Verdict::Overloaded),
        (&[499], Verdict::CallerGone),
    ] {
        for &status in statuses {
            assert_eq!(bare(status), verdict, "{status}");
        }
    }
}

#[test]
fn quota_and_billing_are_told_from_the_rate() {
    for code in [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    ] {
        let by_code = format!(r#"{{"error":{{"code":"{code}","type":"requests"}}}}"#);
        let by_type = format!(r#"{{"error":{{"code":null,"type":"{code}"}}}}"#);
        assert_eq!(verdict(429, &by_code), Verdict::QuotaExhausted, "{code}");
        assert_eq!(verdict(429, &by_type), Verdict::QuotaExhausted, "{code}");
        assert_eq!(verdict(200, &by_code), Verdict::QuotaExhausted, "{code}");
    }
    for code in [
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
    ] {
        let body = format!(
            r#"{{"type":"error","error":{{"type":"rate_limit_error","details":{{"error_code":"{code}"}}}}}}"#
        );
        assert_eq!(verdict(429, &body), Verdict::QuotaExhausted, "{code}");
    }
    for code in ["rate_limit_exceeded", "slow_down", "ramp_limit_exceeded"] {
        let body = format!(r#"{{"error":{{"code":"{code}","type":"tokens"}}}}"#);
        assert_eq!(verdict(429, &body), Verdict::Throttled, "{code}");
    }
}

fn gemini_quota(ids: &[&str], message: &str) -> String {
    let violations: Vec<_> = ids.iter().map(|id| json!({"quotaId": id})).collect();
    let details = json!([{"violations": violations}, {"retryDelay": "5s"}]);
    let error = json!({"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details});
    json!({"error": error}).to_string()
}

#[test]
fn a_quota_per_day_is_hopeless_and_one_per_minute_is_not() {
    let (minute, day) = ("RequestsPerMinutePerProject", "RequestsPerDayPerProject");
    assert_eq!(
        verdict(429, &gemini_quota(&[minute], "m")),
        Verdict::Throttled
    );
    assert_eq!(
        verdict(429, &gemini_quota(&[day], "m")),
        Verdict::QuotaExhausted
    );
    assert_eq!(
        verdict(429, &gemini_quota(&[minute, day], "m")),
        Verdict::QuotaExhausted
    );
}

#[test]
fn a_limit_of_nothing_is_hopeless() {
    for (message, expected) in [
        (
            "Quota exceeded, limit: 0, model: gemini",
            Verdict::QuotaExhausted,
        ),
        (
            "Quota exceeded, limit: 5; quota exceeded, limit: 0",
            Verdict::QuotaExhausted,
        ),
        ("Quota exceeded, limit: 0.5", Verdict::Throttled),
        ("limit: 05", Verdict::Throttled),
        (
            "Your prepayment credits are depleted.",
            Verdict::QuotaExhausted,
        ),
    ] {
        assert_eq!(
            verdict(429, &gemini_quota(&[], message)),
            expected,
            "{message}"
        );
    }
    let other = r#"{"error":{"code":"rate_limit_exceeded","message":"remaining limit: 0"}}"#;
    assert_eq!(verdict(429, other), Verdict::Throttled);
}

#[test]
fn a_request_larger_than_the_limit_is_too_long_and_not_throttled() {
    let limit = |text: &str| {
        let error = json!({"message": text, "type": "tokens", "code": "rate_limit_exceeded"});
        verdict(429, &json!({"error": error}).to_string())
    };
    let large = "Request too large for gpt-6-sol on tokens per min (TPM): Limit 30000, Requested ";
    assert_eq!(
        limit(&format!("{large}40120. Reduce it.")),
        Verdict::PromptTooLong
    );
    assert_eq!(limit(&format!("{large}30000.")), Verdict::Throttled);
    assert_eq!(
        limit("Limit 30,000, Requested 40,120."),
        Verdict::PromptTooLong
    );
    assert_eq!(
        limit("Limit 30000, Used 29000, Requested 9000."),
        Verdict::Throttled
    );
    assert_eq!(
        limit("Limit 99999999999999999999, Requested 2"),
        Verdict::Throttled
    );
    let azure =
        r#"{"error":{"code":"429","message":"Token budget exceeded by request parameters"}}"#;
    assert_eq!(verdict(429, azure), Verdict::PromptTooLong);
}

#[test]
fn a_prompt_that_is_too_long_is_told_in_many_words() {
    for (status, body) in [
        (
            400,
            r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 2 > 1"}}"#,
        ),
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 8192"}"#,
        ),
        (
            400,
            r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"The input token count exceeds the maximum number of tokens allowed (1)."}}"#,
        ),
        (
            422,
            r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 1","error_type":"validation"}"#,
        ),
        (
            400,
            r#"{"message":"Input is too long for requested model."}"#,
        ),
        (200, r#"{"error":{"code":"context_length_exceeded"}}"#),
    ] {
        assert_eq!(verdict(status, body), Verdict::PromptTooLong, "{body}");
    }
    for (status, body) in [
        (
            400,
            r#"{"error":{"code":"string_above_max_length","message":"Invalid 'user': maximum context length"}}"#,
        ),
        (401, r#"{"error":{"message":"prompt is too long"}}"#),
        (
            413,
            r#"{"type":"error","error":{"type":"request_too_large","message":"too large"}}"#,
        ),
    ] {
        assert_eq!(verdict(status, body), Verdict::CallersFault, "{body}");
    }
}

#[test]
fn filtered_content_is_told_from_other_faults() {
    for code in [
        "content_filter",
        "content_policy_violation",
        "invalid_prompt",
        "cyber_policy",
    ] {
        let body = format!(r#"{{"error":{{"code":"{code}","type":"invalid_request_error"}}}}"#);
        assert_eq!(verdict(400, &body), Verdict::Filtered, "{code}");
    }
    let azure = r#"{"error":{"code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#;
    assert_eq!(verdict(400, azure), Verdict::Filtered);
}

#[test]
fn the_body_can_outrank_the_status() {
    for (status, error_object, expected) in [
        // Vertex wraps a 429.
        (
            500,
            r#"{"code":429,"status":"RESOURCE_EXHAUSTED"}"#,
            Verdict::Throttled,
        ),
        (503, r#"{"code":429}"#, Verdict::Throttled),
        (500, r#"{"type":"overloaded_error"}"#, Verdict::Overloaded),
        (
            429,
            r#"{"type":"service_unavailable_error","code":"server_is_overloaded"}"#,
            Verdict::Overloaded,
        ),
        (
            402,
            r#"{"code":402,"status":"RESOURCE_EXHAUSTED"}"#,
            Verdict::QuotaExhausted,
        ),
        (
            402,
            r#"{"metadata":{"limit_source":"openrouter_credits"}}"#,
            Verdict::QuotaExhausted,
        ),
        (
            402,
            r#"{"metadata":{"limit_source":"openrouter_in_flight_budget"}}"#,
            Verdict::Throttled,
        ),
        (
            400,
            r#"{"details":{"error_code":"thread_continue_in_flight"}}"#,
            Verdict::Failed,
        ),
        (
            400,
            r#"{"details":{"error_code":"request_body_timeout"}}"#,
            Verdict::Failed,
        ),
        (
            400,
            r#"{"type":"ServiceQuotaExceededException"}"#,
            Verdict::QuotaExhausted,
        ),
        // Otherwise the status stands.
        (500, r#"{"code":400}"#, Verdict::Failed),
        (404, r#"{"code":"model_not_found"}"#, Verdict::CallersFault),
    ] {
        let body = format!(r#"{{"error":{error_object}}}"#);
        assert_eq!(verdict(status, &body), expected, "{status} {body}");
    }
}

#[test]
fn an_error_in_a_success_is_judged_by_itself() {
    for (error_object, expected) in [
        (r#"{"code":502}"#, Verdict::Failed),
        (r#"{"code":503}"#, Verdict::Overloaded),
        (r#"{"type":"rate_limit_error"}"#, Verdict::Throttled),
        (r#"{"type":"timeout_error"}"#, Verdict::TimedOut),
        (r#"{"type":"invalid_request_error"}"#, Verdict::CallersFault),
        (r#"{"message":"something odd"}"#, Verdict::Failed),
    ] {
        let body = format!(r#"{{"error":{error_object}}}"#);
        assert_eq!(verdict(200, &body), expected, "{body}");
    }
}

#[test]
fn verdicts_have_names_for_labels() {
    assert_eq!(Verdict::Ok.as_str(), "ok");
    assert_eq!(Verdict::CallersFault.as_str(), "callers_fault");
    assert_eq!(Verdict::TimedOut.as_str(), "timed_out");
    assert_eq!(Verdict::Outrun.as_str(), "outrun");
}

proptest! {
    #[test]
    fn no_bytes_in_a_body_panic(body in proptest::collection::vec(any::<u8>(), 0..256), status in 100..1000u16) {
        let error = ProviderError::from_body(&body);
        Verdict::of(StatusCode::from_u16(status).unwrap(), error.as_ref());
    }

    #[test]
    fn no_cut_and_no_changed_byte_panics(at in 0..400usize, byte: u8, end in 0..900usize) {
        let ids = ["PerDay", "PerMinute"];
        let mut body = gemini_quota(&ids, "Limit 5, Requested 7, limit: 0 ü").into_bytes();
        if let Some(changed) = body.get_mut(at) {
            *changed = byte;
        }
        body.truncate(end);
        let error = ProviderError::from_body(&body);
        Verdict::of(StatusCode::TOO_MANY_REQUESTS, error.as_ref());
    }

    #[test]
    fn no_message_panics(message: String, status in 400..600u16) {
        let body = json!({"error": {"message": format!("limit {message} requested {message} limit: ")}});
        verdict(status, &body.to_string());
    }
}
