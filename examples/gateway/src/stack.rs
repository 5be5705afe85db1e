//! The layers between the door and the client, in the order of the house.

use axum::body::Body;
use breaker_layer::BreakerLayer;
use bytes::Bytes;
use cache_layer::{CacheLayer, MemoryStore, PromptCacheLayer, RedisStore, Tiered};
use cost_layer::CostLayer;
use http::{Request, Response};
use llm_exchange::{BoxError, Payload};
use retry_layer::RetryLayer;
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    budgets::Budgets,
    config::{Fallback, SseConfig},
    upstream::Upstream,
};

/// A call whose provider is chosen, through the layers.
pub(crate) type Stack = BoxCloneSyncService<Request<Payload>, Response<Body>, BoxError>;

/// The cache of answers, with its store.
#[derive(Clone, Debug)]
pub(crate) enum Answers {
    InMemory(CacheLayer),
    InRedis(CacheLayer<RedisStore>),
    Tiered(CacheLayer<Tiered<MemoryStore, RedisStore>>),
}

/// The layers that keep something over calls: they stay while the gateway runs.
#[derive(Debug)]
pub(crate) struct Layers {
    pub(crate) sse: Option<SseConfig>,
    pub(crate) cost: Option<CostLayer>,
    pub(crate) answers: Option<Answers>,
    pub(crate) budgets: Option<Budgets>,
    pub(crate) retry: Option<RetryLayer>,
    pub(crate) breaker: Option<BreakerLayer>,
    pub(crate) prompts: Option<PromptCacheLayer>,
    pub(crate) client: Upstream,
}

impl Layers {
    /// Puts the configured layers around the client, the innermost first:
    ///
    /// ```text
    /// caller → sse → cost → cache → budget → fallback → retry → breaker → clocks of one attempt → prompt cache → client
    /// ```
    pub(crate) fn stack(&self, fallback: Option<&Fallback>) -> Stack {
        let mut stack = self.client.clone();
        stack = with(self.prompts.as_ref(), stack);
        stack = with(self.sse.as_ref().map(|sse| &sse.innermost), stack);
        stack = with(self.breaker.as_ref(), stack);
        stack = with(self.retry.as_ref(), stack);
        stack = with(fallback, stack);
        stack = match &self.budgets {
            None => stack,
            Some(Budgets::InMemory(layer)) => with(Some(layer), stack),
            Some(Budgets::InRedis(layer)) => with(Some(layer), stack),
        };
        stack = match &self.answers {
            None => stack,
            Some(Answers::InMemory(layer)) => with(Some(layer), stack),
            Some(Answers::InRedis(layer)) => with(Some(layer), stack),
            Some(Answers::Tiered(layer)) => with(Some(layer), stack),
        };
        stack = with(self.cost.as_ref(), stack);
        with(self.sse.as_ref().map(|sse| &sse.outermost), stack)
    }
}

/// A layer around the stack so far, unless it is off.
///
/// Its types are hidden, so that any layer may be absent. That costs a box for each call and each
/// answer; an app that knows its layers writes them out and pays nothing.
fn with<L, R>(layer: Option<&L>, inner: Stack) -> Stack
where
    L: Layer<Stack>,
    L::Service: Service<Request<Payload>, Response = Response<R>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    <L::Service as Service<Request<Payload>>>::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    match layer {
        Some(layer) => BoxCloneSyncService::new(
            layer
                .layer(inner)
                .map_response(|response| response.map(Body::new)),
        ),
        None => inner,
    }
}
