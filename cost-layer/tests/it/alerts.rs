//! Alerts reach the hook and the listeners.

use std::sync::{Arc, Mutex};

use llm_exchange::Money;
use tower::{Layer, ServiceExt};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn an_alert_reaches_the_hook_and_every_listener_once_a_window() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&heard);
    let layer = layer()
        .no_alerts()
        .alert_request("0.001".parse().unwrap())
        .on_alert(move |alert| hook.lock().unwrap().push(alert.kind.as_str()));
    let handle = layer.handle();
    let mut alerts = handle.alerts();
    let script = Script::new().then_always(answered);
    for _ in 0..5 {
        text(
            layer
                .layer(script.clone())
                .oneshot(post(OPENAI))
                .await
                .unwrap(),
        )
        .await;
    }
    // without a further call
    let alert = alerts.next().await.unwrap();
    assert_eq!(*heard.lock().unwrap(), ["expensive_request"]);
    assert_eq!(alert.kind.to_string(), "a call of gpt-6-sol cost $0.003");
    tokio::time::advance(SECOND * 61).await;
    text(layer.layer(script).oneshot(post(OPENAI)).await.unwrap()).await;
    assert_eq!(alerts.next().await.unwrap().held_back, 4);
    drop((layer, handle));
    assert_eq!(alerts.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_hour_over_its_limit_is_told() {
    let layer = layer().no_alerts().alert_hour(Money::from_picos(4 * COST));
    let handle = layer.handle();
    let mut alerts = handle.alerts();
    let script = Script::new().then_always(answered);
    for _ in 0..5 {
        text(
            layer
                .layer(script.clone())
                .oneshot(post(OPENAI))
                .await
                .unwrap(),
        )
        .await;
    }
    let told = alerts.next().await.unwrap().kind;
    assert_eq!(
        told.to_string(),
        "the last hour cost $0.015, more than $0.012"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_harms_neither_the_call_nor_who_else_listens() {
    let layer = layer()
        .no_alerts()
        .alert_request("0.001".parse().unwrap())
        .on_alert(|_| panic!("on purpose"));
    let handle = layer.handle();
    let mut alerts = handle.alerts();
    let script = Script::new().then_always(answered);
    for _ in 0..2 {
        let call = layer.layer(script.clone()).oneshot(post(OPENAI));
        text(call.await.unwrap()).await;
        handle.flush().await.unwrap();
        let told = alerts.next().await.unwrap().kind;
        assert_eq!(told.as_str(), "expensive_request");
        tokio::time::advance(SECOND * 61).await;
    }
    assert_eq!(entries(&handle).await.len(), 2);
}
