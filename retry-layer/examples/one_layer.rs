//! A call that is throttled twice and then answered: its caller sees the answer alone.
//!
//! ```sh
//! cargo run -p fake-provider        # in another terminal
//! cargo run -p retry-layer --example one_layer
//! ```

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use retry_layer::RetryLayer;
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls the server, and tells what came.
pub async fn call(server: &str) -> Result<String, BoxError> {
    let retry = RetryLayer::new()
        .max_retries(3)
        .deadline(Duration::from_secs(60));
    let client = retry.layer(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::post(format!("{server}/v1/chat/completions"))
        .header("content-type", "application/json")
        .body(Full::from(
            // the fake provider's models are what their names say
            r#"{"model":"throttled-2","messages":[{"role":"user","content":"Hello"}]}"#,
        ))?;
    let response = client.oneshot(request).await?;
    let sent = response.headers()["x-llm-attempts"].to_str()?.to_owned();
    let body = response.into_body().collect().await?.to_bytes();
    Ok(format!(
        "sent {sent} times: {}",
        String::from_utf8_lossy(&body)
    ))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{}", call("http://127.0.0.1:9001").await?);
    Ok(())
}
