//! `GET /cache`: what the caches know and what they saved. `DELETE /cache` removes answers: of one key, model
//! or user, or all.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use cache_layer::{
    CacheHandle, Key, MemoryStore, NotRemoved, PromptCacheHandle, RedisStore, Store, Tiered,
};
use http::StatusCode;
use llm_exchange::User;
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
    Tiered(CacheHandle<Tiered<MemoryStore, RedisStore>>),
}

/// Which answers to remove.
enum What {
    Key(Key),
    Model(String),
    User(User),
    All,
}

pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(admin.caches.json())
}

type Done = Result<Json<Value>, (StatusCode, Json<Value>)>;

pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Done {
    let fault = |status, message: &str| Err((status, Json(json!({"error": {"message": message}}))));
    let Some(answers) = &admin.caches.answers else {
        return fault(StatusCode::NOT_FOUND, "there is no [cache]");
    };
    let what = query.ok().and_then(|Query(query)| What::read(&query));
    let Some(what) = what else {
        let message =
            "it takes one of key (as x-llm-cache-key tells it), model and user, or nothing";
        return fault(StatusCode::BAD_REQUEST, message);
    };
    let removed = match answers {
        AnswersHandle::InMemory(handle) => what.remove_from(handle).await,
        AnswersHandle::InRedis(handle) => what.remove_from(handle).await,
        AnswersHandle::Tiered(handle) => what.remove_from(handle).await,
    };
    if let Err(error) = removed {
        return fault(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
    }
    tracing::warn!(
        what = what.as_str(),
        "answers were removed from the cache by hand"
    );
    Ok(Json(admin.caches.json()))
}

impl What {
    /// `None`: it asks for something else, or for several things. A misspelt name must not empty the cache.
    fn read(query: &[(String, String)]) -> Option<Self> {
        let (name, value) = match query {
            [] => return Some(Self::All),
            [(name, value)] => (name, value),
            _ => return None,
        };
        Some(match (&**name, &**value) {
            (_, "") => return None,
            ("key", key) => Self::Key(key.parse().ok()?),
            ("model", model) => Self::Model(model.to_owned()),
            ("user", user) => Self::User(User::new(user)),
            _ => return None,
        })
    }

    const fn as_str(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Model(_) => "model",
            Self::User(_) => "user",
            Self::All => "all",
        }
    }

    async fn remove_from<St: Store>(&self, answers: &CacheHandle<St>) -> Result<(), NotRemoved> {
        match self {
            Self::Key(key) => answers.remove(*key).await,
            Self::Model(model) => answers.remove_model(model).await,
            Self::User(user) => answers.remove_user(user).await,
            Self::All => answers.remove_all().await,
        }
    }
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
            Answers::Tiered(layer) => Self::Tiered(layer.handle()),
        }
    }

    fn json(&self) -> Value {
        let (stats, size, under_way) = match self {
            Self::InMemory(handle) => (handle.stats(), Some(handle.size()), handle.under_way()),
            // what all gateways keep there is not asked for at every look
            Self::InRedis(handle) => (handle.stats(), None, handle.under_way()),
            Self::Tiered(handle) => (handle.stats(), Some(handle.size()), handle.under_way()),
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
