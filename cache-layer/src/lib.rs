//! [guide]: crate::guide
//! [one_layer]: https://docs.rs/crate/cache-layer/latest/source/examples/one_layer.rs
#![cfg_attr(docsrs, doc = include_str!("on_docs_rs.md"))]
//! [sse-layer]: ../sse_layer/index.html
//! [cost-layer]: ../cost_layer/index.html
//! [budget-layer]: ../budget_layer/index.html
//! [fallback-layer]: ../fallback_layer/index.html
//! [retry-layer]: ../retry_layer/index.html
//! [breaker-layer]: ../breaker_layer/index.html
//! [llm-translate]: ../llm_translate/index.html
//! [llm-exchange]: llm_exchange
//!
#![doc = include_str!("../README.md")]

mod alike;
mod ask;
mod body;
mod cached;
mod control;
mod embeddings;
mod entry;
mod flight;
mod freshness;
mod future;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod guide;
mod handle;
mod key;
mod land;
mod layer;
mod prompt;
mod replay;
mod revalidate;
mod rules;
mod serve;
mod service;
mod settings;
mod stats;
mod store;
mod sync;
mod takeoff;
mod together;
mod within;

#[cfg(feature = "redis")]
pub use self::store::{Generations, InvalidRedis, RedisStore};
// what a caller of this crate names, so that it needs no other
pub use llm_exchange::User;

pub use self::{
    alike::{Candidate, Indexed, MemoryIndex, Near, Nearest, Semantic, VectorIndex},
    body::CacheBody,
    cached::{CacheStatus, Cached},
    entry::Entry,
    future::CacheFuture,
    handle::CacheHandle,
    key::{InvalidKey, Key, Tag, Tags},
    layer::CacheLayer,
    prompt::{
        PrefixStats, PromptCache, PromptCacheBody, PromptCacheFuture, PromptCacheHandle,
        PromptCacheLayer, PromptCacheStats, Tally,
    },
    rules::{Mode, NotKept},
    service::Cache,
    stats::CacheStats,
    store::{
        Found, GetAll, GetTiered, MemoryStore, NotRemoved, Put, Remove, Removing, Store, StoreSize,
        Tiered, Wanted,
    },
};
