//! The layer in full: chains and targets, when one is left, streams that go on, two targets at once.
//!
//! # Example
//!
//! ```rust
//! use fallback_layer::{Chain, FallbackLayer, Target};
//! use tower::{ServiceBuilder, ServiceExt};
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use testkit::{Answer, Script};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = Script::new().then(Answer::status(503)).then(Answer::json(200, "{}"));
//! // `client`: any tower service over HTTP, such as hyper-util's legacy client
//! let chain = Chain::of("gpt-4o")
//!     .then("gpt-4o-mini")
//!     .then(Target::model("llama-3.3-70b").at("https://api.groq.com/openai").credential("gsk-…"))
//!     .then(Target::model("llama3").at("http://127.0.0.1:11434").without_credential());
//! let fallback = FallbackLayer::new(chain)?;
//! let handle = fallback.handle();
//! let service = ServiceBuilder::new().layer(fallback).service(client);
//!
//! let request = Request::post("https://api.openai.com/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .header("authorization", "Bearer sk-…")
//!     .body(Full::from(r#"{"model":"gpt-4o","messages":[]}"#))?;
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.headers()["x-llm-model"], "gpt-4o-mini");
//! assert_eq!(handle.stats().fell_back, 1);
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
//! use fallback_layer::{Chain, Chains, FallbackLayer, Memory, Target};
//! # use llm_exchange::{Money, Purchase};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let prices = |of: &Purchase<'_>| Some(Money::from_picos(of.usage.total().into()));
//! # let local_model = testkit::Script::new();
//! let careful = Target::model("gpt-4o")
//!     .max_latency(Duration::from_secs(3))              // to the first content, else the next
//!     .max_cost("0.10".parse()?, prices)                // of this call, else the next
//!     .context_window(128_000);
//! let chains = Chains::new()
//!     .chain(Chain::of(careful).then("gpt-4o-mini"))
//!     .default_chain(Chain::of(Target::as_asked()).then("gpt-4o-mini"))
//!     .named("local", Chain::of(Target::model("llama3").via(local_model)))
//!     .on_prompt_too_long(Chain::of("gpt-4.1").then("gemini-2.5-pro"));
//! let fallback = FallbackLayer::new(chains)?
//!     .deadline(Duration::from_secs(60))
//!     .memory(Memory::new().more_than(2).within(Duration::from_secs(5)).skip_for(Duration::from_secs(30)))
//!     .on_fallback(|leaving| eprintln!("{} → {}: {}", leaving.target, leaving.next, leaving.verdict.as_str()));
//! # let _ = fallback; Ok(()) }
//! ```
//!
//! Your own meaning of answers and errors: `.classify(…)`, see `llm_exchange::Classify`.
//!
//! Both of what follows are off until asked for:
//!
//! ```rust
//! use std::time::Duration;
//! use fallback_layer::{Chain, Failover, FallbackLayer, Prefill, Target};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let local = Target::model("llama3")
//!     .at("http://127.0.0.1:8000")
//!     .without_credential()
//!     .prefill(Prefill::ContinueFinalMessage);          // vLLM: it goes on from a beginning
//! let fallback = FallbackLayer::new(Chain::of("mistral-large-4").then(local))?
//!     .failover(Failover::new())                        // a stream that breaks goes on
//!     .hedge_after(Duration::from_secs(2))              // of silence, the next is asked as well
//!     .hedge_share(5);                                  // of at most 5 calls in 100
//! # let _ = fallback; Ok(()) }
//! ```
//!
//! # Chains
//!
//! A call takes the chain that it names in the header `x-llm-chain`, among those the app gave a name; else the chain of the
//! model it asks for; else the default chain; else it passes through untouched, as does what is no LLM call, cannot be
//! read, or is too large to be kept (`max_payload_bytes`). A name that the app did not give is answered with a 400. Embeddings
//! take no default chain: the vectors of another model have nothing to do with those of the one that was asked for.
//!
//! A target is a model, and where it differs from where the call was going anyway, a host, a credential, headers,
//! parameters, a service of its own. It is sent the call in the dialect that the call speaks, unless it has one of its own
//! (below). Skipped is a target that is disabled, that does not speak that (`dialects`), whose window the prompt surely does not fit, whose `max_cost` the estimate is above or whose price is not known there, that
//! the call cannot be rewritten for (it is signed, or has the parameter twice), or that failed lately.
//!
//! `FallbackLayer::new` refuses a chain without a target or with one twice (a chain that comes back to a target would go in a
//! circle), two chains for the same calls, a target at another host that neither has a credential nor says that it has
//! none, and more than 32 targets in a chain.
//!
//! # Targets of another dialect
//!
//! With the feature `translate` a target has a `dialect`: OpenAI chat completions, Anthropic messages or Gemini. A call of another
//! one is translated, and the answer too, stream, errors and usage included; see
//! [llm-translate](https://docs.rs/llm-translate) for what becomes of what.
//!
//! ```rust
//! # #[cfg(feature = "translate")] {
//! # use fallback_layer::{Chain, Target};
//! # use llm_exchange::Dialect;
//! let chain = Chain::of("gpt-4o")
//!     .then(Target::model("claude-sonnet-4-5")
//!         .at("https://api.anthropic.com").credential("sk-ant-…")
//!         .dialect(Dialect::AnthropicMessages));
//! # let _ = chain; }
//! ```
//!
//! A target that a call cannot be carried over to is skipped, and `Left` and the answer say what: `claude-sonnet-4-5:
//! skipped, `seed` cannot be carried over`. What was left out, as it changes nothing of the answer's meaning, stands in the
//! header `x-llm-left-out`; what an answer had beside its content, such as citations, in `x-llm-dropped`, or in a stream in a comment, `: dropped
//! citations`. Whether a target is left is judged by its own answer, before that is translated;
//! a 400 or 422 to a body that was translated leaves it too, as the caller has not written that body, and is not remembered. A target's parameters
//! and headers are those of its dialect; with `anthropic-version: 2026-10-21` among them sampling is left out. An answer that
//! is not streamed is read whole before it is handed on, at most 16 MiB of it; one that then turns out to be none is a 502.
//! A hedge may be of another dialect, and so may the target that goes on with a stream.
//!
//! # Hosts and credentials
//!
//! A target's address is written like an SDK's base URL. Where it changes scheme, host or port, every credential and account
//! header (`authorization`, `x-api-key`, `api-key`, `openai-organization`, `cookie`, …), every header value marked as
//! sensitive and every key in the query is removed before its own is put in. A target on the same host keeps the
//! caller's credential unless it has its own.
//!
//! # When a target is left
//!
//! | outcome | |
//! |---|---|
//! | throttled, quota exhausted, overloaded, failed, timed out | the next target; a throttling that asks for no more than `wait_for_throttled` is handed back instead |
//! | a breaker's or another layer's refusal further in | the next target |
//! | prompt too long | the chain for it, if there is one, else the next target |
//! | filtered | the chain for it, or with `leave_filtered` the next target; else handed back, since sending blocked content elsewhere is a choice |
//! | the caller's own fault | handed back as it came. A 401, 403 or 404 about a key or model that *the app* configured is not the caller's, and goes to the next; so does a 400 or 422 to a body that was translated |
//! | no content within `max_latency` | the next target, if there is one that can be tried; else it is waited for |
//! | not ready within `ready_timeout` | the next target; the last one is waited for until the deadline |
//!
//! # Memory
//!
//! A target that failed more than twice within 5 s is skipped for 30 s by every service of the layer. An answer in between
//! makes up for a failure, so that a busy target is not skipped for a failure in a hundred. Failures of the host are
//! remembered for host and model, those of an account (throttled, quota) for the credential besides. Streams count by how
//! they end, also after their first content. The last target that can be tried is never skipped for its memory alone.
//! `handle().remembered()` shows it, `reset` and `forget` clear it.
//!
//! # Going on with a stream that broke
//!
//! With `failover`, unless its chain has `no_failover`, a stream that dies after its first content (the connection, a clock
//! further in, an end without the protocol's proof, the provider's own error) is not the end. The call is sent again with what the caller has as the
//! beginning of the answer, its output cap lowered by that, and the caller reads one stream; once unless `Failover`
//! says otherwise, and while its text has at most 256 KiB:
//!
//! - first to the same target, whose model knows best how to go on; to the next one if it said that it is overloaded, throttled
//!   or out of quota, or fails again. `Failover::same_target_only` never mixes models;
//! - only to models that go on from a beginning. Known are Claude up to 4.5 (the later ones answer with a 400) and Mistral's
//!   and DeepSeek's own addresses, models that reason left out; of all others, Gemini's too, of which some take a turn of the
//!   model's at the end and some refuse it, the app says so with `Target::prefill`. OpenAI's models begin anew, and are not asked;
//! - at a target of another dialect too: the call and the beginning are sent in the target's, and its stream is translated
//!   into the caller's before it is joined. A stream that was translated from its first content on goes on likewise;
//! - ids and `created` stay those of the first attempt, its role or `message_start` is not repeated, and what was half an
//!   event is not handed on. `model`, where chunks have it, names who says it;
//! - no beginning is sent with blanks at its end, as Anthropic takes none. A model that says them again, or the last of what was
//!   said (in the last KiB, from any character on), or the whole beginning, is cut to what is new. Fewer than three different words, or nine
//!   different characters of a script without spaces (Han, kana, Thai), may be meant, and stay; of several ends that fit the
//!   longest is left out. For that at most the length of the beginning and 1 KiB are held back;
//! - marked by a comment, `: continued by mistral-large-4`, which SDKs pass over and which names what was left out of a translated
//!   request; in `Served::went_on`, and in the statistics. Gemini's callers get no comment, as their clients fail at them: they read who says
//!   it in `modelVersion` of what follows.
//!
//! Once the call's `deadline` (120 s) has passed no attempt starts, nor does one that would go on: a stream that breaks after more than
//! that ends as it is.
//!
//! It is for plain text over SSE, for callers in the dialects of OpenAI chat, Anthropic and Gemini. Gemini's array and Ollama's lines
//! pass as they come: they have no comments, so that nobody could tell where another model went on. So does a stream of OpenAI's
//! responses, which says its text three times over under numbers of its own. A call with tools, a JSON format, several
//! choices, log probabilities, reasoning, anything the provider keeps (`store`, a container, a cache), a last message that is
//! not the user's, or a parameter that is not known to be independent of the place (the
//! caller's, or one that the app puts on the target), is not gone on with; nor is an answer that
//! reasoned, refused or called a tool, one whose text had ended, one within what may be a stop sequence, one whose cap is
//! reached, or filtered content. It ends then as it would have, byte for byte; where further attempts were made in vain, without
//! what would have come after the error.
//!
//! Each attempt is booked once. What broke off is left behind with its own meter, before the further attempt is asked of the
//! call's `Attempts`, so that budgets and deadlines hold; where a provider had given no usage, it is an estimate. The usage at
//! the stream's end, and the meter that layers further out see, are the last attempt's alone, the beginning counted in its
//! prompt; output tokens for caps are counted over all of it.
//!
//! # Asking two targets
//!
//! With `hedge_after`, the next target of the chain is asked as well when the first has given no content for so long; with
//! `hedge_after_usual`, after the time in which 19 of 20 of its last 64 answers began (streams and others apart, once there are
//! 20; of a first target that was outrun the time that it was waited for counts, as it takes no less; of a second that was
//! outrun, which was asked later, nothing). Whose content comes first is handed on, and the other is
//! dropped with its connection; of answers that are not streamed the first bytes of a good one count. A target that fails meanwhile is left, and the
//! other waited for; to be slower is no failure, and is not remembered as one. A call is hedged once, at its first target.
//!
//! The share is 5 in 100 calls after the first ten unless `hedge_share` says otherwise; 0 is none, and a chain's own is counted by itself. A
//! chain may have its own time, or `no_hedge`. Not hedged is what the provider runs or keeps, by the caller's request or what the app puts on a
//! target: tools that are not the app's own functions, `store`, a conversation, a
//! container, a response kept by default (OpenAI's responses without `store: false`), nor gRPC. The further attempt is asked of
//! `Attempts` before it is sent (who reserves hears that both run), and the loser left behind as `outrun`, once its
//! head is there with its meter, so that its cost is seen. A breaker beneath counts neither an outrun answer nor one that had not begun. A caller
//! who leaves both leaves the one that was not asked last behind as `caller_gone`. A target that could not be sent the call, as nothing was
//! reserved or it was not ready, is no hedge, and has its turn when the first fails; who was outrun may go on with a stream. Both run in
//! the call's own future; nothing is spawned.
//!
//! # When all fail
//!
//! The answer has the status of the failure most worth coming back to (throttled before overloaded before failed before quota before
//! too long) and the earliest `retry-after` that any target asked for. Where a chain has one target, or only one could be tried, its answer
//! or error is handed back as it came.
//!
//! # What it adds
//!
//! On the request: what the target changes, and from the second attempt on `x-llm-attempt: N`. `accept-encoding`, where
//! the caller sent one, becomes `identity`, as a compressed answer cannot be judged. On the answer: `x-llm-model`, after
//! more than one attempt `x-llm-attempts: N`, and the extension `Served` with the target, the attempts and each target that
//! was left or skipped.
//!
//! # Cost, and how it was measured
//!
//! Over an HTTP-shaped call that the first of three targets serves at once (12 headers, 2 KiB, facts read, on one core): 2
//! allocations, 1 KiB, and no copy of the body; `tower::retry` with a policy that clones the request has 2 as well, and
//! `tower-resilience-fallback` 4. In time it adds some 0.52 µs, 1.1 times what `tower::retry` adds to the same call, and as
//! much as `tower-resilience-fallback`. A call that is sent on pays for building its head anew and for what the target
//! changes. Measure it on your machine: `cargo bench -p fallback-layer --bench success_path`, and `cargo test -p
//! fallback-layer --features testkit/count-allocations --test allocations`.
