//! What error bodies and error events say, and what is made of it.

#[path = "common/transcripts.rs"]
mod transcripts;

use std::time::Duration;

use http::StatusCode;
use llm_exchange::{Delay, Hints, ProviderError, Verdict};
use proptest::prelude::*;
use serde_json::json;
use transcripts::{clock, error_event, expected, http};

fn error(body: &str) -> ProviderError {
    ProviderError::from_body(body.as_bytes()).unwrap_or_else(|| panic!("no error in {body}"))
}

fn code(body: &str) -> Option<String> {
    error(body).code().map(str::to_owned)
}

fn verdict(status: u16, body: &str) -> Verdict {
    let status = StatusCode::from_u16(status).expect("a status");
    Verdict::of(status, ProviderError::from_body(body.as_bytes()).as_ref())
}

fn bare(status: u16) -> Verdict {
    Verdict::of(StatusCode::from_u16(status).expect("a status"), None)
}

fn may_be_sent_again(verdict: Verdict, hints: &Hints) -> bool {
    use Verdict::{Failed, Overloaded, Throttled, TimedOut};
    matches!(verdict, Throttled | Overloaded | Failed | TimedOut)
        && hints.should_retry() != Some(false)
}

#[test]
fn every_error_answer_is_read_as_expected() {
    for (name, verdict) in [
        ("11-openai-429-rate-limit.http", Verdict::Throttled),
        (
            "12-openai-429-credit-exhausted.http",
            Verdict::QuotaExhausted,
        ),
        ("13-openai-503-overloaded-date.http", Verdict::Overloaded),
        ("14-openai-400-context-length.http", Verdict::PromptTooLong),
        ("19-azure-429.http", Verdict::Throttled),
        ("20-azure-400-content-filter.http", Verdict::Filtered),
        ("29-anthropic-429-rate-limit.http", Verdict::Throttled),
        ("30-anthropic-429-spend-limit.http", Verdict::QuotaExhausted),
        ("31-anthropic-529-overloaded.http", Verdict::Overloaded),
        ("36-gemini-429-retryinfo.http", Verdict::Throttled),
        ("38-gemini-402-prepay.http", Verdict::QuotaExhausted),
        ("42-mistral-429.http", Verdict::Throttled),
        ("45-groq-498-flex.http", Verdict::Overloaded),
        ("50-openrouter-200-error.http", Verdict::Failed),
    ] {
        let (answer, expected) = (http(name), expected(name));
        let error = ProviderError::from_body(&answer.body).expect(name);
        let hints = Hints::read(&answer.headers, &clock()).or_retry_info(error.retry_info());
        let delay_ms = hints.delay().map(|delay| match delay {
            Delay::Asked(wait) | Delay::AtMost(wait) => json!(wait.as_millis()),
            _ => panic!("{name}: a delay of another kind"),
        });
        let read = Verdict::of(answer.status, Some(&error));
        assert_eq!(answer.status.as_u16(), expected["status"], "{name}");
        assert_eq!(error.code(), expected["error"].as_str(), "{name}");
        assert_eq!(delay_ms.unwrap_or_default(), expected["delay_ms"], "{name}");
        assert_eq!(read, verdict, "{name}");
        assert_eq!(
            may_be_sent_again(read, &hints),
            expected["retryable"],
            "{name}"
        );
        if let Some(status) = expected["maps_to_status"].as_u64() {
            assert_eq!(
                error.status().map(|s| u64::from(s.as_u16())),
                Some(status),
                "{name}"
            );
        }
    }
}

#[test]
fn every_error_event_is_read_as_expected() {
    for (name, status, verdict) in [
        ("04-openai-chat-stream-error.sse", 500, Verdict::Failed),
        (
            "08-openai-responses-stream-failed.sse",
            429,
            Verdict::Throttled,
        ),
        ("24-anthropic-stream-error.sse", 529, Verdict::Overloaded),
        (
            "25-anthropic-stream-error-first.sse",
            529,
            Verdict::Overloaded,
        ),
        ("49-openrouter-stream-error.sse", 529, Verdict::Overloaded),
        ("54-vllm-stream-error-then-done.sse", 500, Verdict::Failed),
    ] {
        let error = ProviderError::from_body(&error_event(name)).expect(name);
        assert_eq!(error.code(), expected(name)["error"].as_str(), "{name}");
        assert_eq!(error.status().map(|s| s.as_u16()), Some(status), "{name}");
        assert_eq!(Verdict::of(StatusCode::OK, Some(&error)), verdict, "{name}");
    }
}

#[test]
fn an_error_that_is_only_a_text_is_a_message() {
    let line = transcripts::bytes("53-ollama-stream-error.ndjson");
    let line = line.split(|&byte| byte == b'\n').nth(1).unwrap();
    let error = ProviderError::from_body(line).unwrap();
    let text = &expected("53-ollama-stream-error.ndjson")["error"];
    assert_eq!((error.message(), error.code()), (text.as_str(), None));
    assert_eq!(Verdict::of(StatusCode::OK, Some(&error)), Verdict::Failed);
}

#[test]
fn an_answer_without_an_error_has_none() {
    for body in [
        "",
        " ",
        "null",
        "true",
        "42",
        "\"overloaded\"",
        "{}",
        "[]",
        "[{}]",
        "<html>502 Bad Gateway</html>",
        r#"{"error":null}"#,
        r#"{"error":{}}"#,
        r#"{"error":"","error_type":null}"#,
        r#"{"error":false,"code":0}"#,
        r#"{"id":"resp_1","object":"response","status":"completed","error":null}"#,
        r#"{"type":"response.created","response":{"status":"in_progress","error":null}}"#,
        r#"{"type":"message","role":"assistant","content":[{"type":"text","text":"error"}]}"#,
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message"}}"#,
        r#"{"generated_text":"Yellow","details":{"finish_reason":"length"}}"#,
        r#"{"model":"llama3.2","message":{"role":"assistant","content":"error"},"done":true}"#,
        r#"{"object":"chat.completion","choices":[{"message":{"content":"error"}}]}"#,
    ] {
        assert!(
            ProviderError::from_body(body.as_bytes()).is_none(),
            "{body}"
        );
    }
}

#[test]
fn flat_bodies_and_bodies_in_an_array_of_one_are_read() {
    let flat =
        r#"{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}"#;
    assert_eq!(code(flat).as_deref(), Some("BadRequestError"));
    let event = r#"{"type":"error","code":"server_error","message":"m","sequence_number":3}"#;
    assert_eq!(code(event).as_deref(), Some("server_error"));
    assert_eq!(
        error(r#"{"type":"error","code":null,"message":"m"}"#).kind(),
        None
    );
    let gemini = r#"[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]"#;
    assert_eq!(code(gemini).as_deref(), Some("UNAVAILABLE"));
    assert_eq!(
        error(r#"{"message":"Too many"}"#).message(),
        Some("Too many")
    );
    let tgi = error(r#"{"error":"Model is overloaded","error_type":"overloaded"}"#);
    assert_eq!(
        (tgi.code(), tgi.message()),
        (Some("overloaded"), Some("Model is overloaded"))
    );
    let flagged = error(r#"{"error":true,"message":"m","code":"gone"}"#);
    assert_eq!(
        (flagged.code(), flagged.message()),
        (Some("gone"), Some("m"))
    );
    let mistral = r#"{"detail":[{"loc":["body","n"],"msg":"not a number","type":"int"}]}"#;
    assert_eq!(error(mistral).message(), Some("not a number"));
    assert_eq!(
        error(r#"{"detail":"Not Found"}"#).message(),
        Some("Not Found")
    );
}

#[test]
fn the_code_is_the_most_specific_name_and_a_number_only_without_one() {
    for (body, code_and_kind) in [
        (
            r#"{"error":{"code":"c","type":"t","details":{"error_code":"d"}}}"#,
            (Some("d"), Some("t")),
        ),
        (
            r#"{"error":{"code":"c","type":"t","status":"S"}}"#,
            (Some("c"), Some("t")),
        ),
        (
            r#"{"error":{"code":3505,"type":"t"}}"#,
            (Some("t"), Some("t")),
        ),
        (
            r#"{"error":{"code":"3505","status":"S"}}"#,
            (Some("S"), Some("S")),
        ),
        (r#"{"error":{"code":502}}"#, (Some("502"), None)),
        (r#"{"error":{"code":429.0}}"#, (Some("429"), None)),
        (r#"{"error":{"error_code":"e"}}"#, (Some("e"), None)),
        (
            r#"{"error":{"code":529,"metadata":{"error_type":"m"}}}"#,
            (Some("m"), Some("m")),
        ),
        (r#"{"error":{"message":"m"}}"#, (None, None)),
    ] {
        let error = error(body);
        assert_eq!((error.code(), error.kind()), code_and_kind, "{body}");
    }
}

#[test]
fn a_field_of_an_unexpected_type_loses_only_itself() {
    for odd in [
        "null",
        "true",
        "[]",
        "{}",
        "[[1]]",
        r#"{"a":{"code":"x"}}"#,
        "1e400",
        "-0.5",
    ] {
        for field in [
            "param",
            "message",
            "status",
            "details",
            "metadata",
            "innererror",
        ] {
            let body = format!(r#"{{"error":{{"{field}":{odd},"type":"t","code":"c"}}}}"#);
            // JSON numbers that do not fit are where our parser stops reading.
            let code = ProviderError::from_body(body.as_bytes())
                .unwrap()
                .code()
                .map(str::to_owned);
            if odd != "1e400" {
                assert_eq!(code.as_deref(), Some("c"), "{body}");
            }
        }
    }
    assert_eq!(
        code(r#"{"error":{"code":{},"type":"t"}}"#).as_deref(),
        Some("t")
    );
    assert_eq!(
        code(r#"{"error":{"type":7,"code":"c"}}"#).as_deref(),
        Some("c")
    );
    // Said twice, the first counts.
    assert_eq!(
        code(r#"{"error":{"code":"c","code":"d"}}"#).as_deref(),
        Some("c")
    );
    // Bytes that are not UTF-8 in a quoted prompt.
    let body = b"{\"error\":{\"message\":\"\xff\",\"code\":\"c\"}}";
    assert_eq!(ProviderError::from_body(body).unwrap().code(), Some("c"));
}

#[test]
fn a_body_that_breaks_off_gives_what_came_before() {
    let body = r#"{"error":{"code":"c","type":"t","message":"and then the pro"#;
    assert_eq!(code(body).as_deref(), Some("c"));
    let cut =
        ProviderError::from_body(br#"{"detail":[{"msg":"too long","input":"aaaaaaaaaaaaaaaa"#);
    assert_eq!(cut.unwrap().message(), Some("too long"));
    assert!(ProviderError::from_body(br#"{"error":{"#).is_none());
}

#[test]
fn what_is_kept_is_bounded() {
    let long = "ü".repeat(100_000);
    let error = error(&json!({"error": {"code": long, "message": long}}).to_string());
    assert_eq!(error.code().map(str::len), Some(256));
    assert_eq!(error.message().map(str::len), Some(2048));
}

#[test]
fn deep_nesting_is_no_harm() {
    for (open, close) in [("[", "]"), (r#"{"error":"#, "}"), (r#"{"details":["#, "]}")] {
        let body = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        ProviderError::from_body(body.as_bytes());
    }
}

#[test]
fn debug_leaves_the_message_out() {
    let error = error(r#"{"error":{"message":"canary","type":"t","code":"c"}}"#);
    let debug = format!("{error:?}");
    assert!(
        !debug.contains("canary") && debug.contains("\"c\""),
        "{debug}"
    );
}

#[test]
fn retry_info_is_rounded_up_to_milliseconds() {
    let wait = |delay: &str| {
        let info =
            json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay});
        error(&json!({"error": {"code": 429, "details": [{"links": []}, info]}}).to_string())
            .retry_info()
    };
    assert_eq!(wait("46.281839s"), Some(Duration::from_millis(46_282)));
    assert_eq!(wait("0.000000001s"), Some(Duration::from_millis(1)));
    assert_eq!(wait("37017.5s"), Some(Duration::from_millis(37_017_500)));
    for none in ["0s", "-1s", "", "s", "soon", "1", "inf s", "NaNs"] {
        assert_eq!(wait(none), None, "{none}");
    }
    assert!(wait(&format!("{}s", "9".repeat(400))) > Some(Duration::from_secs(1_000_000_000)));
}

#[test]
fn an_error_has_the_status_it_amounts_to() {
    for (error_object, status) in [
        (r#"{"type":"overloaded_error"}"#, Some(529)),
        (r#"{"type":"rate_limit_error"}"#, Some(429)),
        (
            r#"{"code":"rate_limit_exceeded","type":"tokens"}"#,
            Some(429),
        ),
        (r#"{"status":"RESOURCE_EXHAUSTED"}"#, Some(429)),
        (r#"{"code":402,"status":"RESOURCE_EXHAUSTED"}"#, Some(402)),
        (r#"{"type":"throttlingException"}"#, Some(429)),
        (r#"{"type":"api_error"}"#, Some(500)),
        (r#"{"type":"server_error"}"#, Some(500)),
        (r#"{"type":"timeout_error"}"#, Some(504)),
        (r#"{"type":"invalid_request_error"}"#, Some(400)),
        (r#"{"type":"not_found_error"}"#, Some(404)),
        (r#"{"code":"not_found"}"#, Some(404)),
        (r#"{"type":"authentication_error"}"#, Some(401)),
        (r#"{"type":"permission_error"}"#, Some(403)),
        (r#"{"type":"request_too_large"}"#, Some(413)),
        (r#"{"code":"429"}"#, Some(429)),
        (r#"{"code":599}"#, Some(599)),
        (r#"{"code":null,"status":400}"#, Some(400)),
        (r#"{"code":200}"#, None),
        (r#"{"code":600}"#, None),
        (r#"{"code":18446744073709551615}"#, None),
        (r#"{"code":"teapot"}"#, None),
    ] {
        let read = error(&format!(r#"{{"error":{error_object}}}"#)).status();
        assert_eq!(read.map(|status| status.as_u16()), status, "{error_object}");
    }
}

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
