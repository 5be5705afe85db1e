//! The words in full: each one, each dialect, and what can be done with it.
//!
//! # Example
//!
//! A layer's service in outline: read the request once, send it, look at the answer.
//!
//! ```rust
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use llm_exchange::{Call, Payload, PeekLimits, Verdict, WallClock, peek};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let request = Request::post("https://api.openai.com/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(Full::from(r#"{"model":"gpt-6-sol","messages":[],"stream":true}"#))
//!     .unwrap();
//!
//! // read whole, as it is an LLM call; anything else would stream through untouched
//! let mut request: Request<Payload> = Payload::read(request, Payload::DEFAULT_MAX_BYTES).await;
//! let call = Call::of(&request).expect("an LLM call").clone();
//! assert_eq!(call.model(), Some("gpt-6-sol"));
//! assert!(call.is_stream());
//!
//! // another model, and not another byte changed
//! Call::set_model(&mut request, "gpt-6-luna").unwrap();
//! let again = request.body().try_clone().expect("can be sent again, at no cost");
//! # let _ = again;
//!
//! // what the inner service answers: a stream that fails inside its 200
//! let response = Response::builder()
//!     .header("content-type", "text/event-stream")
//!     .body(Full::<Bytes>::from("data: {\"error\":{\"type\":\"server_error\"}}\n\n"))
//!     .unwrap();
//! let (peeked, response) =
//!     peek(response, &call, PeekLimits::default(), &WallClock::default()).await;
//! assert_eq!(peeked.status(), StatusCode::OK);
//! assert_eq!(peeked.verdict(), Verdict::Failed);
//! # let _ = response; // byte for byte what came
//! # }
//! ```
//!
//! ## Metering
//!
//! A layer that keeps books attaches a meter; whoever comes second finds the first one's.
//!
//! ```rust
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use llm_exchange::{Call, End, Meter, Payload};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let request = Request::post("/v1/chat/completions")
//! #     .body(Full::from(r#"{"model":"gpt-6-sol","messages":[],"stream":true}"#)).unwrap();
//! # let request = Payload::read(request, Payload::DEFAULT_MAX_BYTES).await;
//! # let call = Call::of(&request).unwrap().clone();
//! # let answer = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Lemon\"},\"finish_reason\":\"stop\"}],\
//! #     \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
//! # let response = Response::builder().header("content-type", "text/event-stream")
//! #     .body(Full::<Bytes>::from(answer)).unwrap();
//! let (meter, response) = Meter::attach(response, &call);
//! // … the body passes, byte for byte
//! response.into_body().collect().await.unwrap();
//! assert_eq!(meter.end(), Some(End::Complete));
//! assert_eq!(meter.usage().unwrap().input(), 9);
//! # }
//! ```
//!
//! # What is in it
//!
//! | | |
//! |---|---|
//! | [`Payload`], [`InPlace`] | a request body: whole bytes that can be sent again at no cost, or a stream that passes once; a request that was read, looked at where it stands |
//! | [`Call`] | what the request asks for: dialect, model, stream or not, output cap, choices; and the rewrites |
//! | [`Dialect`] | the wire format, by method and path; see below |
//! | [`Host`], [`Credential`] | a provider's address and key: a call is sent elsewhere, and no credential of the caller's with it |
//! | [`KeptRequest`] | a request kept at little cost, so that it can be sent again |
//! | `peek`, `peek_error`, [`Peeked`] | reads of an answer as little as tells how it went, and puts it back in front |
//! | [`Meter`], [`Usage`], [`End`] | what an answer has said so far, read once for all layers: tokens, usage, finish reasons, error, and how it ended |
//! | [`Reached`] | where a stream reached a number of output tokens, to the event, and what ends it there in order |
//! | [`UsageHidden`] | a stream without the usage that `Call::ask_usage` asked for and the caller did not |
//! | [`TokenEstimate`] | how many tokens a text is, without a vocabulary |
//! | [`Hints`], [`Delay`] | when to come back, by the provider's headers and body |
//! | [`ProviderError`] | the error in an answer's body or stream, in any provider's shape |
//! | [`Verdict`], [`Classify`], [`Standard`] | what an outcome means: throttled, overloaded, the caller's own fault, … |
//! | [`User`] | who is spending, as the app says after its own authentication |
//! | [`FromCache`] | marks an answer for which no call was made |
//! | [`Money`], [`Price`], [`Purchase`] | exact pico-dollars; what tokens cost, as a layer is told it |
//! | [`Attempts`], [`Extend`] | one allowance of attempts and one deadline over all layers that send a call again; who reserves for further ones |
//! | [`Aside`], [`Bookkeeper`] | a call that a layer makes by itself, with an allowance of its own, told to whoever keeps books further out |
//! | [`ErrorAnswer`], [`Refusal`], [`StandingRefusal`] (in the [`Room`] of the refused request), [`CutShort`] | answers and stream ends of our own in the caller's dialect; "no call was sent, by policy"; the error of a body that a layer ended |
//! | [`AnswerBody`], [`Watch`] | an answer's body with what was read ahead in front; a body watched to its end |
//! | `sse` | the decoder (conformant to WHATWG, incremental, no copy of an event that lies in one chunk) and the encoder |
//! | `stream` | what a stream says: pieces and deltas of any dialect; the whole answer put together, and an answer taken apart; where events end |
//!
//! # Dialects
//!
//! | dialect | a stream is | whole by its own proof | end of a stream of ours |
//! |---|---|---|---|
//! | OpenAI chat completions, and the servers that speak them (Azure, Mistral, Groq, DeepSeek, OpenRouter, xAI, Ollama's `/v1`, vLLM, TGI, Gemini's compatible endpoint) | SSE | a finish reason for each choice, and `[DONE]` | error, limit |
//! | OpenAI responses | SSE | a terminal event | error, limit |
//! | OpenAI completions | SSE | as chat | error, limit |
//! | OpenAI embeddings | none | the JSON | |
//! | Anthropic messages, also on Vertex AI and invoked on Bedrock | SSE, Amazon's event stream | `message_stop` | error, limit |
//! | Gemini, also on Vertex AI | SSE, or one array bit by bit | a finish reason for each candidate (a blocked prompt is one); the array's `]` | error, limit |
//! | Ollama | NDJSON | `done` | error, limit |
//! | Bedrock Converse | Amazon's event stream, checksums verified | `messageStop` and `metadata` | error (an exception), limit |
//! | gRPC: Google's `GenerativeService` (v1beta), `PredictionService` (v1) | messages | `grpc-status` 0 in the trailers | error (trailers), limit (a message, and trailers) |
//! | gRPC: KServe's `ModelInfer`, Triton's `ModelStreamInfer` | messages | the same; Triton's `error_message` is an error | |
//!
//! Of all of them the request's facts are read; the model, and where there is one the output cap, is set wherever it
//! stands: in the JSON, in the path, in a field of the message. Usage comes in one form, errors in any of the shapes that
//! are known, with when to come back (RetryInfo in JSON and in `grpc-status-details-bin`, `grpc-retry-pushback-ms`).
//! Each dialect is one room, its file with a row of one table, and nothing else of this crate knows it by name (`src/dialect/`).
//! `Dialect::ALL` has all of them.
//!
//! What of them can be done with each:
//!
//! | | request rewritten | usage | peek, meter, errors | deltas | put together, taken apart | ends of ours |
//! |---|---|---|---|---|---|---|
//! | OpenAI chat, completions | yes | asked for | yes | yes | yes | yes |
//! | OpenAI responses, Anthropic, Gemini, Ollama | yes | always there | yes | yes | yes | yes |
//! | OpenAI embeddings | yes | always there | yes | none | no streams | no streams |
//! | Bedrock Converse | unless signed | always there | yes | yes | yes | yes |
//! | Google's gRPC | yes | always there | yes | texts; no tool calls | no | yes |
//! | `ModelInfer` | the model | none: tensors | yes | none | no | trailers |
//! | `ModelStreamInfer` | no: goes both ways | none | meter, errors; held back by nobody | none | no | no |
//!
//! A gRPC stream is not put together to the answer of the unary method, nor that taken apart: the messages have fields that are not
//! known here, and no layer needs it, as none keeps an answer of gRPC's.
//!
//! Not read: the requests of calls that go both ways, gRPC-Web, compressed messages (content without
//! tokens), and models of other vendors that are invoked on Bedrock. Nor is any other call of these APIs, which passes
//! untouched: counting tokens (`count_tokens`, `:countTokens`, `CountTokens`), Google's embeddings and predictions
//! (`:embedContent`, `:predict`; over gRPC `EmbedContent`, `BatchEmbedContents`, `Predict`, `RawPredict`,
//! `StreamRawPredict`), Ollama's own embeddings (`/api/embed`, `/api/embeddings`), moderations, images, audio, files and
//! batches.
//!
//! # Limits
//!
//! Everything held is bounded: a request body (16 MiB unless a layer is told otherwise; a larger one streams
//! through), an error's body and a stream's events before its first content (64 KiB, 256 events, 15 s after
//! the head), one event of a stream (4 MiB, Amazon's 16 MiB), an error's message (2 KiB). A meter holds of a stream the beginning of one
//! event and two shapes of events (2 KiB each), of an unstreamed answer up to 1 MiB until it has passed. An event or an
//! answer that is larger is not read, but the usage in its last 64 KiB is; without one it is charged by estimate, as is a gRPC
//! message that large: an answer a token for four bytes, but embeddings, which have no output, none. Of a stream whose usage was asked for behind its
//! caller's back the extra event is hidden, up to four of them; the `"usage":null` that OpenAI then writes into every other event stays.
//!
//! A body with `content-encoding` is passed on unread. Calls of other dialects pass through untouched.
//!
//! # Cost
//!
//! Of reading the usage out of a stream with a [`Meter`], for each event, beside a reader that parses every event to a
//! `serde_json::Value` (over gRPC by prost) and looks the usage up. One event a chunk, on two shared cores: the lower ends
//! of the intervals, to compare and not to add up. A body that passes unread is 0.02 µs an event.
//!
//! | dialect | `Meter` | parsed whole | instructions | allocations |
//! |---|---|---|---|---|
//! | OpenAI chat, completions; Anthropic | 0.14 – 0.17 µs | 1.1 – 1.7 µs | 1,110 (parsed 6,200 – 11,500) | none (10 – 17) |
//! | Anthropic on Bedrock | 0.93 µs | 1.1 µs | 8,900 (11,200) | 1 (16) |
//! | Bedrock Converse, checksums verified (the other looks at none) | 0.52 µs | 0.41 µs | 4,400 (3,800) | none (6) |
//! | OpenAI responses | 1.1 µs | 1.2 µs | 6,700 (7,500) | none (10) |
//! | Gemini, SSE and array: a usage in every event | 2.4 µs | 1.6 – 2.0 µs | 12,900 – 14,400 (14,100) | 2 (23) |
//! | Ollama | 0.77 µs | 1.0 µs | 5,000 (7,800) | none (12) |
//! | gRPC, both numberings | 0.25 – 0.33 µs | 0.34 – 0.39 µs | 2,400 (3,500) | none (6) |
//!
//! Cheap is an event that differs from the one before in nothing but its text, as it is not decoded. Where a number changes
//! with every event (`sequence_number`, running usage), each is read.
//!
//! `cargo bench -p llm-exchange --bench dialects -- --warm-up-time 0.5 --measurement-time 1`; instructions by callgrind,
//! over the same streams. `--bench meter`, `facts` and `sse` have the rest.
//!
//! [`AnswerBody`]: crate::AnswerBody
//! [`Aside`]: crate::Aside
//! [`Attempts`]: crate::Attempts
//! [`Bookkeeper`]: crate::Bookkeeper
//! [`InPlace`]: crate::InPlace
//! [`Room`]: crate::Room
//! [`Call`]: crate::Call
//! [`Classify`]: crate::Classify
//! [`Credential`]: crate::Credential
//! [`CutShort`]: crate::CutShort
//! [`Delay`]: crate::Delay
//! [`Dialect`]: crate::Dialect
//! [`End`]: crate::End
//! [`ErrorAnswer`]: crate::ErrorAnswer
//! [`Extend`]: crate::Extend
//! [`FromCache`]: crate::FromCache
//! [`Hints`]: crate::Hints
//! [`Host`]: crate::Host
//! [`KeptRequest`]: crate::KeptRequest
//! [`Meter`]: crate::Meter
//! [`Money`]: crate::Money
//! [`Payload`]: crate::Payload
//! [`Peeked`]: crate::Peeked
//! [`Price`]: crate::Price
//! [`ProviderError`]: crate::ProviderError
//! [`Purchase`]: crate::Purchase
//! [`Reached`]: crate::Reached
//! [`Refusal`]: crate::Refusal
//! [`Standard`]: crate::Standard
//! [`StandingRefusal`]: crate::StandingRefusal
//! [`TokenEstimate`]: crate::TokenEstimate
//! [`Usage`]: crate::Usage
//! [`UsageHidden`]: crate::UsageHidden
//! [`User`]: crate::User
//! [`Verdict`]: crate::Verdict
//! [`Watch`]: crate::Watch
