//! The provider's own prompt cache: what of a prompt it is to keep.

mod future;
mod layer;
mod learned;
mod marks;
mod models;
mod openai;
mod points;
mod report;
mod service;

pub use self::{
    future::PromptCacheFuture,
    layer::{PromptCacheHandle, PromptCacheLayer},
    report::{PrefixStats, PromptCacheStats, Tally},
    service::{PromptCache, PromptCacheBody},
};
