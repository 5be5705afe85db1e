//! Budgets in full: what is reserved, what is charged, and who keeps it.
//!
//! # Example
//!
//! ```rust
//! use budget_layer::{BudgetLayer, Limit, MemoryStore};
//! use llm_exchange::User;
//! use tower::{ServiceBuilder, ServiceExt};
//! # use http::Request;
//! # use http_body_util::{BodyExt, Full};
//! # use testkit::{Answer, Script};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let client = Script::new().then(Answer::json(200, r#"{"model":"gpt-6-sol",
//! #     "usage":{"prompt_tokens":1000,"completion_tokens":100}}"#));
//! // `client`: any tower service over HTTP, such as hyper-util's legacy client
//! let budget = BudgetLayer::new(MemoryStore::new())
//!     .limit(Limit::per_user().daily().tokens(200_000));
//! let budgets = budget.handle();
//! let service = ServiceBuilder::new().layer(budget).service(client);
//!
//! let mut request = Request::post("https://api.openai.com/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(Full::from(r#"{"model":"gpt-6-sol","messages":[]}"#))?;
//! // after the app's own authentication
//! request.extensions_mut().insert(User::new("alice"));
//! let response = service.oneshot(request).await?;
//! response.into_body().collect().await?;
//!
//! let today = budgets.account("user-day-tokens", "alice").await?;
//! assert_eq!(today.remaining.to_string(), "198900");
//! # Ok(()) }
//! ```
//!
//! Use `oneshot`, or name the stack in a struct: `service.ready().await?.call(request)` cannot infer the
//! body type, as the layer takes any.
//!
//! ## Customised
//!
//! ```rust
//! use budget_layer::{BudgetLayer, Limit, MemoryStore, Zone};
//! use llm_exchange::{Money, Purchase, User};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // with cost-layer: `.priced_by(cost.pricing())`
//! let prices = |of: &Purchase<'_>| {
//!     (of.model == "gpt-6-sol").then(|| Money::from_picos(u128::from(of.usage.total()) * 10_000_000))
//! };
//! # let path = std::env::temp_dir().join("budget-layer-readme.snapshot");
//! let store = MemoryStore::new().with_snapshot(&path)?;
//! let budget = BudgetLayer::new(store)
//!     .limit(Limit::per_request().tokens(8_000))
//!     .limit(Limit::per_user().daily().money("5.00".parse()?))
//!     .limit(Limit::per("team", |asked| {
//!         let team = asked.parts().headers.get("x-team")?;
//!         team.to_str().ok().map(str::to_owned)
//!     }).monthly().money(Money::usd(500)))
//!     .limit(Limit::for_all().hourly().money(Money::usd(100)).shadow())
//!     .time_zone(Zone::named("Europe/Berlin")?)
//!     .user(|parts| parts.extensions.get::<User>().cloned())
//!     .anonymous("nobody")
//!     .priced_by(prices)
//!     .strict();
//! # let _ = budget; std::fs::remove_file(path)?; Ok(()) }
//! ```
//!
//! ## For several machines
//!
//! With the feature `redis`:
//!
//! ```rust
//! # #[cfg(feature = "redis")] {
//! use budget_layer::{BudgetLayer, store::{Guarded, RedisStore, WhenAway}};
//!
//! let redis = RedisStore::new("redis://127.0.0.1:6379").expect("an address");
//! let budget = BudgetLayer::new(Guarded::new(redis).when_away(WhenAway::Admit));
//! # let _ = budget; }
//! ```
//!
//! [`Guarded`] bounds how long a call waits for a store that does not answer: 250 ms. After three such calls in a row
//! none waits, and once a second one tries whether the store is back. Until it is, calls are refused
//! (`WhenAway::Refuse`, the default), or admitted by this process's own accounts (`WhenAway::Admit`): each process may
//! then spend up to the whole limit, and what it spends is booked when the store is back.
//!
//! A reservation in Redis is leased for 60 s (`lease`) and renewed while its call lives. Where a process dies, its calls
//! are charged what they had reserved when the lease ends, or given back with `return_lapsed`. A server that comes
//! again without its last writes has forgotten what these booked; booking goes on.
//!
//! ## While calls run
//!
//! ```rust
//! # use budget_layer::{Amount, BudgetLayer, Limit};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let budget = BudgetLayer::default().limit(Limit::per_user().daily().tokens(200_000));
//! let budgets = budget.handle();
//! // 50,000 more today
//! budgets.grant("user-day-tokens", "alice", Amount::Tokens(50_000)).await?;
//! // a limit of his own from now on, kept in the store
//! budgets.set_limit_of("user-day-tokens", "bob", Some(Amount::Tokens(1_000_000))).await?;
//! // nothing was used, and nothing granted
//! let carol = budgets.reset("user-day-tokens", "carol").await?;
//! # assert_eq!(carol.used, Amount::Tokens(0));
//! // for all others, in this process until it ends
//! budgets.set_limit("user-day-tokens", Amount::Tokens(100_000))?;
//! # Ok(()) }
//! ```
//!
//! # Defaults
//!
//! The table of all settings is in [the crate's docs](crate#defaults).
//!
//! Windows: `minutely`, `hourly`, `daily`, `monthly`, `rolling`, `in_total`. A call counts in the window in which
//! it ends. A limit that is counted over another time from now on keeps its name with `named`, and so what was used
//! that may lie within the new window.
//!
//! # What is reserved, and what is charged
//!
//! Reserved is the prompt, as it is counted times what nineteen of twenty prompts of the model had at most (a
//! tenth more, until that is known of 20 calls), and for each choice (`n`):
//!
//! | the request | reserved for the answer | sent |
//! |---|---|---|
//! | has a cap | the cap; what is left, where that is less | the cap, lowered if need be |
//! | has none, an answer in one piece | `output_reserve`; what is left, where that is less | what was reserved, as the cap |
//! | has none, a stream | a step of 1,024 or the model's usual answer, then the next before the last is used up | no cap |
//! | can't be changed (signed, or `enforce_at_provider(false)`) | all of the above or nothing | as it was |
//!
//! Charged is the provider's final usage. Where that is missing, because a stream broke, was cut or its caller
//! left, it is the larger of what the provider said so far and an estimate of what passed, on the safe side: never
//! less than what was measured. A call of which nothing was heard is charged its prompt, and one in one piece
//! its usual answer too. An error answer, a failed connection and a refusal further in cost nothing. Attempts left
//! behind are charged with the call, each at its own model's price.
//!
//! A store is asked once to reserve and told once to settle; long streams and attempts that spent something ask
//! it again.
//!
//! # What a refusal is
//!
//! | | status | code |
//! |---|---|---|
//! | larger than one request may be | 413 | `budget_request_too_large` |
//! | a budget is used up | 429 | `budget_exceeded` |
//! | nobody knows whose the call is | 403 | `budget_owner_unknown` |
//! | the price is not known | 400 | `budget_price_unknown` |
//! | the request can't be read | 400, 413, 415 | `budget_unreadable` |
//! | the store is away | 503 | `budget_store_away` |
//!
//! In the shape of the caller's provider, over gRPC as a status, with `x-should-retry: false` and, of a used-up
//! budget, `x-llm-budget-exceeded` (the limit's name), `-limit`, `-used`, `-remaining` and, where that is known, the
//! true `retry-after`: when all limits would admit the call if nothing else changed. In Rust: `OverBudget::of`. Every
//! answer says in `x-llm-budget-remaining` what each limit has left with this call's reservation taken off.
//!
//! # The provider's own limits
//!
//! `quota::ProviderQuotaLayer` is a layer by itself, off unless it is stacked, inside of fallback and retry: what the
//! provider's rate-limit headers and 429s say is known to all calls, and one that would surely be throttled waits, at
//! most 10 s, or is refused at once with the true delay. See the docs of [`quota`](crate::quota).
//!
//! # What happens to a streaming response
//!
//! It passes byte for byte, each event as it comes. If usage was not asked for, the layer asks and takes the extra
//! event out again. A stream that comes to the end of what is reserved waits for the store, if that is slow; where
//! there is no more, upstream is let go and the stream ends after a whole event, as the provider would end it at
//! its own cap: a finish reason (`length`, `max_tokens`, `MAX_TOKENS`), the usage, the terminator, in the stream's own
//! framing. A stream that the provider holds to a cap is not cut by an estimate that is a
//! quarter too high.
//!
//! # What it does not do
//!
//! It does not know what a provider generates and does not show until the provider says so: hidden reasoning of a
//! stream without a cap can pass a limit once, by one call; `strict` prevents that, and what was learnt of the
//! model makes it rare. Nor what is still under way when a stream is cut. A signed request of an answer in one
//! piece without a cap is not bounded by anybody. Of prompts that the provider keeps (`previous_response_id`) only
//! the new part is counted beforehand. A stream in OpenAI's background mode goes on when its caller has left, unseen. A cap that is lowered below Anthropic's `thinking.budget_tokens` is a 400 there.
//! Images, seconds and searches are tokens only as far as the provider counts them so. Other APIs (images, audio, batches)
//! pass. The Redis store speaks no TLS and is no client of a cluster: all of its keys lie on one node, which it is to
//! be given.
//!
//! # Cost
//!
//! For each unstreamed call of 2 KB in and 1 KB out under three windows: 11 allocations to read the usage, which layers
//! share, and 27 of the budget, 3.5 KB in all and no copy of a body; setting a cap costs 12 more and a copy of the
//! request (`make test-allocations`). In time that is 3.5 µs under one limit, 4.1 µs under three and 6.3 µs where a cap is set, beside 3 µs for reading the usage
//! (`cargo bench -p budget-layer --bench layer`). Of a stream each frame costs a comparison.
//!
//! Memory: what is learnt, 256 models of 450 bytes; the memory store, 262,144 scopes of some 200 bytes unless told
//! otherwise; for each running call a few hundred bytes. No task is spawned but by the Redis store, and a thread by the
//! memory store's snapshot; both say how they end.
//!
//! # Features
//!
//! None is on by default. `redis`: budgets for several machines. `exact-tokens`: counts by OpenAI's own encodings.
//! `metrics`: the counters `llm_budget_reserved`, `llm_budget_used`, `llm_budget_over_reserved` (in tokens or
//! nano-dollars), `llm_budget_refused`, `llm_budget_would_refuse`, `llm_budget_warned` (each by `limit`),
//! `llm_budget_not_sent` (by `reason`, a further attempt among them), `llm_budget_cut` and `llm_budget_store_away`, and the histogram
//! `llm_budget_input_ratio`: prompts' tokens by the provider's count for each that was estimated. `tracing` events
//! are always there: `warn` where an account comes to its warning (by what is reserved, at first or later, or by what a call used
//! more) or the store is away, `info` for refusals, cuts and
//! calls that used more than was reserved, `debug` for the rest. None names whose an account is.
//!
//! [`Guarded`]: crate::Guarded
//! [`User`]: llm_exchange::User
