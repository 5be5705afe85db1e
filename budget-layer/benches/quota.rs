//! What the provider-quota layer adds to a call that succeeds at once.
//!
//! `cargo bench -p budget-layer --bench quota`. Requests are made outside of the measured part. By the least of many
//! short runs in turn.
#![allow(missing_docs, clippy::unwrap_used)]
// short runs are measured by the machine's own time
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use budget_layer::quota::ProviderQuotaLayer;
use futures_util::FutureExt;
use http::Request;
use llm_exchange::Payload;
use testkit::shaped::{AtOnce, call, drive};
use tower::{Layer, Service};

const CALLS: usize = 500;

fn payload() -> Request<Payload> {
    Payload::read(call(), Payload::DEFAULT_MAX_BYTES)
        .now_or_never()
        .unwrap()
}

fn run<S, B>(service: &mut S) -> Duration
where
    S: Service<Request<Payload>, Response = http::Response<B>>,
    B: http_body::Body + Unpin,
{
    let requests: Vec<_> = (0..CALLS).map(|_| payload()).collect();
    let start = Instant::now();
    for request in requests {
        drive(service, request);
    }
    start.elapsed()
}

fn main() {
    let mut bare = AtOnce(200);
    let mut quota = ProviderQuotaLayer::new().layer(AtOnce(200));
    let (mut least_bare, mut least_quota) = (Duration::MAX, Duration::MAX);
    for _ in 0..2_000 {
        least_bare = least_bare.min(run(&mut bare));
        least_quota = least_quota.min(run(&mut quota));
    }
    let each = |time: Duration| time / CALLS as u32;
    println!("bare: {:?} a call", each(least_bare));
    println!("with the provider's quota: {:?} a call", each(least_quota));
}
