//! `retry-layer` on hyper-util's client: a streamed call that is throttled twice and then answered.

use std::{io::Write, time::Duration};

use fake_provider::{FakeProvider, Hint, Script};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use llm_exchange::BoxError;
use retry_layer::RetryLayer;
use tower::{Layer, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = FakeProvider::start().await?;
    provider.on(
        "gpt-6-sol",
        Script::new().throttle(2, Hint::RetryAfterMs(300)).then_ok(),
    );

    let retry = RetryLayer::new()
        .max_retries(3)
        .deadline(Duration::from_secs(60));
    let client = retry.layer(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::post(format!("{}/v1/chat/completions", provider.url()))
        .header("content-type", "application/json")
        .body(Full::from(
            r#"{"model":"gpt-6-sol","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#,
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
