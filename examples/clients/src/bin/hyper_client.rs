//! Every layer on hyper-util's client, outermost first, and three calls through it.

use std::{io::Write, time::Duration};

use breaker_layer::BreakerLayer;
use budget_layer::{BudgetLayer, Limit, MemoryStore};
use bytes::Bytes;
use cache_layer::CacheLayer;
use cost_layer::{CostLayer, Prices};
use fake_provider::{Behaviour, Failure, FakeProvider, Hint, Script};
use fallback_layer::{Chain, FallbackLayer};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use llm_exchange::{BoxError, User};
use retry_layer::RetryLayer;
use sse_layer::{SseLayer, StreamTimeoutLayer};
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = FakeProvider::start().await?;
    let throttled = Script::new().throttle(1, Hint::RetryAfterMs(300)).then_ok();
    provider.on("gpt-6-luna", throttled);
    provider.on("gpt-6-sol", Behaviour::fails(Failure::overloaded()));

    let cost = CostLayer::new(Prices::builtin());
    let books = cost.handle();
    let budget =
        BudgetLayer::new(MemoryStore::new()).limit(Limit::per_user().daily().tokens(20_000));
    let budgets = budget.handle();
    let retry = RetryLayer::new().max_retries(3);
    let client = ServiceBuilder::new()
        .layer(SseLayer::new().keep_alive(Duration::from_secs(15)))
        .layer(cost)
        .layer(CacheLayer::new().ttl(Duration::from_secs(3600)))
        .layer(budget)
        .layer(FallbackLayer::new(
            Chain::of("gpt-6-sol").then("gpt-6.1-terra"),
        )?)
        .layer(retry.deadline(Duration::from_secs(60)))
        .layer(BreakerLayer::new().failures(5)?)
        .layer(StreamTimeoutLayer::new().first_content(Duration::from_secs(60)))
        .service(Client::builder(TokioExecutor::new()).build_http());

    for (what, model, more) in [
        ("throttled", "gpt-6-luna", r#","temperature":0"#),
        ("the same", "gpt-6-luna", r#","temperature":0"#),
        ("overloaded", "gpt-6-sol", r#","stream":true"#),
    ] {
        let request = ask(
            &format!("{}/v1/chat/completions", provider.url()),
            model,
            more,
        )?;
        let response = client.clone().oneshot(request).await?;
        for name in ["x-llm-attempts", "x-llm-cache", "x-llm-model"] {
            if let Some(value) = response.headers().get(name) {
                print!("{name}: {}  ", value.to_str()?);
            }
        }
        println!("({what})");
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                std::io::stdout().write_all(&data)?;
            }
        }
        println!();
    }

    for day in books.daily(books.today()).await? {
        println!("{}: {} calls, {}", day.key, day.requests, day.cost);
    }
    let alice = budgets.account("user-day-tokens", "alice").await?;
    println!("alice: {:?} left", alice.remaining);
    Ok(())
}

fn ask(url: &str, model: &str, more: &str) -> Result<Request<Full<Bytes>>, BoxError> {
    let messages = r#"[{"role":"user","content":"Which fruit is sour?"}]"#;
    let body = format!(r#"{{"model":"{model}","messages":{messages}{more}}}"#);
    let mut request = Request::post(url)
        .header("content-type", "application/json")
        .body(Full::from(body))?;
    // after the app's own authentication
    request.extensions_mut().insert(User::new("alice"));
    Ok(request)
}
