//! The processor time that callers burn who wait for an equal call, beside tower-resilience-coalesce in the
//! same run.
//!
//! `cargo bench -p cache-layer --bench waiting`. It waits in real time and reads the thread's time from
//! Linux's `schedstat`.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "what is measured is real time")]

mod common;

use std::{convert::Infallible, fs, future::Future, time::Duration};

use bytes::Bytes;
use cache_layer::CacheLayer;
use common::{Provider, bare, full};
use futures_util::future::join_all;
use http::Request;
use http_body_util::BodyExt;
use llm_exchange::Payload;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_resilience_coalesce::CoalesceLayer;

const WAIT: Duration = Duration::from_millis(500);

/// How long this thread has run.
fn burnt() -> Duration {
    let line = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(line.split(' ').next().unwrap().parse().unwrap())
}

fn report<F: Future<Output = ()>>(name: &str, followers: usize, call: impl Fn() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    // the least of some runs, as others run beside it
    let least = (0..3).map(|_| {
        let before = burnt();
        runtime.block_on(join_all((0..=followers).map(|_| call())));
        burnt() - before
    });
    let least = least.min().unwrap();
    println!(
        "{name:<26} {followers:>4} followers of a call of {WAIT:?}: {least:?} of processor time"
    );
}

fn main() {
    for followers in [0, 1, 10, 100] {
        let service = CacheLayer::new().layer(service_fn(async |request: Request<Payload>| {
            tokio::time::sleep(WAIT).await;
            Provider(false).call(request).await
        }));
        let number = std::cell::Cell::new(0);
        report("cache-layer", followers, || {
            // each run is another call, of which all are equal
            let round = number.get() / (followers + 1);
            number.set(number.get() + 1);
            let mut request = full(false);
            let user = llm_exchange::User::new(round.to_string());
            request.extensions_mut().insert(user);
            let service = service.clone();
            async move {
                let response = service.oneshot(request).await.unwrap();
                response.into_body().collect().await.unwrap();
            }
        });
    }
    for followers in [0, 1, 10, 100] {
        let slow = service_fn(|_: Request<Bytes>| async {
            tokio::time::sleep(WAIT).await;
            Ok::<_, Infallible>(())
        });
        let service =
            CoalesceLayer::new(|request: &Request<Bytes>| request.body().clone()).layer(slow);
        report("tower-resilience-coalesce", followers, || {
            let service = service.clone();
            async move { service.oneshot(bare(false)).await.unwrap() }
        });
    }
}
