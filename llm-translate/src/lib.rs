//! [guide]: crate::guide
//! [one_layer]: https://docs.rs/crate/llm-translate/latest/source/examples/one_layer.rs
#![cfg_attr(docsrs, doc = include_str!("on_docs_rs.md"))]
//! [sse-layer]: ../sse_layer/index.html
//! [cost-layer]: ../cost_layer/index.html
//! [cache-layer]: ../cache_layer/index.html
//! [budget-layer]: ../budget_layer/index.html
//! [fallback-layer]: ../fallback_layer/index.html
//! [retry-layer]: ../retry_layer/index.html
//! [breaker-layer]: ../breaker_layer/index.html
//! [llm-exchange]: llm_exchange
//!
#![doc = include_str!("../README.md")]
//!
//! ## Where it stands
//!
//! Wherever the dialect is to change, or in a target of [fallback-layer]. What stands around it, outermost first: [sse-layer] · [cost-layer] · [cache-layer] · [budget-layer] · [fallback-layer] · [retry-layer] ·
//! [breaker-layer] · [sse-layer]'s clocks. All are written in the words of [llm-exchange].

mod answer;
mod back;
mod beside;
mod chat;
mod conversation;
mod error;
mod forth;
mod future;
mod gemini;
pub mod guide;
mod json;
mod layer;
mod media;
mod messages;
mod responses;
mod service;
mod translated_answer;
mod translation;
mod write;

// what a caller of this crate names, so that it needs no other
pub use llm_exchange::Dialect;

pub use self::{
    back::{Back, StreamTranslator},
    error::NotTranslated,
    forth::{ANTHROPIC_VERSION, Asked, Translated, translates},
    future::TranslateFuture,
    layer::TranslateLayer,
    service::Translate,
    translated_answer::TranslatedAnswer,
    translation::Translation,
};
