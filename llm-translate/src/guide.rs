//! The translation in full: what is carried over, what is left out and told, and what becomes of what.
//!
//! # Example
//!
//! A client of OpenAI's API in front of Anthropic:
//!
//! ```rust
//! use llm_translate::TranslateLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! # use testkit::{Answer, Script};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let client = Script::new().then(Answer::json(200, r#"{"id":"msg_1","type":"message","role":"assistant",
//! #     "model":"claude-sonnet-4-5","content":[{"type":"text","text":"Yellow"}],"stop_reason":"end_turn",
//! #     "stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}"#));
//! // `client`: any tower service over HTTP, such as hyper-util's legacy client
//! let service = ServiceBuilder::new()
//!     .layer(TranslateLayer::to_anthropic().model_for("gpt-4o", "claude-sonnet-4-5"))
//!     .service(client);
//!
//! let request = Request::post("https://api.anthropic.com/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .header("authorization", "Bearer sk-ant-…")
//!     .body(Full::from(r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Colour of a lemon?"}]}"#))
//!     .unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! let answer = response.into_body().collect().await.unwrap().to_bytes();
//! assert!(answer.starts_with(br#"{"id":"msg_1","object":"chat.completion""#));
//! # }
//! ```
//!
//! Host and credential are not the layer's: [`Host`](llm_exchange::Host) and [`Credential`](llm_exchange::Credential) of llm-exchange put in another's. The
//! pure functions need no service:
//!
//! ```rust
//! use llm_exchange::Dialect;
//! use llm_translate::Asked;
//!
//! let asked = br#"{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"hi"}],"top_k":5}"#;
//! let error = Asked::new(Dialect::AnthropicMessages, asked).translate(Dialect::OpenAiChat).unwrap_err();
//! assert_eq!(error.to_string(), "`top_k` cannot be carried over");
//! let there = Asked::new(Dialect::AnthropicMessages, asked).translate(Dialect::Gemini)?;
//! assert_eq!(there.path(), "/v1beta/models/m:generateContent");
//! # Ok::<_, llm_translate::NotTranslated>(())
//! ```
//!
//! [`Translation`](crate::Translation) is the exchange in between, for a layer of one's own: fallback-layer's targets of another
//! dialect use it (its feature `translate`).
//!
//! # What is left out
//!
//! Left out, and named in the answer's header `x-llm-left-out` and by [`Translation::left_out`](crate::Translation::left_out), is only what
//! changes nothing of what an answer means, or what the target refuses or cannot be shown:
//!
//! | field | |
//! |---|---|
//! | `metadata`, `store`, `service_tier`, `speed`, `diagnostics`, `labels` | labels, places to keep it, price and haste |
//! | `prompt_cache_*`, `prompt_cache_breakpoint`, `cache_control` | hints to a cache of the provider's, also where they stand at a tool or a part |
//! | `tools.eager_input_streaming`, `displayName`, `input.phase` | how arguments are sent, what a file is called, what an item was said for |
//! | `temperature`, `top_p`, `top_k` | only to Anthropic, only with a version that refuses them |
//! | reasoning of earlier turns: thinking blocks, thought parts, `reasoning` items, signatures | sealed for the model that thought it |
//! | `thinking` to OpenAI | it knows efforts, which are carried over, and no budgets |
//! | a budget of `thinking` beside an effort | to OpenAI and Gemini, where the effort says it |
//! | an effort beside `thinking: disabled` | in other dialects it would have the model think: disabled wins |
//! | `reasoning_effort: minimal` to Anthropic | it becomes `low`, the least there is |
//! | `image_url.detail`, `mediaResolution` | how closely an image is looked at |
//! | `tool_result.is_error` to OpenAI | the result itself says what went wrong |
//! | `tools.strict`, a schema's `strict`, the user, to Gemini | it has none of them |
//! | `reasoning.summary`, `include: ["reasoning.encrypted_content"]` | reasoning that is not shown, see below |
//! | `anthropic-beta` | what a beta adds to a request is refused by its field |
//!
//! `safety_identifier` (or `user`) and `metadata.user_id` become each other. What says nothing passes: `null`, `n: 1`,
//! `logprobs: false`, a penalty of 0, `includeThoughts: false`, `include_obfuscation`, the `id` and `status` of an item, the name of an
//! answer's schema where the target has none for it.
//!
//! Everything else that has no counterpart is refused: `seed`, penalties and a temperature above 1 to Anthropic; `top_k` to OpenAI;
//! more stop sequences than the target takes (OpenAI 4, Gemini 5); more than one choice, `json_object` and no
//! schema, to Anthropic; a tool's result with anything in it but texts and images; an image by its address to Gemini; instructions after the first turn to Gemini; audio, files and documents; Gemini's safety settings;
//! the provider's own tools (web search and the like); what depends on its memory (`previous_response_id`, `cachedContent`, `container`);
//! a conversation that ends with the assistant's turn, which some APIs take up and others answer, unless the app says so
//! (`carry_last_turn`; one with a call of a tool never is carried over).
//!
//! # What becomes of what
//!
//! - **Tools**: ids go along; Anthropic's have plain characters only, so others are changed, call and result alike. Gemini's calls without an
//!   id get one. Towards Gemini a call carries the documented word for calls that its model did not make, as
//!   newer models refuse those without the signature of their thoughts. Arguments that are no JSON object are
//!   refused in a request, and a 502 in an answer for callers whose dialect has objects there.
//! - **Output cap**: Anthropic wants one; a call without gets 32,000, the least that models since Claude 4 allow.
//! - **Finish reasons**: `stop`, `length`, `tool_calls`, `content_filter` and their like. Which stop
//!   sequence it was, OpenAI and Gemini do not say. A reason that is no end of an answer (`error`,
//!   `MALFORMED_FUNCTION_CALL`) is an error.
//! - **Usage**: in the caller's convention, by llm-exchange's `Usage`. A message's `usage` has to be there: where the target gave none its counts are 0.
//! - **Reasoning** is shown where it can be sent back: as `reasoning_content` to callers of chat completions, as
//!   thoughts to Gemini's who ask for them (`includeThoughts: true`). Anthropic's is signed and OpenAI responses' is known to the provider by its id: unsigned or unknown it would be
//!   refused in the next turn, so those callers are not shown it.
//! - **Errors** keep status, code and words, in the caller's shape; `retry-after` stays, and Google's RetryInfo becomes one.
//!
//! - **What answers have besides** (OpenAI's `annotations` and `logprobs`, Anthropic's `citations`, Gemini's grounding, citations and
//!   safety ratings) is not carried over, and told: in the header `x-llm-dropped` of an answer in one piece, in a stream by a comment,
//!   `: dropped citations`, once for each; for Gemini's callers, whose clients fail at comments, by a `debug` event and
//!   `StreamTranslator::dropped`. What is content is not lost so: an answer with an image, a sound or a file in it (`inlineData`,
//!   `fileData`, `audio`, `images`) is a 502, in a stream the error event, `media_answer`.
//!
//! # What happens to a stream
//!
//! Each event is translated as it comes, and the stream has the form of the caller's dialect: roles and blocks, calls in pieces (whole for
//! Gemini's callers), usage in a chunk for those who asked (`include_usage`), `[DONE]`, `message_stop`, `response.completed`, the closing
//! bracket of Gemini's array. Pings and comments become keep-alives. An error in it becomes the caller's error event; an
//! upstream that ends without the proof of a whole answer becomes one too (`stream_broke_off`); one that breaks is broken for the caller.
//! Kept is the beginning of one event, at most 4 MiB; for Gemini's callers the arguments of calls, at most 4 MiB; for those of responses the
//! answer, which is said again at its end, at most 16 MiB. An answer that is no stream is read whole, at most 16 MiB.
//!
//! # Cost, and how it was measured
//!
//! Texts, images and schemas of a request are borrowed until they are written. On one core a request of 7.5 KiB with four
//! calls of tools takes some 25 µs, 1.7 times what reading it into a `serde_json::Value` and writing it again does; an answer
//! of 2 KiB 12 µs, as it is taken apart to events first; an event of a stream 1 µs, 2.2 times such a tree. A call that is
//! not translated pays for looking at its path. Measure it on your machine: `cargo bench -p llm-translate`.
