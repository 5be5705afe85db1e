//! A call of OpenAI's API that Anthropic's serves.
//!
//! ```sh
//! cargo run -p fake-provider        # in another terminal
//! cargo run -p llm-translate --example one_layer
//! ```

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use llm_translate::TranslateLayer;
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls the server, and tells what came.
pub async fn call(server: &str) -> Result<String, BoxError> {
    let translate = TranslateLayer::to_anthropic().model_for("gpt-4o", "claude-sonnet-4-5");
    let client = translate.layer(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::post(format!("{server}/v1/chat/completions"))
        .header("content-type", "application/json")
        .body(Full::from(
            r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}],"store":false}"#,
        ))?;
    let response = client.oneshot(request).await?;
    let left_out = response.headers()["x-llm-left-out"].to_str()?.to_owned();
    let body = response.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body);
    Ok(format!("without {left_out}: {body}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{}", call("http://127.0.0.1:9001").await?);
    Ok(())
}
