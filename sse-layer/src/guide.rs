//! Both layers in full: clocks, caps, endings, and which framing has what.
//!
//! # Example
//!
//! ```rust
//! use std::time::Duration;
//! use sse_layer::{SseLayer, StreamTimeoutLayer};
//! use tower::{ServiceBuilder, ServiceExt};
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! # use testkit::{Answer, Script};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let client = Script::new().then(Answer::sse([
//! #     "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Lem\"}}]}\n\n",
//! # ]));
//! let service = ServiceBuilder::new()
//!     .layer(SseLayer::new().keep_alive(Duration::from_secs(15)).max_output_tokens(4_000))
//!     // retry, fallback, … in between
//!     .layer(StreamTimeoutLayer::new().first_content(Duration::from_secs(60)))
//!     .service(client);
//!
//! let request = Request::post("https://api.openai.com/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(Full::from(r#"{"model":"gpt-6-sol","messages":[],"stream":true}"#))
//!     .unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! let body = response.into_body().collect().await.unwrap().to_bytes();
//! // the upstream ended without its end marks: the caller is told
//! assert!(body.ends_with(b"data: [DONE]\n\n"));
//! assert!(body.windows(7).any(|part| part == b"\"error\""));
//! # }
//! ```
//!
//! For clients, `client` turns a response into a stream of events or of text deltas, and puts a stream together to the one
//! JSON answer; for servers, `server` makes a body of a stream of events, with keep-alive. The reverse of collecting and
//! lines of JSON are there too.
//!
//! # `StreamTimeoutLayer`: the clocks of one attempt
//!
//! | setting | default | |
//! |---|---|---|
//! | `headers` | off | to the response head; calls for a stream only |
//! | `first_event`, `first_content` | off | since the call was sent; comments are no events, pings no content |
//! | `silence` | 5 min | no byte of any kind; `no_silence` turns it off |
//! | `idle` | off | between two pieces of content |
//! | `total` | off | all of it, unstreamed answers too |
//! | `min_tokens` | off | fewer tokens than so many in a window is a stall |
//! | `max_repeats` | off | the same piece of content so many times in a row is a loop |
//! | `for_model` | | other clocks for one model, or for all whose names begin so |
//! | `hold` | 15 s | so long after its head an answer may be held back until its first content |
//! | `max_payload_bytes` | 16 MiB | of a larger request only what its headers say is known |
//!
//! A clock that runs out before anything was handed on is a 504 with the verdict "timed out"; `Clock::of(&response)` says which
//! it was. An answer is held back only where a clock can run out within `hold`: then the caller sees nothing, no ping and no
//! comment either, until the first content, or until `hold` is over. Set clocks that are longer than `hold`, or none, where
//! the caller must see the head at once.
//!
//! # `SseLayer`: what the caller sees
//!
//! | setting | default | |
//! |---|---|---|
//! | `max_output_tokens`, `hard` | off | reasoning and all choices counted; never below what the caller asks for, unless hard |
//! | `keep_alive` | off | comments between events while the upstream is silent; for Gemini's callers, whose own clients fail at a comment, blank lines |
//! | `early_head` | off | a 200 and comments before the upstream has answered; its docs tell the price |
//! | `summary` | off | a last event with duration, tokens and time to the first content; not for Gemini's callers |
//! | `drain` | off | reads on for a while when the caller has gone, to learn the exact usage: in a task of its own, 1,024 at most |
//! | `max_payload_bytes` | 16 MiB | of a larger request nothing is known: its answer passes as it is |
//!
//! An answer that is over by the provider's own word is never cut. The end that a cap makes has the finish reason `length`
//! (Anthropic: open blocks closed, `max_tokens`), the usage where the caller asked for it, and the terminator. A stream that
//! breaks or stops short gets an error event and the terminator; Anthropic's ends with its `event: error`, as the provider's
//! own does; a gRPC stream with its status. Half an event is never handed on before an ending. An element or a frame of
//! more than 4 MiB is handed on as it comes: a stream that breaks within it fails as its upstream did, or with [`CutShort`].
//!
//! Headers of a stream: `cache-control: no-cache`, `x-accel-buffering: no`, and no `content-length`.
//!
//! # What it does not do
//!
//! It does not reconnect or go on with a broken stream, and it translates no dialect. Not every framing has a place for
//! what the layers say:
//!
//! | | clocks | cap | keep-alive | ending |
//! |---|---|---|---|---|
//! | server-sent events | yes | yes | yes | events in the dialect |
//! | lines of JSON | yes | yes | no: they have no comments | a line in the dialect |
//! | Gemini's JSON array | yes | yes | no | an element in the dialect, and the bracket |
//! | Amazon's event stream | yes | yes | no | frames of Converse or of the invoked model; an exception |
//! | gRPC | yes | yes | no: HTTP/2 has pings | a last message with `MAX_TOKENS`, trailers with `grpc-status` |
//!
//! The loop breaker sees the same text many times in a row; not choices that take turns, nor texts longer than 1 KiB.
//! Collecting and its reverse know every dialect but gRPC's; deltas are read of all.
//!
//! # Memory
//!
//! No buffer grows with a stream: each stage (the meter, the clocks, the relay) holds the beginning
//! of one event (4 MiB at most; of Amazon's frames the meter holds 16 MiB), and besides two shapes of events and one timer.
//! One open stream through both layers, with every clock, a cap and the meter on, takes about 3.7 KB beside its
//! connection, measured with 10,000 of them: `cargo bench -p sse-layer --bench memory`.
//!
//! # Cost
//!
//! With all clocks, cap, keep-alive and meter on, an OpenAI stream of 50,000 events takes 2.1 times as long as `sse-core`
//! needs merely to decode it where each event comes as a frame (112 ns an event), and 1.1 times in frames of 16 KiB
//! (46 ns). No event allocates: a stream of 5,000 has 32 allocations in all, one of 1,000 has 31. Measure it on your
//! machine: `cargo bench -p sse-layer --bench relay`, and `cargo test -p sse-layer --features
//! testkit/count-allocations --test allocations`.
//!
//! [`CutShort`]: llm_exchange::CutShort
