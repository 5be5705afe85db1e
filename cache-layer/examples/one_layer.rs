//! The same call twice: the second time nothing is sent.
//!
//! ```sh
//! cargo run -p fake-provider        # in another terminal
//! cargo run -p cache-layer --example one_layer
//! ```

use std::time::Duration;

use cache_layer::CacheLayer;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls the server, and tells what came.
pub async fn call(server: &str) -> Result<String, BoxError> {
    let cache = CacheLayer::new().ttl(Duration::from_secs(3600));
    let handle = cache.handle();
    let client = cache.layer(Client::builder(TokioExecutor::new()).build_http());

    let mut told = String::new();
    for _ in 0..2 {
        let request = Request::post(format!("{server}/v1/chat/completions"))
            .header("content-type", "application/json")
            // answers are kept apart by who asks
            .header("authorization", "Bearer any")
            .body(Full::from(
                r#"{"model":"gpt-4o","temperature":0,"messages":[{"role":"user","content":"Hello"}]}"#,
            ))?;
        let response = client.clone().oneshot(request).await?;
        told.push_str(response.headers()["x-llm-cache"].to_str()?);
        told.push_str(", ");
        // what was read to its end is kept
        response.into_body().collect().await?;
    }
    Ok(format!("{told}hit rate {}", handle.stats().hit_rate()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{}", call("http://127.0.0.1:9001").await?);
    Ok(())
}
