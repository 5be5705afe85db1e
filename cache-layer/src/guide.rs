//! The cache in full: what is kept, whose it is, and how long.
//!
//! # Example
//!
//! ```rust
//! use std::time::Duration;
//! use cache_layer::CacheLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//! # use http::{Request, Response};
//! # use http_body_util::{BodyExt, Full};
//! # use testkit::{Answer, Script};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let client = Script::new().then(Answer::json(200, r#"{"model":"gpt-6-sol","choices":[{"index":0,
//! #     "message":{"role":"assistant","content":"Lemon"},"finish_reason":"stop"}]}"#));
//! // `client`: any tower service over HTTP, such as hyper-util's legacy client
//! let cache = CacheLayer::new().max_bytes(256 << 20).ttl(Duration::from_secs(3600));
//! let statistics = cache.handle();
//! let service = ServiceBuilder::new().layer(cache).service(client);
//!
//! let request = || Request::post("https://api.openai.com/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .header("authorization", "Bearer sk-mine")
//!     .body(Full::from(r#"{"model":"gpt-6-sol","temperature":0,"messages":[]}"#))
//!     .unwrap();
//! let first = service.clone().oneshot(request()).await.unwrap();
//! assert_eq!(first.headers()["x-llm-cache"], "miss");
//! # first.into_body().collect().await.unwrap();
//! // … its body is read to the end
//! let second = service.oneshot(request()).await.unwrap();
//! assert_eq!(second.headers()["x-llm-cache"], "hit");
//! assert_eq!(statistics.stats().hit_rate(), 0.5);
//! # }
//! ```
//!
//! ## Customised
//!
//! ```rust
//! use std::time::Duration;
//! use cache_layer::{CacheLayer, MemoryIndex, MemoryStore, PromptCacheLayer, Semantic};
//! use llm_exchange::{Money, Purchase};
//!
//! // the app's own embedding model, here or behind a call
//! async fn embed(question: String) -> Option<Vec<f32>> {
//!     # let _ = question;
//!     Some(vec![0.6, 0.8])
//! }
//!
//! let prices = |of: &Purchase<'_>| Some(Money::from_picos(u128::from(of.usage.total()) * 2_000_000));
//! let cache = CacheLayer::new()
//!     .store(MemoryStore::new(1 << 30))
//!     .all()                                             // every call that depends on nothing but itself
//!     .answers(4)                                        // up to four answers to a call that wants variety
//!     .ttl(Duration::from_secs(86_400))
//!     .stale_while_revalidate(Duration::from_secs(600))
//!     .stale_if_error(Duration::from_secs(86_400))       // an outage is served from the cache
//!     .pace(Duration::from_millis(20))                   // replayed streams, event by event
//!     .semantic(Semantic::new(embed).threshold(0.97).index(MemoryIndex::new(64 << 20)))
//!     .priced_by(prices);
//! let prompts = PromptCacheLayer::new().priced_by(prices); // nearest to the client
//! # let _ = (cache, prompts);
//! ```
//!
//! # What is cached
//!
//! | | by default | with `all()`, or `cache-control: max-age=N` or `only-if-cached` on the call |
//! |---|---|---|
//! | OpenAI chat, responses, completions; Ollama; Anthropic | `temperature: 0` | all |
//! | Gemini, Bedrock Converse | `temperature: 0` in their settings | all |
//! | embeddings (OpenAI's `/embeddings`, also Azure's) | all, text by text | all |
//! | a call for which the provider searches or runs something (`web_search`, `mcp_servers`, …) | no | all |
//! | an image or a file by its address | with `temperature: 0`: the address counts, not what is there | all |
//! | a call that goes on from what the provider keeps (`previous_response_id`, `conversation`, `container`, `thread`, `background`, `cachedContent`, a kept `prompt`, an `item_reference`), or may: with a top-level name in escapes | no | no |
//! | gRPC, a compressed or signed-anew (AWS SigV4) request, one that can't be read | no | no |
//!
//! With `anthropic-version: 2026-10-21` a call can't say `temperature`, so its calls are cached only when asked.
//!
//! Never stored: errors in any shape, a 200 with an error in it, what was truncated, cut by a cap, filtered,
//! refused or ended for a reason that is not known, an answer of another model than asked (a dated snapshot of it
//! is the same) or from another host (a fallback's, also of a model of the same name), one in another form than asked, one over `max_entry_bytes`.
//!
//! A stored stream serves an unstreamed call and the reverse in OpenAI's chat (and what speaks it), responses and completions, in
//! Anthropic's messages, also on Vertex AI, and in Ollama's. Gemini's and Bedrock's forms have addresses and so keys of their own:
//! there the other form is a call of its own.
//!
//! **The key** is a keyed BLAKE3 hash of: host, port, path and query without keys in it, dialect, model, the
//! headers `anthropic-*`, `openai-*`, `x-goog-*` and those of `vary`, the whole request as canonical JSON (fields
//! that nobody here knows, too), and the scope. Not in it, as they do not change what an answer says: `stream`,
//! `stream_options`, `user`, `user_id`, `safety_identifier`, `metadata`, `labels`, `end_user`, `requestMetadata`,
//! `store`, `service_tier`, `diagnostics`, `cache_control` (of Anthropic also on tools and blocks) and
//! `prompt_cache_*`, all where they stand outermost. Texts and numbers count as they are written: `1.0` is not `1`.
//!
//! **The scope** is the credential, whichever header or query carries it, with the account headers, and the
//! [`User`] that the app put into the request. Without either nothing is cached, unless the app says
//! `shared_by_everybody()`.
//!
//! # Control
//!
//! On the request, as for any HTTP cache: `cache-control: no-store` (neither read nor stored), `no-cache` (not
//! read, stored; each such call is made by itself), `max-age=N` (cached, and younger than N seconds, in an outage too), `only-if-cached` (else a 504 refusal; no call is made, not even to
//! renew a stale answer). On the
//! answer: `x-llm-cache: hit | miss | stale | coalesced | bypass`, `age` in seconds, `x-llm-cache-similarity` where the
//! answer is to another question, and the extension [`Cached`], which has the entry's key. A hit carries llm-exchange's
//! [`FromCache`]: nothing was spent.
//!
//! A hit has the body byte for byte, its content type and the provider's request id; rate-limit headers and
//! cookies are the first caller's and are not replayed. Its usage is what the answer had cost.
//!
//! # Embeddings
//!
//! Each text of a call, and each list of tokens, has a key of its own, made of the call without its texts (model,
//! `encoding_format`, `dimensions`, whatever else stands there) and of the text as it is written. So a text is known
//! alone, in a list, and in any other batch. Of a batch the texts that are not known are asked for, each once; the answer
//! has all in the order of the call, each with its `index`, and otherwise what the provider said of the rest. A batch
//! of which nothing is known goes and comes byte for byte.
//!
//! **Its usage is what was paid just now**: of a batch of which a part was known, the tokens of the rest, and
//! `x-llm-cache: miss`. Where all of it was known it is a `hit`, whose usage is what the texts had cost (a batch's tokens
//! are shared out to its texts by their length); nothing was spent.
//!
//! Texts that another call asks for at this moment are not asked for again: the answer of that call is waited for, and if
//! it fails, its texts are asked for by themselves. If what this call asked for fails, the failure is the answer, unless
//! all of it is there past its time (`stale_if_error`). An answer to the rest that breaks off is a 502,
//! `embeddings_incomplete`; after one that is over 64 MiB or can't be put together with what is known the call is made as it
//! came, and the first one is an attempt that was left behind.
//!
//! Cached whole instead: calls of more than 2,048 texts, with inputs that are neither texts nor lists of tokens, or
//! signed over their body. Gemini's `embedContent` and `batchEmbedContents`, Ollama's `/api/embed` and Cohere's are no
//! dialects that are read: they pass.
//!
//! # Questions that mean the same
//!
//! Off by default. `semantic(Semantic::new(embed))` has a call whose exact answer is not known compared with the
//! questions whose answers are: the app gives the embedding function and, beyond a small index in memory, the
//! [`VectorIndex`]. Alike enough (`threshold`, a cosine of 0.95) is a hit with `x-llm-cache-similarity`.
//!
//! Compared are only calls that are equal **but for the user's last text**: same credential, [`User`], host, model, system prompt,
//! and every other field. Never those with tools, images or anything else beside texts, of several turns (unless
//! `conversations()`), with a question over 8 KiB, or whose numbers differ. The hook `verify` has the last word, and may
//! ask a model.
//!
//! What it can't do: no vector tells reliably a question from its opposite, or one name from another. Use it where a wrong
//! answer costs little. Each call that may be compared waits for the embedding, 300 ms at most with all that follows (`within`),
//! then it is a miss. [`MemoryIndex`] compares with every question of the space, one after the other: some milliseconds for
//! 10,000. The index holds the questions as text, to compare their numbers and for the hook; entries that are gone are
//! taken out of it when they are found.
//!
//! # Stores
//!
//! [`MemoryStore`] is bounded in bytes and keeps what is asked for again through a flood of calls made once (S3-FIFO).
//! An entry must fit into a shard: 16 MiB each, or all of a smaller store; a larger one is told in the statistics
//! and the log. Entries past their time take their bytes until they are asked for or driven out.
//!
//! `RedisStore` (feature `redis`) shares entries between processes that know one secret. Names are keyed hashes,
//! entries are compressed and sealed (not encrypted). A lookup is one round trip and takes 50 ms at most, one of a batch
//! 50 ms for each 128 texts; an outage is a miss, and nothing is asked for a second after one. One task writes, from a queue of 4,096
//! entries and 64 MiB. `Tiered::new(near, far)` puts
//! one store before another. [`Store`] is a small trait for your own.
//!
//! `handle()` removes entries by key, model, user, tenant or all; answers on their way do not bring them back.
//!
//! # Equal calls at the same time
//!
//! The first one makes the call, the others read the same answer from its first byte: what came so far, then what
//! comes. **No task is spawned for it**: whoever is polled and finds nothing new polls the upstream call, with a
//! waker that wakes all who wait. So the call goes on as long as anybody reads, also when the one who began it
//! leaves or stands still; when the last one leaves it is dropped. Waiting costs nothing: each reader is woken for
//! what there is to read. A streamed and an unstreamed call do not join each other.
//!
//! If the call fails before its first content, the failure is given to the one who began it; the others make one
//! more call together, and who was on two failed ones goes alone. A stream that breaks later is an error to all
//! who read it. A service that panics does so for whoever polled it; to the others it is a call that failed, or broke.
//!
//! Bounds: 65,536 calls and texts that can be joined, 256 MiB of answers under way. An answer over `max_entry_bytes` takes no
//! new readers, keeps its last 1 MiB, and one who lags further behind is ended with an error in the stream, in its framing.
//!
//! In the books of a cost-layer around the cache the call is the one's who began it, whoever reads it to its end; but who leaves
//! before its head is booked with an estimate of the prompt alone. The call that `stale_while_revalidate` makes is a record of its
//! own there, and a batch's first call, where the batch is sent anew, an attempt that was left behind. A budget-layer inside of the
//! cache sees all of them.
//!
//! # The provider's prompt cache
//!
//! [`PromptCacheLayer`] belongs nearest to the client, behind fallback and retry, as marks depend on the model. For
//! Claude models on Anthropic's API, Vertex AI and Bedrock it places up to 4 `cache_control` marks, in Bedrock's Converse `cachePoint`s: at the deepest
//! prefix (tools, system, messages) that was seen before, and at those above it that more calls share. Only
//! prefixes that were seen within the hour are marked, as a write costs more than plain input, and only from the
//! model's least length on; they are kept for 5 minutes, or an hour where calls come further apart. Marks of the
//! caller's win, and every other byte stays. OpenAI, Azure, Mistral and OpenRouter are given a `prompt_cache_key` for each
//! stable prefix. `handle()` tells what was read, written and saved net, by the usage in the answers, and the hit
//! rate of each prefix.
//!
//! It learns by keyed hashes, 64 Ki at most, and reports 256 prefixes. Lengths are estimated by a quarter of the
//! bytes. It does not mark other models of Bedrock, Claude behind OpenAI's dialect, or signed requests; on Converse an hour is asked
//! for only of Claude 4.5, and what other models would need it for is not marked.
//!
//! # What happens to a streaming response
//!
//! The head is held back until the first content, as retry does it (64 KiB, 256 events, 15 s at most:
//! `peek_limits`), so that equal calls are not given a failure. Then every byte passes as it came, event by whole event, to each
//! reader. Where the dialect has usage only on request, the layer asks for it and takes it out again for callers
//! who did not ask. A replay ends with its terminator.
//!
//! # Errors
//!
//! The error type is the inner service's. Of a call that failed, the error goes to the caller who began it. A body
//! that broke for one reader has its error; several readers get one that has it as its source.
//!
//! # Order among other layers
//!
//! Outside of budget, fallback, retry and breaker: a hit passes none of them. Inside of cost, which books it as
//! free. The service is always ready; a call is made by a clone that is polled ready within the call's future.
//!
//! It needs `Send + 'static` of the inner service, its future and error, as a call may be driven by another task.
//!
//! # What it does not do
//!
//! It honours no `cache-control` of the provider. Only
//! `temperature: 0` says that a call is deterministic; providers do not promise that it is.
//!
//! # Cost
//!
//! A hit of a 2 KB request with a 1 KB answer, the key computed from the body, takes 3.9 µs and allocates 12 times where the
//! cache is the outermost layer and reads the request itself; where a layer further out has read it, 3.2 µs and 8 times. In
//! the same run `tower-resilience-cache` takes 0.4 µs (its key is the body as it stands: no tenant, no order, no form), and
//! `quick_cache` behind a BLAKE3 hash of the body 2.8 µs. A streamed hit of 100 events costs what an unstreamed one does,
//! 3.2 µs, as it comes in one piece; put together to JSON it costs 1.6 µs for each event. A miss of a new prompt, looked up and stored, adds 7.7 µs to a call, that
//! of a stream of 100 events 12 µs; `tower-resilience-cache` adds 0.5 µs. (The least of a hundred samples each, on two cores
//! that others used too.) A hundred callers who wait half a second for an equal call
//! burn 0.75 ms of processor time together; `tower-resilience-coalesce` keeps a processor busy from the first one on.
//!
//! Measure it on your machine: `cargo bench -p cache-layer`, and `cargo test -p cache-layer --features
//! testkit/count-allocations --test allocations`.
//!
//! # Features
//!
//! `pure`: hashing in Rust alone. BLAKE3's assembler is built by a C compiler; on x86 a build without one does with Rust
//! by itself, elsewhere this feature is needed then. `redis`: the Redis store. `metrics`: the counters `llm_cache_calls` (label `status`) and `llm_cache_not_kept`
//! (label `why`). Off by default. `tracing` events are always there.
//!
//! [`Cached`]: crate::Cached
//! [`FromCache`]: llm_exchange::FromCache
//! [`MemoryIndex`]: crate::MemoryIndex
//! [`MemoryStore`]: crate::MemoryStore
//! [`PromptCacheLayer`]: crate::PromptCacheLayer
//! [`Store`]: crate::Store
//! [`User`]: llm_exchange::User
//! [`VectorIndex`]: crate::VectorIndex
