//! gRPC: a throttled call is a 200 that has nothing but trailers.

use http::Request;
use http_body_util::Full;
use llm_exchange::Refusal;

use crate::common::*;

fn generate() -> Request<Full<bytes::Bytes>> {
    let method = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
    let model = b"models/gemini-3.8-flash";
    let length = model.len() as u8;
    let message = [&[0, 0, 0, 0, length + 2, 0x0a, length], &model[..]].concat();
    Request::post(format!("https://api.example{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::from(message))
        .unwrap()
}

fn status(code: &str) -> Answer {
    Answer::status(200)
        .header("content-type", "application/grpc")
        .header("grpc-status", code)
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_holds_the_next_back_for_what_its_details_or_the_pushback_say() {
    // RetryInfo of 2.5 s
    let details = "CAgSDlF1b3RhIGV4Y2VlZGVkGjYKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SCgoICAIQgMq17gE";
    for (first, wait) in [
        (
            status("8").header("grpc-status-details-bin", details),
            SECOND * 5 / 2,
        ),
        (
            status("8").header("grpc-retry-pushback-ms", "250"),
            SECOND / 4,
        ),
        (status("8"), AT_ONCE),
        (
            status("13").header("grpc-retry-pushback-ms", "250"),
            AT_ONCE,
        ),
        (status("0"), AT_ONCE),
    ] {
        let script = Script::new().then(first).then_always(|| status("0"));
        let service = service(&ProviderQuotaLayer::new(), &script);
        call(&service, generate()).await;
        assert_eq!(call(&service, generate()).await, (200, wait));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_gets_resource_exhausted_as_trailers_alone() {
    let script = Script::new().then(status("8").header("grpc-retry-pushback-ms", "60000"));
    let service = service(&ProviderQuotaLayer::new(), &script);
    call(&service, generate()).await;
    let response = send(&service, generate()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "grpc-status"), Some("8"));
    assert_eq!(header(&response, "grpc-retry-pushback-ms"), Some("60000"));
    assert!(Refusal::of(&response).is_some());
    assert_eq!(script.calls(), 1);
}
