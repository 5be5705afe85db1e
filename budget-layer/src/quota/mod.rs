//! The provider's own rate limits, known to all calls.
//!
//! A provider says with each answer how much of its limits is left, and with a 429 when to come back. Without
//! this layer each call finds that out by itself: a hundred calls are throttled, each waits in
//! its own retry, and all come back at once. With it the first 429 holds the others back.
//!
//! ```
//! use budget_layer::quota::ProviderQuotaLayer;
//! # use llm_exchange::{BoxError, Payload};
//! # use tower::{ServiceBuilder, service_fn};
//! use std::time::Duration;
//!
//! # let provider = service_fn(async |_: http::Request<Payload>| {
//! #     Ok::<_, BoxError>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
//! # });
//! let quota = ProviderQuotaLayer::new().max_wait(Duration::from_secs(5));
//! let handle = quota.handle();
//! let service = ServiceBuilder::new().layer(quota).service(provider);
//! assert!(handle.held().is_empty());
//! # let _ = service;
//! ```
//!
//! # What is held back
//!
//! Only what would surely be throttled, for the same authority, model and credential (of which a keyed hash is
//! kept):
//!
//! - after a 429 (or what else means it: [`Verdict`](llm_exchange::Verdict)) that asks for a wait, every call until
//!   then. Where its headers say that tokens were left, it was the call that was too large: then only calls that
//!   are estimated no smaller wait;
//! - where an answer, successful or not, says that no requests are left, as many calls as can't have become free
//!   since: of 600 a minute one each 100 ms. The reset that such limits tell is when they are *full*, long after calls
//!   pass again, so nobody waits for that;
//! - where it says that no tokens are left, the same with a quarter of what a call is estimated at, less
//!   1,000: a prompt that the provider has cached may count for nothing, and the number may be rounded;
//! - where it says so without a name (`x-ratelimit-remaining: 0`, `ratelimit-remaining: 0`), every call until its reset.
//!
//! Nothing is believed longer than an hour, and numbers that can't be read, are negative or lie in the past are not
//! there. A throttling that says nothing of when to come back holds nobody back.
//!
//! # What happens to a call that is
//!
//! It waits if it may pass within 10 s and before the call's deadline, and with not more than 1,000 others; else it is
//! refused at once: 429 in the caller's dialect with the code `provider_quota`, `retry-after` the true delay. When the time is
//! over one call goes first. The others follow when its answer's head is there, and a second later at the latest, spread
//! over 20 ms each, two seconds at most: if it was throttled again they go on waiting.
//!
//! # Order among layers
//!
//! Inside retry and fallback, so that each attempt is asked by itself, and a fallback can take what is refused
//! at once; beside a breaker in any order.
//!
//! # What happens to a stream
//!
//! Nothing: the head of a successful answer is all that is read. Of an error answer the body is read, up to
//! 64 KiB, and put back.
//!
//! # Cost
//!
//! A call that passes takes 0.8 µs longer: its credential is hashed, and ten headers are looked for in its answer
//! (`cargo bench -p budget-layer --bench quota`). Nothing is kept for a key whose provider never said that nothing is left.
//!
//! # What it does not do
//!
//! It counts nothing by itself: a limit that no answer tells of is not known. Over gRPC it reads what stands in the
//! head, which for a throttled call is all there is. An error inside a stream is not looked for. Several processes know nothing of
//! each other, and learn from the same answers.

mod future;
mod gate;
mod handle;
mod keys;
mod layer;
mod service;
mod settings;
mod shared;
mod view;

pub use self::{
    future::QuotaFuture,
    handle::{Held, QuotaHandle},
    layer::ProviderQuotaLayer,
    service::ProviderQuota,
};
