//! The breaker in full: what counts, when a circuit opens, and how others do it.
//!
//! # Example
//!
//! ```rust
//! use breaker_layer::{BreakerLayer, CircuitState};
//! use tower::{ServiceBuilder, ServiceExt};
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use testkit::{Answer, Script};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), breaker_layer::InvalidBreaker> {
//! # let client = Script::new().then_always(|| Answer::status(502));
//! // `client`: any tower service over HTTP, such as hyper-util's legacy client
//! let breaker = BreakerLayer::new().failures(5)?;
//! let circuits = breaker.handle();
//! let service = ServiceBuilder::new().layer(breaker).service(client);
//!
//! let call = || Request::post("https://api.openai.com/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(Full::from(r#"{"model":"gpt-6-sol","messages":[]}"#))
//!     .unwrap();
//! for _ in 0..5 {
//!     assert_eq!(service.clone().oneshot(call()).await.unwrap().status(), 502);
//! }
//! let refused = service.oneshot(call()).await.unwrap();   // nothing was sent
//! assert_eq!(refused.status(), 503);
//! assert!(refused.headers().contains_key("retry-after"));
//! let circuit = circuits.circuit("gpt-6-sol@api.openai.com").expect("is known");
//! assert_eq!(circuit.state, CircuitState::Open);
//! # Ok(()) }
//! ```
//!
//! Use `oneshot`, or name the stack in a struct: `service.ready().await?.call(request)` cannot infer the
//! body type, as the layer takes any.
//!
//! ## Customised
//!
//! ```rust
//! use std::time::Duration;
//! use breaker_layer::{BreakerLayer, Counts, SlowCalls, Window};
//! use llm_exchange::Verdict;
//!
//! # fn main() -> Result<(), breaker_layer::InvalidBreaker> {
//! let seconds = Duration::from_secs;
//! let breaker = BreakerLayer::new()
//!     .failure_rate(50)?                                      // percent of the window
//!     .window(Window::time(seconds(60))?.at_least(20)?)
//!     .slow_calls(SlowCalls::over(seconds(20)).unstreamed_over(seconds(120)))
//!     .counts(Verdict::Throttled, Counts::Failure)            // then rather another provider
//!     .open_for(seconds(10))
//!     .probes(3)?
//!     .wait_for_probe(seconds(15), 100)                       // instead of a refusal
//!     .last_resort(70, 20)?;                                  // > 70 % of the keys are open: 20 % go through
//! # let _ = breaker; Ok(()) }
//! ```
//!
//! Your own meaning of answers and errors: `.classify(…)`, see [`llm_exchange::Classify`]; your own circuits: `.key(…)`.
//!
//! # What counts
//!
//! | outcome ([`llm_exchange::Verdict`]) | counts as |
//! |---|---|
//! | `Ok`, at the end of the body | success |
//! | `Overloaded`, `Failed`, `TimedOut`: 5xx, 529, no connection, a timeout further in, a connection that breaks in the body, an error in a stream or in a 200's JSON, a stream without its end | failure |
//! | `Throttled` | neither, or what `counts` says |
//! | `QuotaExhausted` | against the credential alone |
//! | `CallersFault`, `PromptTooLong`, `Filtered`, `Refused`, `Outrun`, `CallerGone`: a 4xx, a refusal or a cache's answer of a layer further in, the loser of a hedge, a caller who went away | neither |
//!
//! With `slow_calls` set, a call whose first content comes too late is slow whatever it comes to, and so is one
//! whose caller gave up on it after that limit; without it nobody who went away counts. Who stops reading
//! at the provider's last word (`[DONE]`) has an answer.
//!
//! A credential with nothing left to spend (`insufficient_quota` and its like) opens a circuit of its own, for this
//! key and credential: one such answer opens it, one success closes it. The credential is the value of
//! `authorization`, `x-api-key`, `api-key`, `x-goog-api-key` or `?key=`, kept as a hash that is seeded in each process.
//!
//! # What happens to a streaming response
//!
//! It is handed on at once and never held back; the layer watches what passes, through the one meter that
//! all layers share, and settles the call at the end. Every byte and frame stays. A circuit that opens does not disturb
//! streams that run. A probe holds its slot until its stream ends, unless `settle_at_first_content` is set.
//!
//! An answer with an error status is held until its body was read (up to 64 KiB, 15 s): only the body tells
//! a throttling from a used-up quota. Of an unstreamed success the first members and the last byte are looked
//! at as they pass: an `error`, or the `status` of a Responses answer; what stands in the middle of one, such as a
//! `finish_reason` of `error`, is not. Where the request could not be read (too large, compressed, a field twice), the answer is
//! read by its meter whatever it is.
//! `accept-encoding`, where the caller sent one, becomes `identity`: a compressed answer is judged by its status and its end.
//!
//! # Order among other layers
//!
//! Inside retry and fallback, outside of the clocks of one attempt: so it counts each attempt once, and a
//! timeout of theirs is a failure. A `tower::timeout` around it drops calls; with `slow_calls` those count.
//! Outside of a retry it would see one outcome for all attempts of a call.
//!
//! The layer is ready when the inner service is, so an inner service that is never ready (a full concurrency
//! limit) delays a refusal too: put such limits outside.
//!
//! # Semantics beside others
//!
//! | | breaker-layer | Resilience4j 2 | Polly 8 | gobreaker 2.4 |
//! |---|---|---|---|---|
//! | a call is over | at the end of its body, or when dropped | when the decorated call returns | when the callback returns | when the function returns |
//! | opens by | failures in a row, failure rate, slow rate | failure rate, slow rate | failure ratio | any function of the counts; more than 5 failures in a row |
//! | window | last n calls or a span | last n calls or a span | a span | fixed, or a span in buckets |
//! | half-open | p at a time until n succeeded; one failure opens | n calls, then their rates decide | one call decides | up to n calls; n successes in a row close, one failure opens |
//! | a probe that hangs | gives its slot back after `probe_limit` | holds it; by setting the circuit opens again after a time | holds it | holds it |
//! | a result from before the trip | never counts | counts in the state it meets | counts in the state it meets | never counts |
//! | neither success nor failure | yes, the slot is given back | ignored exceptions, the slot is given back | what is not handled is a success | excluded errors, the slot is given back |
//! | open time | grows ×2 with jitter, resets; `retry-after` | fixed, or any function of the attempts | fixed, or any function | fixed |
//! | by hand | force open, force closed, reset | the same, half-open, disabled, metrics alone | isolate, close | no |
//!
//! # What it does not do
//!
//! It does not retry, share circuits between processes, or limit concurrency; it spawns no task and has no timer but
//! that of a call that waits. A call that is no LLM call passes untouched. The default key's host is the URI's, or that of the `host` header, in lower case and
//! without user and password. An error of `poll_ready` is passed on and
//! counts for no circuit. What a gRPC server asks for in trailers (`grpc-retry-pushback-ms`) does not lengthen the open
//! time; a `RetryInfo` does.
//!
//! # Cost
//!
//! A closed circuit without a failure in its row is read and never written: a call that succeeds takes no lock on it, and no
//! clock is read unless a rule needs the time. `cargo bench -p breaker-layer` measures the circuit alone (`circuit`), the
//! layer over an HTTP-shaped call, closed and open, beside `tower-resilience-circuitbreaker` (`calls`), and two threads on one
//! key (`threads`); on a machine that is not idle, `--bench calls -- least`.
//! `cargo test -p breaker-layer --features testkit/count-allocations --test allocations` counts.
//!
//! - The circuit alone: 52 instructions and no allocation; with a window 190 to 206, whatever its size.
//! - The layer over a call that succeeds, its facts read before and its body read to the end: about 190 ns and no
//!   allocation, where the peer, which has no keys and looks at no body, adds about 245 ns and three. A fifth of it is moving
//!   an answer that carries its watcher, a sixth the seven counters that it shares with other threads. A stream has the meter
//!   besides, if no other layer reads it already.
//! - With a window about 45 ns more, the same for 10 calls and for 100,000.
//! - A refusal is a whole answer, with headers, body and type: about 500 ns and four allocations, of which 165 ns are the
//!   dropping of the request and its facts; it is written where the request's headers stood. The peer returns an error
//!   value in about 280 ns, of which dropping is 120.
//! - Two threads on one key make about twice the calls of one.
//!
