//! A model that is down: another one answers.
//!
//! ```sh
//! cargo run -p fake-provider        # in another terminal
//! cargo run -p fallback-layer --example one_layer
//! ```

use fallback_layer::{Chain, FallbackLayer, Served};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls the server, and tells what came.
pub async fn call(server: &str) -> Result<String, BoxError> {
    // the fake provider's models are what their names say
    let fallback = FallbackLayer::new(Chain::of("overloaded").then("gpt-4o-mini"))?;
    let client = fallback.layer(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::post(format!("{server}/v1/chat/completions"))
        .header("content-type", "application/json")
        .body(Full::from(
            r#"{"model":"overloaded","messages":[{"role":"user","content":"Hello"}]}"#,
        ))?;
    let response = client.oneshot(request).await?;
    let mut told = String::new();
    if let Some(served) = Served::of(&response) {
        for left in served.left() {
            told.push_str(&format!("{left}; "));
        }
        told.push_str(&format!("{} answers: ", served.by().unwrap_or("nobody")));
    }
    let body = response.into_body().collect().await?.to_bytes();
    Ok(told + &String::from_utf8_lossy(&body))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{}", call("http://127.0.0.1:9001").await?);
    Ok(())
}
