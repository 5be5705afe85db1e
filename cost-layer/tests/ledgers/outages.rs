//! A server that goes away while calls are booked.

use std::time::Duration;

use cost_layer::{By, CostHandle, CostLayer, Ledger, PostgresLedger, Query, Span};
use http_body_util::{BodyExt, Full};
use testkit::{Answer, Script, TestServer};
use tokio::time::Instant;
use tokio_postgres::NoTls;
use tower::{Layer, ServiceExt};

const BODY: &str = r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}]}"#;
const ANSWER: &str = r#"{"model":"gpt-6-sol","choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;

async fn calls(layer: &CostLayer, many: usize) {
    for _ in 0..many {
        let script = Script::new().then(Answer::json(200, ANSWER));
        let request = http::Request::post("https://api.openai.com/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Full::from(BODY))
            .unwrap();
        let response = layer.layer(script).oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
}

/// Until the ledger takes what waits.
async fn taken(handle: &CostHandle) {
    let start = Instant::now();
    while let Err(error) = handle.flush().await {
        assert!(!error.is_permanent(), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(60), "{error:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What waits, and what was lost.
fn standing(handle: &CostHandle) -> (u64, u64) {
    (handle.stats().waiting, handle.stats().lost)
}

async fn requests(ledger: &PostgresLedger) -> u64 {
    let sums = ledger.spend(&Query::new(Span::all(), By::Total)).await;
    sums.unwrap()[0].requests
}

async fn tell(url: &str, statements: &[&str]) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    for statement in statements {
        client.batch_execute(statement).await.unwrap();
    }
}

#[tokio::test]
async fn records_wait_for_a_server_that_is_killed_read_only_or_without_its_tables_and_each_is_kept_once()
 {
    let Some(server) = TestServer::postgres() else {
        return;
    };
    let ledger = PostgresLedger::connect(server.url()).await.unwrap();
    let layer = CostLayer::default().ledger(ledger.clone());
    let handle = layer.handle();
    calls(&layer, 10).await;
    taken(&handle).await;

    server.kill();
    calls(&layer, 150).await;
    assert!(!handle.flush().await.unwrap_err().is_permanent());
    assert_eq!(standing(&handle), (150, 0));
    server.start_again();
    taken(&handle).await;
    assert_eq!((requests(&ledger).await, standing(&handle)), (160, (0, 0)));

    // as a standby is, until it is promoted; its connections end with that
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let read_only =
        |on: &str| format!("ALTER DATABASE postgres SET default_transaction_read_only = {on}");
    let writable = "SET default_transaction_read_only = off";
    tell(server.url(), &[writable, &read_only("on"), others]).await;
    calls(&layer, 10).await;
    let error = handle.flush().await.unwrap_err();
    assert!(!error.is_permanent(), "{error:?}");
    assert_eq!(standing(&handle), (10, 0));
    tell(server.url(), &[writable, &read_only("off"), others]).await;
    taken(&handle).await;
    assert_eq!((requests(&ledger).await, standing(&handle)), (170, (0, 0)));

    // while somebody restores a table
    let away = "ALTER TABLE cost_entries RENAME TO elsewhere";
    tell(server.url(), &[away]).await;
    calls(&layer, 10).await;
    let error = handle.flush().await.unwrap_err();
    assert!(!error.is_permanent(), "{error:?}");
    tell(
        server.url(),
        &["ALTER TABLE elsewhere RENAME TO cost_entries"],
    )
    .await;
    taken(&handle).await;
    assert_eq!((requests(&ledger).await, standing(&handle)), (180, (0, 0)));

    // a record that the tables can't take is lost alone, and counted
    let rule = "ALTER TABLE cost_entries ADD CONSTRAINT no CHECK (status <> 200) NOT VALID";
    tell(server.url(), &[rule]).await;
    calls(&layer, 3).await;
    handle.flush().await.unwrap();
    assert_eq!((requests(&ledger).await, standing(&handle)), (180, (0, 3)));
}
