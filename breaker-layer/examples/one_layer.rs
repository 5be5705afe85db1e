//! A server that fails: after three calls it is not called any more.
//!
//! ```sh
//! cargo run -p fake-provider        # in another terminal
//! cargo run -p breaker-layer --example one_layer
//! ```

use breaker_layer::BreakerLayer;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls the server, and tells what came.
pub async fn call(server: &str) -> Result<String, BoxError> {
    let breaker = BreakerLayer::new().failures(3)?;
    let circuits = breaker.handle();
    let client = breaker.layer(Client::builder(TokioExecutor::new()).build_http());

    let mut told = String::new();
    for _ in 0..5 {
        let request = Request::post(format!("{server}/v1/chat/completions"))
            .header("content-type", "application/json")
            .header("x-fake", "fail")
            .body(Full::from(r#"{"model":"gpt-4o","messages":[]}"#))?;
        let response = client.clone().oneshot(request).await?;
        told.push_str(&format!("{} ", response.status().as_u16()));
        // a call is judged at the end of its body
        response.into_body().collect().await?;
    }
    for circuit in circuits.circuits() {
        told.push_str(&format!("{}: {:?}", circuit.key, circuit.state));
    }
    Ok(told)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{}", call("http://127.0.0.1:9001").await?);
    Ok(())
}
