//! The books in full: what is charged, where it is written, and what that costs.
//!
//! # Example
//!
//! ```rust
//! use cost_layer::{CostLayer, Prices};
//! use llm_exchange::User;
//! use tower::{ServiceBuilder, ServiceExt};
//! # use http::Request;
//! # use http_body_util::{BodyExt, Full};
//! # use testkit::{Answer, Script};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let client = Script::new().then(Answer::json(200, r#"{"model":"gpt-6-sol-2026-09-22",
//! #     "usage":{"prompt_tokens":1000,"completion_tokens":100}}"#));
//! // `client`: any tower service over HTTP, such as hyper-util's legacy client
//! let cost = CostLayer::new(Prices::builtin());
//! let books = cost.handle();
//! let service = ServiceBuilder::new().layer(cost).service(client);
//!
//! let mut request = Request::post("https://api.openai.com/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(Full::from(r#"{"model":"gpt-6-sol","messages":[]}"#))?;
//! // after the app's own authentication
//! request.extensions_mut().insert(User::new("alice"));
//! let response = service.oneshot(request).await?;
//! response.into_body().collect().await?;
//!
//! let today = books.daily(books.today()).await?;
//! assert_eq!(today[0].key, "gpt-6-sol");
//! assert_eq!(today[0].cost.to_string(), "$0.003");
//! # Ok(()) }
//! ```
//!
//! Use `oneshot`, or name the stack in a struct: `service.ready().await?.call(request)` cannot infer the
//! body type, as the layer takes any.
//!
//! ## Customised
//!
//! ```rust
//! use cost_layer::{CostLayer, Overflow, PerMillion, Prices};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let prices = Prices::builtin()
//!     .model("local-llama", PerMillion::new("0".parse()?, "0".parse()?))
//!     .alias("our-azure-deployment", "azure/gpt-5.4");
//! let cost = CostLayer::new(prices)
//!     .alert_hour("200".parse()?)
//!     .alert_user_day("20".parse()?)
//!     .alert_p95(Duration::from_secs(30))
//!     .on_alert(|alert| eprintln!("{}", alert.kind))
//!     .overflow(Overflow::Wait(Duration::from_secs(1)));
//! let pricing = cost.pricing(); // for a budget, and to be replaced: pricing.reload("prices.json")
//! # let _ = pricing; Ok(()) }
//! ```
//!
//! With the feature `sqlite`: `.ledger(SqliteLedger::open("costs.db")?)`; with `postgres`:
//! `.ledger(PostgresLedger::connect(url).await?)`. Before the process ends: `books.flush().await`.
//!
//! # Alerts
//!
//! The defaults are in the README's table. After a restart alerts go on from what the ledger has:
//! `books.seed_alerts().await`, before the first call. Without it, and for credentials, they begin at zero.
//!
//! An unknown price alerts once an hour and model, lost records once a minute. `no_alerts` turns all off.
//!
//! ## What is unusual
//!
//! `alert_unusual` compares the last five minutes of a user, a model and a credential with what each spent before, in slots of
//! five minutes. Only slots in which something was spent are remembered, the last 64: that nobody works at night says nothing
//! about the day. Unusual is what is above the median and six robust standard deviations (1.4826 times the median deviation), above
//! four times the median, and above the amount that is set. An unusual slot is remembered as the highest that would have been
//! usual: one spike does not hide the next, and what has become usual for good is learnt within hours.
//!
//! A new user, model or credential is never unusual: with fewer than twelve slots, an hour of spending, there is nothing to compare
//! with. After a start that holds for all, but for what `seed_alerts` finds in the ledger of the last 24 hours. Of each kind 4,096 are
//! watched, and those idle longest are forgotten first.
//!
//! # What is charged
//!
//! The provider's usage counts, in any dialect that `llm-exchange` reads. Where it is missing, because a stream broke
//! or its caller left, what passed is estimated and marked so. An error answer and a stream that failed before
//! its first content cost nothing. A call that was dropped before its head is charged its prompt, estimated: it
//! was most likely read. Compressed answers are charged by their size.
//!
//! A tier for long prompts counts for all tokens of the call and is decided by the whole prompt, cached and
//! written tokens included. The service tier, speed and place are those that the answer names. What a list does
//! not give at a tier is scaled as the rest of it. A cost that the provider states itself (OpenRouter) goes
//! before the table. An answer that was made in several parts by several models is charged part by part.
//!
//! An attempt whose answer did not come in time, or whose caller went away before, is charged its prompt by estimate, the
//! last one as well as those left behind; one that was not reached, or failed at once, is charged nothing.
//!
//! The table that is built in is of 2026-11-23: third-party data, good for what one wants to know of the
//! spending and not for invoices. `Prices::from_file` reads LiteLLM's `model_prices_and_context_window.json` as it
//! is (of version 1.110.2 all 3,994 entries with prices of tokens); `Pricing::reload` replaces the prices while calls run and refuses a table that loses most models.
//!
//! # What happens to a streaming response
//!
//! It passes byte for byte, each event as it comes. If usage was not asked for, the layer asks and takes the extra
//! event out again; for that it holds back the beginning of an event, never a whole one. The record is booked
//! when the stream ends, breaks, or is dropped.
//!
//! `Booked::of(&response)` is where the record will be then.
//!
//! A call is one record, with the attempts of the layers further in, each under the model and the host that it was sent to. A
//! cache's own call for a new answer, while it serves an old one, is a record of its own (`is_background`), of the user and the
//! tags for whom it was made. Where a caller leaves and others read on, its record has all of it.
//!
//! # Ledgers
//!
//! One task, begun when there is something to write, appends records in batches of up to 100, or after 50 ms. Without a
//! tokio runtime there is none, and whoever flushes writes. A ledger
//! that is away gets them when it is back; they wait in the queue, and what there is no room for is lost,
//! counted and alerted. So is a record that breaks a rule of the tables, and no other: a full disk, a lock, a standby, a server
//! that is shut down or has no connection left are waited for. A batch that is sent twice is counted once.
//!
//! SQLite: a batch is one transaction, on the disk when it is done. Killed, a process loses what was not written:
//! as long as the ledger keeps up, the batch that is being written and what is collected meanwhile, for 50 ms or up to a
//! batch and 64 calls of each thread. Postgres:
//! the same tables, for several machines. Amounts there are whole pico-dollars, times microseconds; a call is at
//! most a million dollars and 10¹² tokens. Each question to either takes at most 10 s (`longest_read`) and is stopped then; a
//! Postgres server that does not answer at all is waited for 5 s more. Questions have three of its four connections: reports keep no
//! record waiting. They are answered with at most 100,000 sums or 10,000 records. Neither ledger deletes anything: that is
//! yours to decide. Memory answers in whole hours.
//!
//! # Questions and exports
//!
//! The handle asks the ledger, and writes what waits first: whoever asks sees what was booked.
//!
//! ```rust
//! use cost_layer::{By, CostLayer, Format, Query, Span};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let books = CostLayer::default().handle();
//! let month = Span::days_up_to(books.today(), 30);
//! let ten = books.top_spenders(month, 10).await?; // who, how much, how many calls and tokens
//! let teams = books.spend(&Query::new(month, By::Tag("team".into())).model("gpt-6-sol")).await?;
//! let last = books.records_of("alice", month, 50).await?; // attempts left behind included
//! let mut file = Vec::new();
//! books.export(month, Format::Csv, &mut file).await?;
//! # assert!(ten.is_empty() && teams.is_empty() && last.is_empty());
//! # Ok(()) }
//! ```
//!
//! Sums are by user, model, provider, day or tag, the largest first, and can be of one user and one model; a tag is what the app
//! put into the request with `Tags`. `entries` reads records page by page. An export writes each record and each attempt left
//! behind as a line, the earliest first: CSV whose first line names the columns, safe to open in a spreadsheet, or JSON lines.
//! Amounts there are whole pico-dollars, times microseconds. It reads 1,000 at a time, so it may be of any size.
//!
//! # Latencies
//!
//! `books.latency("gpt-6-sol", Window::FiveMinutes)` is of one model at all providers, `books.latencies(window)` of each model at
//! each; over all time, the last hour, five minutes or minute. Each has three parts: `ok`, `failed` and `abandoned`, whose callers
//! went away, as a time that was cut short says nothing of an answer's. Each of these has the time to the end, to the
//! first content and from token to token, and of each the count, p50, p90, p95, p99 and the longest, within 1 %. With the feature `hdr`
//! they can be written and merged over machines.
//!
//! # What it does not do
//!
//! It limits nothing: that is `budget-layer`'s. It bills no images, seconds or characters, and of tools only web
//! searches. The custom classifier of a retry does not change the verdict of a record. `PostgresLedger::connect` does not encrypt: for
//! TLS there is `with_pool`.
//!
//! # Cost
//!
//! For each unstreamed call of 2 KB in and 1 KB out: 12 allocations to read the usage, in one typed pass, which layers
//! share, and 10 for the call's state, its record and the extension that it will be found by; 4 KB in all, and no copy of a
//! body (`make test-allocations`). It is some 64,000 instructions, of which 40,000 read the answer. Names come again with every
//! call: records share them.
//!
//! A call leaves its record at a stripe of its thread, and that is all that it does for sums, latencies, alerts, metrics and
//! ledger. What lies there is carried on together and in the order of time: by the task that writes, 50 ms after the first
//! record; by one call in 64, if they are that many; and before anybody looks at the books. So sums and the sliding hour are
//! exact, and an alert comes up to 50 ms after its call. Prices are at the stripe too: calls that end on two threads take no lock
//! in common, and each of two threads spends as much on a call as one alone (5.2 µs of CPU time each, on the machine that it
//! was written on).
//!
//! `cargo bench -p cost-layer` takes the times on yours. On a busy machine of two cores, the best of four runs: such a call took
//! 15.3 µs, over the bare service's 4.6 (3.3 times), reading the usage included; an event of a stream 155 ns over 29; and two
//! threads that called one model at once took 2.9 times as long as one alone, the bare service 3.0 times.
//!
//! Memory: latencies up to 2 MB for each of 32 models, where calls of every outcome come all the time, and far less else;
//! baselines 4,096 users, models and credentials of 700 bytes; users of a day 65,536; names 512 for each of 16 stripes of
//! threads.
//!
//! # Features
//!
//! None is on by default. `sqlite` (a C compiler, Rust 1.89), `postgres`, `hdr` (latencies in HDR's own interval log,
//! and merged over nodes), `metrics`: `gen_ai.client.operation.duration`, `.time_to_first_chunk`,
//! `.time_per_output_chunk`, the histograms `gen_ai.client.inference.operation.input_tokens` and `.output_tokens`, the
//! counters `gen_ai.client.inference.usage.*`, `llm_cost_nano_usd`, `llm_cost_saved_nano_usd` and `llm_cost_unpriced`; `old_metric_names` adds `gen_ai.client.token.usage`. The module
//! `metrics` has the conventions' boundaries for an exporter's histograms, and `describe()`. `tracing`
//! events are always there: `warn` for alerts, `error` for lost records.
