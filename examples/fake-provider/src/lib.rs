//! A scriptable fake LLM server.
//!
//! It speaks OpenAI (chat completions, also as ten other servers do, responses, completions,
//! embeddings), Anthropic messages, Gemini, Amazon Bedrock and Ollama, and by gRPC Google's two
//! services and KServe's, over HTTP/1.1 and HTTP/2 in clear text, and can be told to do everything that
//! real providers do on bad days: throttle, fail, close before the head, hang, stall, break or err in
//! the middle of a stream, send pings, tiny pieces, no usage.
//!
//! # In a test
//!
//! ```
//! use fake_provider::{Behaviour, FakeProvider, Hint, Script};
//!
//! # async fn example() -> std::io::Result<()> {
//! let fake = FakeProvider::start().await?;
//! fake.on("gpt-4o", Script::new().throttle(2, Hint::RetryAfterMs(50)).then_ok());
//! fake.on("gpt-4o-mini", Behaviour::ok().stall_at(3));
//! // ... let the client under test call `fake.url()` ...
//! assert_eq!(fake.log().len(), 3);
//! assert_eq!(fake.open_streams(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Without code
//!
//! The name of the model (`throttled-2`, `break-3`, `gpt-4o+slow-50`) or the header `x-fake:
//! throttle=2,retry-after-ms=200` say the same; [`OPTIONS`] and [`WORDS`] list what there is. Both
//! are read by the parser behind `str::parse::<Script>()`. They count for each caller: by the header
//! `x-fake-key`, else by the credential; after the healthy answer the count starts over. An `x-fake`
//! that can't be read is answered with a 400 that says why. All this is about calls of a model; the
//! list of models is always answered.
//!
//! # The healthy answer
//!
//! The text is `echo: ` and the last user message (its first 1,000 words), one delta a word. A
//! token is a word: of all message texts (and Anthropic's `system`) for the prompt, of reasoning,
//! text and tool arguments for the answer. The request's cap is obeyed. Ids are numbered, the time is
//! always the same: equal requests to a new server get equal answers.
//!
//! # Limits
//!
//! Request bodies 16 MiB; the log [`LOG_ENTRIES`] requests and [`LOG_BODY_BYTES`] bytes of bodies;
//! 100,000 deltas an answer and as many of reasoning; error bodies 8 MiB.
//!
//! # What it does not do
//!
//! It checks of a request only what it needs (JSON, model, messages, the types of a few numbers),
//! speaks no TLS, and its tokens are nobody's tokens.

#![forbid(unsafe_code)]

mod answer;
mod ask;
mod behaviour;
mod body;
mod clock;
mod conn;
mod control;
mod dialect;
mod event_stream;
mod failure;
mod grammar;
mod grpc;
mod log;
mod options;
mod route;
mod script;
mod secret;
mod server;
mod state;
mod writing;

pub use self::{
    behaviour::{At, Behaviour},
    dialect::Server,
    failure::{Failure, Hint},
    grammar::Unreadable,
    log::{LOG_BODY_BYTES, LOG_ENTRIES, Outcome, Received},
    options::{OPTIONS, WORDS},
    script::Script,
    server::{Builder, FakeProvider},
};
