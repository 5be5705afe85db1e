//! A user whose budget for the day is used up is told so, and the server is not called.
//!
//! ```sh
//! cargo run -p fake-provider        # in another terminal
//! cargo run -p budget-layer --example one_layer
//! ```

use budget_layer::{BudgetLayer, Limit, MemoryStore, User};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls the server until it may not, and tells what came.
pub async fn call(server: &str) -> Result<String, BoxError> {
    let budget = BudgetLayer::new(MemoryStore::new()).limit(Limit::per_user().daily().tokens(266));
    let budgets = budget.handle();
    let client = budget.layer(Client::builder(TokioExecutor::new()).build_http());

    let mut told = String::new();
    for _ in 0..3 {
        let mut request = Request::post(format!("{server}/v1/chat/completions"))
            .header("content-type", "application/json")
            .body(Full::from(
                r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}"#,
            ))?;
        // after the app's own authentication
        request.extensions_mut().insert(User::new("alice"));
        let response = client.clone().oneshot(request).await?;
        told.push_str(&format!("{} ", response.status().as_u16()));
        // a call is settled at the end of its body, or when that is dropped
        response.into_body().collect().await?;
    }
    let account = budgets.account("user-day-tokens", "alice").await?;
    Ok(format!("{told}{} left", account.remaining))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("{}", call("http://127.0.0.1:9001").await?);
    Ok(())
}
