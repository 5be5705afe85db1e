//! Calls through the layer, with their budget at a real server.

use budget_layer::{Amount, BudgetLayer, Guarded, Limit, RedisStore};
use http::Request;
use http_body_util::{BodyExt, Full};
use llm_exchange::User;
use testkit::{Answer, Script};
use tower::{Layer, ServiceExt};

use crate::server::Server;

const ANSWER: &str = r#"{"choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":50}}"#;

fn ask() -> Request<Full<bytes::Bytes>> {
    let body = r#"{"model":"m","max_tokens":400,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut request = Request::post("https://a/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap();
    request.extensions_mut().insert(User::new("alice"));
    request
}

/// Scripts that the server ran so far.
async fn scripts(server: &Server) -> usize {
    let stats: String = server.ask(&["INFO", "commandstats"]).await;
    let evals = stats
        .lines()
        .filter(|line| line.starts_with("cmdstat_eval"));
    let calls = |line: &str| -> Option<usize> {
        let calls = line.split("calls=").nth(1)?.split(',').next()?;
        calls.parse().ok()
    };
    evals.filter_map(calls).sum()
}

#[tokio::test]
async fn a_call_asks_the_server_once_before_and_tells_it_once_after() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let layer = || {
        let store = RedisStore::new(&server.address()).unwrap();
        BudgetLayer::new(Guarded::new(store))
            .limit(Limit::per_user().daily().tokens(1_500))
            .limit(Limit::per_user().monthly().tokens(100_000))
            .limit(Limit::for_all().hourly().tokens(100_000))
    };
    // two machines
    let (one, other) = (layer(), layer());
    let script = || Script::new().then_always(|| Answer::json(200, ANSWER));
    let call = async |layer: &BudgetLayer<Guarded<RedisStore>>| {
        let response = layer.layer(script()).oneshot(ask()).await.unwrap();
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        layer.handle().store().store().flush().await;
        status
    };
    // the scripts are known to the server from here on
    assert_eq!(call(&one).await, 200);
    let before = scripts(&server).await;
    for _ in 0..4 {
        assert_eq!(call(&other).await, 200);
        assert_eq!(call(&one).await, 200);
    }
    // of 150 left the least answer, and its prompt, does not fit
    assert_eq!(scripts(&server).await - before, 8 * 2);
    assert_eq!(call(&other).await, 429);
    for layer in [&one, &other] {
        let account = layer
            .handle()
            .account("user-day-tokens", "alice")
            .await
            .unwrap();
        assert_eq!(account.used, Amount::Tokens(9 * 150));
        assert_eq!(account.reserved, Amount::Tokens(0));
    }
}
