//! The layers between the door and the client, in the order of the house.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use llm_exchange::{BoxError, Payload};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use tower_service::Service;

use crate::{config::Config, upstream::Upstream};

/// A call whose provider is chosen, through the layers.
pub(crate) type Stack = BoxCloneSyncService<Request<Payload>, Response<Body>, BoxError>;

/// Puts the configured layers around the client, the innermost first:
///
/// ```text
/// caller → retry → client
/// ```
pub(crate) fn build(config: &Config, client: Upstream) -> Stack {
    let stack = client;
    match &config.retry {
        Some(layer) => boxed(layer.layer(stack)),
        None => stack,
    }
}

/// Hides the types of a layer, so that any of them may be absent. It costs a box for each call and
/// each answer; an app that knows its layers writes them out and pays nothing.
fn boxed<S, R>(service: S) -> Stack
where
    S: Service<Request<Payload>, Response = Response<R>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new)))
}
