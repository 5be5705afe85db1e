//! The layer and its peers around the same provider: three targets, of which the first one serves.

use std::convert::Infallible;

use bytes::Bytes;
use fallback_layer::{Chain, Fallback, FallbackLayer, Inner, Target};
use http::{Request, Response};
use http_body_util::Full;
use llm_exchange::Standard;
use tower::{Layer, Service, retry::Retry};

use crate::common::{AtOnce, ClonePolicy, PROVIDER};

pub fn ours() -> Fallback<AtOnce, Inner, Standard, ()> {
    let chain = Chain::of("gpt-6-sol").then("gpt-6-luna").then(
        Target::model("llama3")
            .at("http://127.0.0.1:11434")
            .without_credential(),
    );
    FallbackLayer::new(chain).unwrap().layer(PROVIDER)
}

pub fn tower_retry() -> Retry<ClonePolicy, AtOnce> {
    tower::retry::RetryLayer::new(ClonePolicy(5)).layer(PROVIDER)
}

type PeersRequest = Request<Full<Bytes>>;

pub fn peer() -> impl Service<PeersRequest, Error: std::fmt::Debug> {
    let backup = |request: PeersRequest| {
        let mut provider = PROVIDER;
        provider.call(request)
    };
    tower_resilience_fallback::FallbackLayer::<_, Response<Full<Bytes>>, Infallible>::builder()
        .service(backup)
        .handle_response(|response: &Response<Full<Bytes>>| response.status().is_server_error())
        .build()
        .layer(PROVIDER)
}
