//! Retrying in full: what is asked, what is waited for, and how it stops.
//!
//! # Example
//!
//! ```rust
//! use std::time::Duration;
//! use retry_layer::RetryLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use testkit::{Answer, Script};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let client = Script::new()
//! #     .then(Answer::json(429, r#"{"error":{"code":"rate_limit_exceeded"}}"#).header("retry-after", "2"))
//! #     .then(Answer::json(200, "{}"));
//! // `client`: any tower service over HTTP, such as hyper-util's legacy client
//! let retry = RetryLayer::new().max_retries(3).deadline(Duration::from_secs(60));
//! let statistics = retry.handle();
//! let service = ServiceBuilder::new().layer(retry).service(client);
//!
//! let request = Request::post("https://api.openai.com/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(Full::from(r#"{"model":"gpt-6-sol","messages":[]}"#))
//!     .unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.headers()["x-llm-attempts"], "2");
//! assert_eq!(statistics.stats().retries, 1);
//! # }
//! ```
//!
//! Use `oneshot`, or name the stack in a struct: `service.ready().await?.call(request)` cannot infer the
//! body type, as the layer takes any.
//!
//! ## Customised
//!
//! ```rust
//! use std::time::Duration;
//! use llm_exchange::Verdict;
//! use retry_layer::{Backoff, RetryBudget, RetryLayer};
//!
//! # fn main() -> Result<(), retry_layer::InvalidBackoff> {
//! let retry = RetryLayer::new()
//!     .backoff(Backoff::new().initial(Duration::from_millis(500)).multiplier(1.5)?.full_jitter())
//!     .max_hint(Duration::from_secs(20))          // asked for more: hand the answer back at once
//!     .attempt_timeout(Duration::from_secs(90))   // of each attempt, up to its commit point
//!     .max_retries_on(Verdict::Overloaded, 1)     // then rather another provider
//!     .budget(RetryBudget::new().percent(10))
//!     .on_retry(|retrying| eprintln!("{} in {:?}", retrying.verdict.as_str(), retrying.delay));
//! # let _ = retry; Ok(()) }
//! ```
//!
//! Your own meaning of answers and errors: `.classify(…)`, see [`llm_exchange::Classify`].
//!
//! # What the provider asks
//!
//! `retry-after-ms` before `retry-after` (seconds, fractions, every HTTP date of RFC 9110, measured against the
//! answer's own `date`), then a `RetryInfo` in the body, then the reset header of the exhausted dimension;
//! `grpc-retry-pushback-ms` before all. An asked delay is waited for in full and up to a tenth longer, so
//! that a crowd does not come back as one. A bare reset header is an upper bound: it is waited for, up to a
//! tenth less; over `max_hint` it is ignored for the backoff.
//!
//! # What happens to a streaming response
//!
//! The layer holds an answer back until its first content (text, reasoning, a tool call), its error or its
//! end: up to that commit point a failure is retried and the caller sees nothing of it. Roles, pings and
//! comments are not content. It holds back at most 64 KiB, 256 events, and 15 s from the head on: then what
//! came is handed on, so that a long thinking pause and its pings reach the caller (`peek_limits`). After
//! that everything passes byte for byte, and an error too. A stream cannot be retried once its content was
//! handed on: that is for `sse-layer` (an orderly end) and `fallback-layer`.
//!
//! Of an answer that is not streamed the commit point is where it can be no error any more (OpenAI's: its `choices`).
//!
//! # What it adds
//!
//! On the request, from the second attempt on: `x-llm-attempt: N`. `accept-encoding`, where the caller sent one,
//! becomes `identity`, as a compressed answer cannot be judged. On the answer: `x-llm-attempts: N`, the
//! extension [`Retried`], and where the outermost layer gave up `x-should-retry: false`, so that an SDK in front
//! does not start all over.
//!
//! # Errors
//!
//! The error type is the inner service's; when retries end, its last error comes back as it was. There is no
//! answer then to carry `x-llm-attempts`: put an [`llm_exchange::Attempts`] of your own into the request's
//! extensions, and ask it for the `count`. An attempt timeout on the last attempt is a 504 in the caller's dialect.
//!
//! # Order among other layers
//!
//! Outside a breaker and the clocks of one attempt, so that it acts on both; inside a fallback, which then
//! sees one outcome per target. A `tower::timeout` outside of it cuts retries short, inside of it does not
//! see bodies. Attempts and deadline are shared with a fallback around it through [`llm_exchange::Attempts`]; what a
//! retried attempt used is left there for whoever keeps books further out (`left_behind`).
//!
//! # Stopping
//!
//! For a shutdown in order, `handle.stop_retrying()` ends all retrying of a layer: running attempts go on, what they
//! fail with goes back as it is, and a call in the pause before its next attempt is answered with a 503 at once.
//! None of these says `x-should-retry: false`, as another instance may serve the call.
//!
//! # What it does not do
//!
//! It does not retry what is no LLM call, hedge, change the model, or make a call idempotent: no provider
//! documents an idempotency key for generation, so an attempt that was sent may be generated and billed.
//! An answer that fails after its first content is counted in the statistics, not mended.
//!
//! # Cost
//!
//! Over an HTTP-shaped call that succeeds at once (12 headers, 2 KiB, facts read, on one core): 2 allocations where the
//! answer's extensions hold something already, as hyper's do, and 4 where they are empty; `tower::retry` with a policy
//! that clones the request has 2, `tower-resilience-retry` 4. In time it adds about nine tenths of what `tower::retry`
//! adds (0.39 µs against 0.44 µs), for keeping the request, looking at the answer, booking the retry budget and marking
//! the answer. Where reference counts are cheap the comparison is worse for us: we execute 1.6 times tower's
//! instructions, and most of tower's are counts of references to header values, which we copy instead. Measure it on
//! your machine: `cargo bench -p retry-layer --bench success_path`, and `cargo test -p retry-layer --features
//! testkit/count-allocations --test allocations`.
//!
//! [`Retried`]: crate::Retried
