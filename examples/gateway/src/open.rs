//! What keeps its state elsewhere, opened: the ledger, the store of the cache.

use std::sync::Arc;

use cache_layer::{InvalidRedis, MemoryStore, PromptCacheLayer, RedisStore, Tiered};
use cost_layer::{CostLayer, LedgerError, PostgresLedger, SqliteLedger};

use crate::{
    board::Board,
    config::{CacheConfig, CostConfig, LedgerConfig, Server, StoreConfig},
    stack::Answers,
};

/// The cost layer with its ledger; its alerts are on the board.
pub(crate) async fn ledger(
    config: Option<&CostConfig>,
    board: &Arc<Board>,
) -> Result<Option<CostLayer>, LedgerError> {
    let Some(CostConfig { layer, ledger, .. }) = config else {
        return Ok(None);
    };
    let layer = layer.clone();
    let layer = match ledger {
        LedgerConfig::Memory => layer,
        LedgerConfig::Sqlite(path) => layer.ledger(SqliteLedger::open(path)?),
        LedgerConfig::Postgres(url) => layer.ledger(PostgresLedger::connect(url).await?),
    };
    let board = Arc::clone(board);
    let layer = layer.on_alert(move |alert| board.alert(alert));
    // what alerts know of the past is no reason not to serve
    if let Err(error) = layer.handle().seed_alerts().await {
        tracing::warn!(%error, "alerts begin at zero");
    }
    Ok(Some(layer))
}

#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) answers: Option<Answers>,
    pub(crate) prompts: Option<PromptCacheLayer>,
}

/// The cache with its store; where calls are priced, it tells what was saved.
pub(crate) fn caches(
    config: Option<CacheConfig>,
    cost: Option<&CostLayer>,
) -> Result<Opened, InvalidRedis> {
    let Some(CacheConfig {
        mut layer,
        store,
        mut prompts,
    }) = config
    else {
        return Ok(Opened::default());
    };
    if let Some(cost) = cost {
        layer = layer.priced_by(cost.pricing());
        prompts = prompts.map(|prompts| prompts.priced_by(cost.pricing()));
    }
    let answers = match store {
        StoreConfig::Memory => Answers::InMemory(layer),
        StoreConfig::Redis(server) => Answers::InRedis(layer.store(redis(&server)?)),
        StoreConfig::Tiered(bytes, server) => {
            let near = MemoryStore::new(bytes);
            Answers::Tiered(layer.store(Tiered::new(near, redis(&server)?)))
        }
    };
    Ok(Opened {
        answers: Some(answers),
        prompts,
    })
}

fn redis(server: &Server) -> Result<RedisStore, InvalidRedis> {
    RedisStore::new(&server.url, server.secret.as_bytes())
}
