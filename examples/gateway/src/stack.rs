//! The layers between the door and the client, in the order of the house.

use axum::body::Body;
use bytes::Bytes;
use cache_layer::{CacheLayer, RedisStore};
use http::{Request, Response};
use llm_exchange::{BoxError, Payload};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use tower_service::Service;

use crate::{budgets::Budgets, config::Config, upstream::Upstream};

/// A call whose provider is chosen, through the layers.
pub(crate) type Stack = BoxCloneSyncService<Request<Payload>, Response<Body>, BoxError>;

/// The cache of answers, with its store.
pub(crate) enum Answers {
    InMemory(CacheLayer),
    InRedis(CacheLayer<RedisStore>),
}

/// Puts the configured layers around the client, the innermost first:
///
/// ```text
/// caller → sse → cost → cache → budget → fallback → retry → breaker → clocks of one attempt → prompt cache → client
/// ```
pub(crate) fn build(
    config: &Config,
    answers: Option<&Answers>,
    budgets: Option<&Budgets>,
    client: Upstream,
) -> Stack {
    let mut stack = client;
    let cache = config.cache.as_ref();
    stack = with(cache.and_then(|cache| cache.prompts.as_ref()), stack);
    stack = with(config.sse.as_ref().map(|sse| &sse.innermost), stack);
    stack = with(config.breaker.as_ref(), stack);
    stack = with(config.retry.as_ref(), stack);
    stack = with(config.fallback.as_ref(), stack);
    stack = match budgets {
        None => stack,
        Some(Budgets::InMemory(layer)) => with(Some(layer), stack),
        Some(Budgets::InRedis(layer)) => with(Some(layer), stack),
    };
    stack = match answers {
        None => stack,
        Some(Answers::InMemory(layer)) => with(Some(layer), stack),
        Some(Answers::InRedis(layer)) => with(Some(layer), stack),
    };
    stack = with(config.cost.as_ref().map(|cost| &cost.layer), stack);
    stack = with(config.sse.as_ref().map(|sse| &sse.outermost), stack);
    stack
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
