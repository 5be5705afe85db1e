//! One pattern on a server: an axum app of its own, whose users may spend so many tokens a day.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use budget_layer::{BudgetLayer, Limit, MemoryStore};
use fake_provider::FakeProvider;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use llm_exchange::{BoxError, User};

type Upstream = (Client<HttpConnector, Body>, String);

/// Sends the call on.
async fn proxy(State((client, url)): State<Upstream>, mut request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Ok(uri) = format!("{url}{path}").parse() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    match client.request(request).await {
        Ok(response) => response.into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// The app's own authentication says whose the call is.
async fn authenticate(mut request: Request, next: Next) -> Response {
    let key = request.headers().get(header::AUTHORIZATION);
    let user = match key.map(|key| key.as_bytes()) {
        Some(b"Bearer sk-alice") => User::new("alice"),
        Some(b"Bearer sk-bob") => User::new("bob"),
        _ => return StatusCode::UNAUTHORIZED.into_response(),
    };
    request.extensions_mut().insert(user);
    next.run(request).await
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = FakeProvider::start().await?;
    let budget = BudgetLayer::new(MemoryStore::new()).limit(Limit::per_user().daily().tokens(500));
    let budgets = budget.handle();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let app = Router::new()
        .fallback(proxy)
        .with_state((client, provider.url()))
        .layer(budget)
        // the last layer is the outermost
        .layer(from_fn(authenticate));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1/chat/completions", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });

    // alice asks until she is refused; bob has a budget of his own
    for user in ["alice", "alice", "alice", "alice", "bob"] {
        let answer = reqwest::Client::new()
            .post(&url)
            .bearer_auth(format!("sk-{user}"))
            .header("content-type", "application/json")
            .body(format!(
                r#"{{"model":"gpt-4o","max_tokens":300,"messages":[{{"role":"user","content":"{}"}}]}}"#,
                "Which fruit is sour? ".repeat(20)
            ))
            .send()
            .await?;
        let account = budgets.account("user-day-tokens", user).await?;
        println!(
            "{user}: {}, {} tokens left",
            answer.status(),
            account.remaining
        );
        answer.bytes().await?;
    }
    Ok(())
}
