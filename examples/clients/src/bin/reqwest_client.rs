//! `retry-layer` on a reqwest client: a streamed call that is throttled twice and then answered.

use std::{io::Write, time::Duration};

use clients::ReqwestService;
use fake_provider::{FakeProvider, Hint, Script};
use http::Request;
use http_body_util::{BodyExt, Full};
use llm_exchange::BoxError;
use retry_layer::RetryLayer;
use tower::{Layer, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = FakeProvider::start().await?;
    provider.on(
        "claude-sonnet-5-5",
        Script::new().throttle(2, Hint::RetryAfterMs(300)).then_ok(),
    );

    // the layer does the retrying
    let reqwest = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .build()?;
    let retry = RetryLayer::new()
        .max_retries(3)
        .deadline(Duration::from_secs(60));
    let client = retry.layer(ReqwestService(reqwest));

    let request = Request::post(format!("{}/v1/messages", provider.url()))
        .header("content-type", "application/json")
        .body(Full::from(
            r#"{"model":"claude-sonnet-5-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"Hello"}]}"#,
        ))?;
    let response = client.oneshot(request).await?;
    println!(
        "sent {} times",
        response.headers()["x-llm-attempts"].to_str()?
    );

    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            std::io::stdout().write_all(&data)?;
        }
    }
    Ok(())
}
