//! What a call allocates beyond the bare service: read, answered at once and booked.
//!
//! `cargo test -p cost-layer --features testkit/count-allocations --test allocations`
#![allow(clippy::unwrap_used, reason = "a test that fails is to stop")]

#[path = "../benches/common/mod.rs"]
mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Provider, answer_body, drain, layer, payload, request_body};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use llm_exchange::{AnswerBody, BoxError, Call, Meter, Payload};
use testkit::alloc::{Allocations, count};
use tower::{Layer, Service, service_fn};

/// A call to the end of its answer. Nothing waits, so that the task that writes does not run meanwhile.
fn drive<S, B>(service: &mut S, request: Request<Payload>) -> Allocations
where
    S: Service<Request<Payload>, Response = Response<B>, Error = BoxError>,
    B: http_body::Body + Unpin,
{
    count(|| {
        let response = service.call(request).now_or_never().unwrap().unwrap();
        drain(response.into_body()).now_or_never().unwrap()
    })
}

#[test]
fn a_call_that_is_booked_costs_a_bounded_number_of_allocations() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let body = request_body();
    let ask = || payload(&body).now_or_never().unwrap();
    let mut bare = Provider(answer_body());
    let mut costed = layer().layer(bare.clone());
    // the first calls make the model's series and baseline, and begin the task that writes
    for _ in 0..70 {
        drive(&mut costed, ask());
    }
    let with = drive(&mut costed, ask());
    let read = drive(&mut metered(bare.clone()), ask());
    let without = drive(&mut bare, ask());
    let reading = read.allocations - without.allocations;
    let booking = with.allocations - read.allocations;
    let bytes = with.bytes - without.bytes;
    println!("allocations: {reading} of the meter, {booking} of the record; {bytes} bytes in all");
    assert!(reading <= 12, "{reading}");
    // the names in a record are shared
    assert!(booking <= 10, "{booking}");
    // the request has 2 KB and the answer 1 KB: neither is copied
    assert!(bytes < 4_200, "{bytes}");
}

/// Reads the usage, and books nothing.
fn metered(
    mut inner: Provider,
) -> impl Service<Request<Payload>, Response = Response<AnswerBody<Full<Bytes>>>, Error = BoxError>
{
    service_fn(move |request: Request<Payload>| {
        let call = Arc::clone(Call::of(&request).unwrap());
        let answer = inner.call(request);
        async move { Ok(Meter::attach(answer.await?, &call).1) }
    })
}
