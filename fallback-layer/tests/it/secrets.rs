//! No prompt, answer or credential is shown by anything of the layer.

use std::sync::{Arc, Mutex};

use crate::common::*;
use fallback_layer::{Chain, Chains, FallbackLayer, Served, Target};
use http::{HeaderName, HeaderValue};

const CANARY: &str = "canary";

#[tokio::test(start_paused = true)]
async fn debug_errors_and_hooks_show_no_secret() {
    let target = || {
        Target::model("b")
            .at("https://b.example")
            .credential(CANARY)
            .header(
                HeaderName::from_static("x-own"),
                HeaderValue::from_static(CANARY),
            )
            .parameter("user", CANARY)
    };
    let shown = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&shown);
    let chains = Chains::new().chain(Chain::of("a").then(target()));
    let show = |text: String| shown.lock().unwrap().push_str(&text);
    show(format!(
        "{:?}{:?}{chains:?}",
        target(),
        Chain::of("a").then(target())
    ));
    let twice = FallbackLayer::new(Chain::of("a").then(target()).then(target()));
    show(format!("{0}{0:?}", twice.unwrap_err()));
    let layer = FallbackLayer::new(chains)
        .unwrap()
        .on_fallback(move |leaving| log.lock().unwrap().push_str(&format!("{leaving:?}")));

    let error = format!(r#"{{"error":{{"message":"you said {CANARY}","code":"x"}}}}"#);
    let script = script().then_always(move || Answer::json(500, error.clone()));
    let text =
        format!(r#"{{"model":"a","user":"{CANARY}","messages":[{{"content":"{CANARY}"}}]}}"#);
    let mut request = post("https://api.example/v1/chat/completions?key=canary", &text);
    request
        .headers_mut()
        .insert("authorization", HeaderValue::from_static(CANARY));
    let service = layer.layer(script);
    show(format!("{service:?}"));
    let call = service.oneshot(request);
    let response = call.await.unwrap();
    show(format!("{layer:?}{:?}", layer.handle()));
    show(format!(
        "{:?}{:?}",
        Served::of(&response),
        response.headers()
    ));
    show(crate::common::text(response).await);
    let shown = shown.lock().unwrap();
    assert!(shown.contains("b.example") && shown.contains("failed (500)"));
    assert!(!shown.contains(CANARY), "{shown}");
}
