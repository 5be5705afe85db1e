//! An app's own word on what an answer means: its server answers 418 while it loads a model, which no
//! standard calls a reason to come back.

use std::time::Duration;

use fake_provider::{Failure, FakeProvider, Script};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use llm_exchange::{BoxError, Classify, Peeked, Standard, Verdict};
use retry_layer::{Backoff, RetryLayer};
use tower::{Layer, ServiceExt};

#[derive(Clone, Copy)]
struct Loading;

impl<E: 'static> Classify<E> for Loading {
    fn error(&self, error: &E) -> Verdict {
        Standard.error(error)
    }

    fn answer(&self, peeked: &Peeked) -> Verdict {
        let is_loading = peeked.status() == StatusCode::IM_A_TEAPOT
            || peeked.error().and_then(|error| error.code()) == Some("model_loading");
        if is_loading {
            Verdict::Overloaded
        } else {
            // whatever the house's rules say
            peeked.verdict()
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = FakeProvider::start().await?;
    let loading = Failure::status(418);
    provider.on("llama3", Script::new().fail(1, loading).then_ok());

    // every layer that judges answers takes one: breaker and fallback too
    let retry = RetryLayer::new()
        .classify(Loading)
        .backoff(Backoff::new().initial(Duration::from_millis(100)));
    let client = retry.layer(Client::builder(TokioExecutor::new()).build_http());
    let request = Request::post(format!("{}/v1/chat/completions", provider.url()))
        .header("content-type", "application/json")
        .body(Full::from(
            r#"{"model":"llama3","messages":[{"role":"user","content":"Hello"}]}"#,
        ))?;
    let response = client.oneshot(request).await?;
    let sent = response.headers()["x-llm-attempts"].to_str()?.to_owned();
    let body = response.into_body().collect().await?.to_bytes();
    println!("sent {sent} times: {}", String::from_utf8_lossy(&body));
    Ok(())
}
