//! The layer as a tower service.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use llm_exchange::Payload;
use testkit::Probe;
use tower::{Layer, Service, ServiceExt};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_polled_ready_makes_the_call_also_after_a_wait() {
    let script = Script::new().then(throttled(1_000)).then_always(answered);
    let inner = Probe::new(script).pending(2);
    let handle = inner.handle();
    let service = ProviderQuotaLayer::new().layer(inner);
    service.clone().oneshot(chat()).await.unwrap();
    service.clone().oneshot(chat()).await.unwrap();
    let read = Payload::read(chat(), 1 << 20).await;
    service.clone().oneshot(read).await.unwrap();
    let get = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    service.oneshot(get).await.unwrap();
    assert_eq!(
        (handle.grants(), handle.calls(), handle.unused()),
        (4, 4, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_twice_serves() {
    let script = Script::new().then(throttled(1_000)).then_always(answered);
    let inner = Probe::new(script).ready_times(2);
    let service = ProviderQuotaLayer::new().layer(inner);
    service.clone().oneshot(chat()).await.unwrap();
    let response = service.oneshot(chat()).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_or_of_the_call_is_the_inner_services_own() {
    let failing = Probe::new(Script::new()).fail_ready("not ready");
    let mut service = ProviderQuotaLayer::new().layer(failing);
    let error = ServiceExt::<Request<Payload>>::ready(&mut service)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "not ready");
    let script = Script::new().then(Answer::error("refused"));
    let service = ProviderQuotaLayer::new().layer(script);
    let error = service.oneshot(chat()).await.unwrap_err();
    assert_eq!(error.to_string(), "refused");
}

#[test]
fn what_is_public_is_send_sync_and_unpin_where_the_inner_service_is() {
    use budget_layer::quota::*;
    fn all<T: Send + Sync + Unpin + 'static>() {}
    fn send<T: Send>() {}
    all::<ProviderQuotaLayer>();
    all::<ProviderQuota<Script>>();
    all::<QuotaHandle>();
    all::<Held>();
    send::<QuotaFuture<Script, ScriptedBody>>();
    fn is_service<S: Service<Request<Payload>>>() {}
    is_service::<ProviderQuota<Script>>();
}
