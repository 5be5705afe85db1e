//! A ledger that is slow, away or wrong.

use std::time::Duration;

use cost_layer::Overflow;
use tower::{Layer, ServiceExt};

use crate::common::*;

async fn call(layer: &cost_layer::CostLayer, body: &str) {
    let script = Script::new().then(answered());
    text(layer.layer(script).oneshot(post(body)).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn records_are_written_in_batches_without_anybody_asking() {
    let ledger = Moody::default();
    let layer = layer().ledger(ledger.clone());
    for _ in 0..250 {
        call(&layer, OPENAI).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(layer.handle().stats().waiting, 0);
    let batches = ledger.batches();
    assert_eq!(batches.iter().sum::<usize>(), 250);
    assert!(batches.len() <= 5, "{batches:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_away_or_hangs_gets_its_records_when_it_is_back_each_once() {
    use Answers::{Away, Hangs, Lies};
    let ledger = Moody::default().is(&[Lies, Hangs, Away, Away]);
    let layer = layer().ledger(ledger);
    for _ in 0..30 {
        call(&layer, OPENAI).await;
    }
    tokio::time::sleep(SECOND * 120).await;
    let handle = layer.handle();
    assert_eq!((handle.stats().waiting, handle.stats().lost), (0, 0));
    assert_eq!(entries(&handle).await.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_refused_is_lost_alone_and_counted() {
    let layer = layer().ledger(Moody::default());
    for n in 0..20 {
        let model = if n == 7 { "refused" } else { "gpt-6-sol" };
        call(&layer, &OPENAI.replace("gpt-6-sol", model)).await;
    }
    let handle = layer.handle();
    handle.flush().await.unwrap();
    assert_eq!(handle.stats().lost, 1);
    assert_eq!(entries(&handle).await.len(), 19);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_loses_records_and_says_so_and_delays_no_call() {
    let ledger = Moody::default().is(&[Answers::Away; 99]);
    let layer = layer().ledger(ledger.clone()).queue(10);
    let handle = layer.handle();
    let mut alerts = handle.alerts();
    let start = tokio::time::Instant::now();
    for _ in 0..15 {
        call(&layer, OPENAI).await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!((handle.stats().waiting, handle.stats().lost), (10, 5));
    assert_eq!(alerts.next().await.unwrap().kind.as_str(), "records_lost");
    ledger.recover();
    assert_eq!(entries(&handle).await.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn by_choice_a_call_waits_for_a_place_before_it_is_sent_and_not_for_ever() {
    let ledger = Moody::default().is(&[Answers::Away; 9_999]);
    let layer = layer()
        .ledger(ledger.clone())
        .queue(2)
        .overflow(Overflow::Wait(SECOND * 5));
    let handle = layer.handle();
    let start = tokio::time::Instant::now();
    for _ in 0..3 {
        call(&layer, OPENAI).await;
    }
    // the third waited as long as it may, and its record found no room
    assert_eq!(start.elapsed(), SECOND * 5);
    assert_eq!((handle.stats().waiting, handle.stats().lost), (2, 1));
    // dropped while it waits, it was never sent
    let script = Script::new();
    let waiting = layer.layer(script.clone()).oneshot(post(OPENAI));
    tokio::time::timeout(SECOND, waiting).await.unwrap_err();
    assert_eq!((script.calls(), handle.stats().calls), (0, 3));
    ledger.recover();
    handle.flush().await.unwrap();
    let start = tokio::time::Instant::now();
    call(&layer, OPENAI).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(entries(&handle).await.len(), 3);
}
