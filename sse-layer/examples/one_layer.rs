//! A stream that hangs after three words: a clock ends it, and its caller is told.
//!
//! ```sh
//! cargo run -p fake-provider        # in another terminal
//! cargo run -p sse-layer --example one_layer
//! ```

use std::time::Duration;

use futures_util::StreamExt;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sse_layer::{Dialect, StreamTimeoutLayer, client};
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls the server, and tells what came.
pub async fn call(server: &str) -> Result<String, BoxError> {
    let clocks = StreamTimeoutLayer::new()
        .first_content(Duration::from_secs(30))
        .idle(Duration::from_millis(500));
    let service = clocks.layer(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::post(format!("{server}/v1/chat/completions"))
        .header("content-type", "application/json")
        .header("x-fake", "stall-at=3")
        .body(Full::from(
            r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"one two three four five"}]}"#,
        ))?;
    let response = service.oneshot(request).await?;
    let mut told = String::new();
    let mut deltas = client::deltas(response, Dialect::OpenAiChat)?;
    while let Some(delta) = deltas.next().await {
        match delta {
            Ok(delta) => told.push_str(&delta.text),
            Err(error) => told.push_str(&format!(" … {error}")),
        }
    }
    Ok(told)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{}", call("http://127.0.0.1:9001").await?);
    Ok(())
}
