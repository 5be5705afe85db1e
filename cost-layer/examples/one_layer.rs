//! What a streamed call cost, though its caller never asked for the usage.
//!
//! ```sh
//! cargo run -p fake-provider        # in another terminal
//! cargo run -p cost-layer --example one_layer
//! ```

use cost_layer::{CostLayer, Prices};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls the server, and tells what came.
pub async fn call(server: &str) -> Result<String, BoxError> {
    let cost = CostLayer::new(Prices::builtin());
    let books = cost.handle();
    let client = cost.layer(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::post(format!("{server}/v1/chat/completions"))
        .header("content-type", "application/json")
        .body(Full::from(
            r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#,
        ))?;
    let response = client.oneshot(request).await?;
    // a call is booked at the end of its body, or when that is dropped
    response.into_body().collect().await?;

    let mut told = String::new();
    for model in books.daily(books.today()).await? {
        told.push_str(&format!("{}: {}, ", model.key, model.cost));
        told.push_str(&format!("{} tokens", model.output_tokens));
    }
    Ok(told)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{}", call("http://127.0.0.1:9001").await?);
    Ok(())
}
