//! Killed in the middle of ten thousand calls, the books lack at most what was not yet written.

#![allow(clippy::unwrap_used, reason = "a test that fails is to stop")]
#![cfg(all(unix, feature = "sqlite"))]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use cost_layer::{By, CostLayer, Ledger, Order, Page, Prices, Query, Span, SqliteLedger};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use llm_exchange::{BoxError, Payload};
use tower::{Layer, ServiceExt, service_fn};

const CALLS: u32 = 10_000;
const KILLED_AFTER: u32 = 5_000;
/// One batch that is being written, and the next that is collected meanwhile.
const MOST_LOST: u64 = 2 * 100;

const REQUEST: &str = r#"{"model":"gpt-6-sol","messages":[]}"#;
const ANSWER: &str = r#"{"model":"gpt-6-sol","choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;

#[test]
fn killed_in_the_middle_of_ten_thousand_calls_at_most_the_last_batches_are_lost() {
    let path = env::temp_dir().join(format!("cost-layer-killed-{}.db", std::process::id()));
    let mut child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "the_process_that_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env("COST_LAYER_KILLED", &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut booked = 0;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut read = |lines: &mut dyn Iterator<Item = std::io::Result<String>>| {
        let line = lines.next()?.ok()?;
        let number = line
            .strip_prefix("booked ")
            .and_then(|number| number.parse::<u32>().ok());
        booked = number.unwrap_or(booked);
        Some(booked)
    };
    while read(&mut lines).expect("the process still runs") < KILLED_AFTER {}
    // SIGKILL
    child.kill().unwrap();
    while read(&mut lines).is_some() {}
    child.wait().unwrap();
    assert!((KILLED_AFTER..CALLS).contains(&booked), "{booked}");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ledger = SqliteLedger::open(&path).unwrap();
        let total = &ledger
            .spend(&Query::new(Span::all(), By::Total))
            .await
            .unwrap()[0];
        let lost = u64::from(booked).saturating_sub(total.requests);
        assert!(lost <= MOST_LOST, "{lost} of {booked} are lost");
        // what is there is whole
        assert_eq!(
            total.cost.picos(),
            u128::from(total.requests) * 3_000_000_000
        );
        let all = ledger
            .entries(&Page::new(Span::all(), Order::Oldest).most(20_000))
            .await
            .unwrap();
        assert_eq!(all.len() as u64, total.requests);
        let mut ids: Vec<_> = all.iter().map(|entry| entry.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
    });
    let check = rusqlite::Connection::open(&path).unwrap();
    let verdict: String = check
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    drop(check);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

/// Calls that take two milliseconds, two at a time: what a busy process does.
#[test]
#[ignore = "it is run by the test above, to be killed"]
fn the_process_that_is_killed() {
    let Some(path) = env::var_os("COST_LAYER_KILLED") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let layer = CostLayer::new(Prices::builtin())
            .no_alerts()
            .ledger(SqliteLedger::open(path).unwrap());
        let provider = service_fn(|_: Request<Payload>| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let response = Response::builder().header("content-type", "application/json");
            Ok::<_, BoxError>(response.body(Full::<Bytes>::from(ANSWER)).unwrap())
        });
        let service = layer.layer(provider);
        for number in 1..=CALLS / 2 {
            let call = || async {
                let request = Request::post("https://api.openai.com/v1/chat/completions");
                let request = request.body(Full::from(REQUEST)).unwrap();
                let response = service.clone().oneshot(request).await.unwrap();
                response.into_body().collect().await.unwrap();
            };
            tokio::join!(call(), call());
            println!("booked {}", number * 2);
            std::io::stdout().flush().unwrap();
        }
    });
}
