//! `GET /cache`: what the caches know and what they saved.

use std::sync::Arc;

use axum::{Json, extract::State};
use cache_layer::{CacheHandle, MemoryStore, PromptCacheHandle, RedisStore};
use serde_json::{Value, json};

use super::Admin;
use crate::{
    board::{dollars, in_millis},
    stack::Answers,
};

/// The handles of the caches that are there.
#[derive(Default)]
pub(crate) struct Caches {
    pub(crate) answers: Option<AnswersHandle>,
    pub(crate) prompts: Option<PromptCacheHandle>,
}

pub(crate) enum AnswersHandle {
    InMemory(CacheHandle<MemoryStore>),
    InRedis(CacheHandle<RedisStore>),
}

pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(admin.caches.json())
}

impl Caches {
    pub(super) fn json(&self) -> Value {
        json!({
            "answers": self.answers.as_ref().map(AnswersHandle::json),
            "prompts": self.prompts.as_ref().map(prompts),
        })
    }
}

impl AnswersHandle {
    pub(crate) fn of(answers: &Answers) -> Self {
        match answers {
            Answers::InMemory(layer) => Self::InMemory(layer.handle()),
            Answers::InRedis(layer) => Self::InRedis(layer.handle()),
        }
    }

    fn json(&self) -> Value {
        let (stats, size, under_way) = match self {
            Self::InMemory(handle) => (handle.stats(), Some(handle.size()), handle.under_way()),
            // what all gateways keep there is not asked for at every look
            Self::InRedis(handle) => (handle.stats(), None, handle.under_way()),
        };
        json!({
            "hits": stats.hits,
            "stale": stats.stale,
            "coalesced": stats.coalesced,
            "misses": stats.misses,
            "bypassed": stats.bypassed,
            "hit_rate": stats.hit_rate(),
            "kept": stats.kept,
            "not_kept": stats.not_kept,
            "tokens_saved": stats.tokens_saved,
            "time_saved_ms": in_millis(stats.time_saved),
            "saved_usd": dollars(stats.money_saved),
            "entries": size.map(|size| size.entries),
            "bytes": size.map(|size| size.bytes),
            "under_way": under_way,
        })
    }
}

fn prompts(handle: &PromptCacheHandle) -> Value {
    let stats = handle.stats();
    json!({
        "marked": stats.marked,
        "calls": stats.calls,
        "cached_tokens": stats.cached,
        "written_tokens": stats.written,
        "cost_usd": dollars(stats.cost),
        "cost_without_usd": dollars(stats.cost_without),
        "prefixes": handle.prefixes().len(),
    })
}
