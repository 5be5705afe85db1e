//! The options of `x-fake` and the words of model names, as `--help` and the README list them.

/// Every option of `x-fake`: its name, its value, what it does.
pub const OPTIONS: &[(&str, &str, &str)] = &[
    (
        "throttle",
        "[=N]",
        "429, a rate limit: the first N requests, then one is answered; without N all",
    ),
    (
        "quota",
        "[=N]",
        "429 that needs a human: insufficient_quota, Anthropic's spend limit, Google's quota per day; Bedrock 400",
    ),
    ("fail", "[=N]", "500"),
    (
        "overloaded",
        "[=N]",
        "503 from most, Anthropic 529 overloaded_error",
    ),
    (
        "context-length",
        "[=N]",
        "400 context_length_exceeded, Anthropic 'prompt is too long'",
    ),
    (
        "status",
        "=CODE",
        "any status of 400 to 599, in the dialect's error shape",
    ),
    (
        "retry-after",
        "=TEXT",
        "on an error: this very retry-after (2, 0.5, soon)",
    ),
    (
        "retry-after-date",
        "=SECONDS",
        "on an error: retry-after as an HTTP date, from now (may be negative)",
    ),
    ("retry-after-ms", "=MS", "on an error: retry-after-ms"),
    (
        "reset-requests-ms",
        "=MS",
        "on an error: x-ratelimit-*-requests, remaining 0, reset as 6m0s",
    ),
    (
        "reset-tokens-ms",
        "=MS",
        "on an error: the same for -tokens",
    ),
    (
        "anthropic-reset",
        "=SECONDS",
        "on an error: anthropic-ratelimit-input-tokens-*, remaining 0, RFC 3339",
    ),
    (
        "retry-info-ms",
        "=MS",
        "on an error: Google's RetryInfo, in Gemini's JSON and in gRPC's details",
    ),
    (
        "pushback",
        "=TEXT",
        "on an error: grpc-retry-pushback-ms (250, -1)",
    ),
    ("should-retry", "=true|false", "on an error: x-should-retry"),
    ("header", "=NAME:VALUE", "on an error: any further header"),
    (
        "error-bytes",
        "=N",
        "on an error: pads the body to N bytes (at most 8 MiB)",
    ),
    ("html", "", "on an error: an HTML page instead of JSON"),
    (
        "close",
        "[=N]",
        "reads the request, closes the connection without a head",
    ),
    ("reset", "[=N]", "the same with a TCP reset"),
    (
        "hang",
        "[=N]",
        "reads the request, then nothing; hang after the head: stall-at=0",
    ),
    (
        "stall-at",
        "=AT",
        "nothing more after AT: 0 the head, open the opening events, K deltas",
    ),
    (
        "break-at",
        "=AT",
        "cuts the connection after AT, without the end of the body",
    ),
    (
        "end-at",
        "=AT",
        "ends the body cleanly after AT, the answer incomplete",
    ),
    (
        "err-at",
        "=AT",
        "an error event after AT (0: the very first event); unstreamed: 200 with an error; gRPC: trailers",
    ),
    (
        "err-status",
        "=CODE",
        "with err-at: the error body of that status",
    ),
    (
        "times",
        "=N",
        "the fault comes N times, then one request is answered, then again",
    ),
    ("head-delay-ms", "=MS", "time before the head"),
    ("think-ms", "=MS", "time before the first delta"),
    ("delta-delay-ms", "=MS", "time between deltas"),
    ("ping-ms", "=MS", "with think-ms: a ping each MS meanwhile"),
    (
        "ping-every",
        "=K",
        "a ping before the first delta and after each K",
    ),
    ("deltas", "=N", "the answer has N deltas (words)"),
    ("reasoning", "=N", "N deltas of reasoning come first"),
    ("tool", "", "the answer is a tool call"),
    ("no-usage", "", "no usage anywhere"),
    (
        "like",
        "=SERVER",
        "chat completions as SERVER speaks them: groq, mistral, vllm, ... (see Server)",
    ),
    ("crlf", "", "lines of a stream end in CR LF"),
    ("cr", "", "lines of a stream end in a bare CR"),
    ("segment", "=N", "the body is written N bytes at a time"),
    (
        "key",
        "=TEXT",
        "401 (Bedrock 403) unless the credential is TEXT",
    ),
];

/// Every word of a model name, and the option it stands for. `-N` is the value.
pub const WORDS: &[(&str, &str)] = &[
    ("throttled", "throttle"),
    ("quota", "quota"),
    ("fail", "fail"),
    ("overloaded", "overloaded"),
    ("too-long", "context-length"),
    ("status", "status"),
    ("close", "close"),
    ("reset", "reset"),
    ("hang", "hang"),
    ("stall", "stall-at"),
    ("break", "break-at"),
    ("end", "end-at"),
    ("err", "err-at"),
    ("slow", "delta-delay-ms"),
    ("think", "think-ms"),
    ("ping", "ping-every"),
    ("deltas", "deltas"),
    ("reasoning", "reasoning"),
    ("tool", "tool"),
    ("no-usage", "no-usage"),
    ("crlf", "crlf"),
    ("segment", "segment"),
];
