//! The layers, and the client beneath them. The order is that of ARCHITECTURE.md.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use llm_exchange::{BoxError, Payload};
use retry_layer::RetryLayer;
use tower::{ServiceBuilder, util::BoxCloneSyncService};

/// Calls to providers, through whatever layers are on.
pub(crate) type Stack = BoxCloneSyncService<Request<Payload>, Response<Body>, BoxError>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_CONNECTION: Duration = Duration::from_secs(90);

pub(crate) fn stack(retry: Option<RetryLayer>) -> Stack {
    let client = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .map_err(BoxError::from)
        .service(client());
    match retry {
        Some(retry) => BoxCloneSyncService::new(
            ServiceBuilder::new()
                .map_response(|response: Response<_>| response.map(Body::new))
                .layer(retry)
                .service(client),
        ),
        None => BoxCloneSyncService::new(client),
    }
}

fn client() -> Client<hyper_rustls::HttpsConnector<HttpConnector>, Payload> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION)
        .build(https)
}
