//! The provider enforces too: what the request's cap becomes.

use budget_layer::{BudgetLayer, Limit};
use llm_exchange::{Call, Payload};
use serde_json::json;

use crate::common::*;

async fn sent_by(layer: &BudgetLayer, uri: &str, body: &str) -> serde_json::Value {
    let script = Script::new().then(answered()).collect_bodies();
    let response = layer.layer(script.clone()).oneshot(post(uri, body)).await;
    assert_eq!(response.unwrap().status(), 200, "{uri}");
    let seen = script.seen();
    let length = seen[0].headers["content-length"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(length, seen[0].body.as_ref().unwrap().len().to_string());
    sent(&script)
}

#[tokio::test(start_paused = true)]
async fn without_a_cap_what_is_reserved_is_sent_as_the_cap_in_every_dialect() {
    let layer = daily(100_000);
    let chat = format!("{{\"model\":\"m\",{PROMPT}}}");
    let gemini = r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#;
    for (uri, body, pointer) in [
        (
            "https://a/v1/chat/completions",
            &*chat,
            "/max_completion_tokens",
        ),
        (
            "https://a.mistral.ai/v1/chat/completions",
            &*chat,
            "/max_tokens",
        ),
        (
            "https://a/v1/responses",
            r#"{"model":"m","input":"hi"}"#,
            "/max_output_tokens",
        ),
        (
            "https://a/v1beta/models/g:generateContent",
            gemini,
            "/generationConfig/maxOutputTokens",
        ),
        (
            "https://a/api/chat",
            &format!("{{\"model\":\"m\",\"stream\":false,{PROMPT}}}"),
            "/options/num_predict",
        ),
        (
            "https://a/model/x/converse",
            r#"{"messages":[]}"#,
            "/inferenceConfig/maxTokens",
        ),
    ] {
        let sent = sent_by(&layer, uri, body).await;
        assert_eq!(sent.pointer(pointer), Some(&json!(4_096)), "{uri}: {sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_cap_that_fits_is_sent_as_it_is_and_one_that_does_not_is_lowered() {
    let chat = "https://a/v1/chat/completions";
    let capped = |cap: u64| format!("{{\"model\":\"m\",\"max_tokens\":{cap},{PROMPT}}}");
    let sent = sent_by(&daily(2_000), chat, &capped(1_000)).await;
    assert_eq!(sent["max_tokens"], 1_000);
    assert!(sent.get("max_completion_tokens").is_none());
    let sent = sent_by(&daily(2_000), chat, &capped(64_000)).await;
    let lowered = sent["max_tokens"].as_u64().unwrap();
    // of 1,991 that are left for it; a share is of 65,536 parts
    assert!((1_990..=1_991).contains(&lowered), "{lowered}");
    // each choice may have as many
    let body = format!("{{\"model\":\"m\",\"n\":4,\"max_tokens\":64000,{PROMPT}}}");
    let sent = sent_by(&daily(2_000), chat, &body).await;
    let lowered = sent["max_tokens"].as_u64().unwrap();
    assert!((490..=497).contains(&lowered), "{lowered}");

    let sent = sent_by(
        &daily(2_000),
        "https://a/v1/messages",
        &format!("{{\"model\":\"m\",\"max_tokens\":64000,{PROMPT}}}"),
    )
    .await;
    assert!(sent["max_tokens"].as_u64().unwrap() <= 1_991);
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_for_a_lowered_cap_is_never_more_than_is_left() {
    for left in [300, 1_001, 4_095, 60_000] {
        let layer = daily(left);
        let script = Script::new().then(Answer::hang());
        let call = layer.layer(script).oneshot(chat(r#""max_tokens":64000,"#));
        tokio::pin!(call);
        assert!(is_pending(call.as_mut()).await);
        let (_, reserved) = alice(&layer.handle()).await;
        assert!(
            reserved <= left && reserved + 2 >= left.min(64_009),
            "{left}: {reserved}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_that_no_answer_has_overflow_nothing() {
    let layer = BudgetLayer::default()
        .limit(Limit::per_user().daily().money(llm_exchange::Money::usd(1)))
        .limit(Limit::per_request().tokens(5_000))
        .priced_by(prices);
    let script = Script::new().then_always(answered).collect_bodies();
    for fields in [
        r#""max_tokens":18446744073709551615,"#,
        r#""max_tokens":1125899906842624,"n":1,"#,
    ] {
        let response = layer
            .layer(script.clone())
            .oneshot(chat(fields))
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{fields}");
        text(response).await;
        assert!(sent(&script)["max_tokens"].as_u64().unwrap() <= 4_991);
    }
    let many = chat(r#""max_tokens":18446744073709551615,"n":4294967295,"#);
    assert_eq!(ask(&layer, answered(), many).await, 413);
}

#[tokio::test(start_paused = true)]
async fn less_than_the_least_answer_is_refused_but_not_a_call_that_asks_for_less() {
    let layer = daily(200);
    assert_eq!(ask(&layer, answered(), chat("")).await, 429);
    assert_eq!(
        ask(&layer, answered(), chat(r#""max_tokens":300,"#)).await,
        429
    );
    assert_eq!(
        ask(&layer, answered(), chat(r#""max_tokens":50,"#)).await,
        200
    );
    let layer = daily(200).least_output(100);
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_where_the_provider_is_not_to_enforce() {
    let layer = daily(2_000).enforce_at_provider(false);
    let script = Script::new().then_always(answered).collect_bodies();
    let exact = format!("{{\"model\":\"m\",\"max_tokens\":1000,{PROMPT}}}");
    let request = post("https://a/v1/chat/completions", &exact);
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    text(response).await;
    assert_eq!(script.seen()[0].body.as_ref().unwrap(), &exact);
    // it can't be lowered, so it is all or nothing
    assert_eq!(
        ask(&layer, answered(), chat(r#""max_tokens":64000,"#)).await,
        429
    );
    assert_eq!(
        ask(&layer, answered(), chat("")).await,
        429,
        "4,096 for an answer without a cap"
    );
}

#[tokio::test(start_paused = true)]
async fn a_signed_request_is_not_changed() {
    let layer = daily(9_000);
    let script = Script::new().then(answered()).collect_bodies();
    let mut request = chat("");
    let signature = "AWS4-HMAC-SHA256 Credential=x".parse().unwrap();
    request.headers_mut().insert("authorization", signature);
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    assert_eq!(alice(&layer.handle()).await.1, INPUT + 4_096);
    text(response).await;
    assert!(sent(&script).get("max_completion_tokens").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_given_a_cap_only_where_the_layer_is_strict() {
    let script = Script::new().then_always(streamed).collect_bodies();
    let service = daily(9_000).layer(script.clone());
    text(service.oneshot(stream()).await.unwrap()).await;
    assert!(sent(&script).get("max_completion_tokens").is_none());
    let service = daily(9_000).strict().layer(script.clone());
    text(service.oneshot(stream()).await.unwrap()).await;
    assert_eq!(sent(&script)["max_completion_tokens"], 4_096);
}

#[tokio::test(start_paused = true)]
async fn four_times_the_usual_answer_is_reserved_once_that_is_known() {
    let layer = daily(10_000_000);
    let long = || {
        Answer::json(
            200,
            r#"{"model":"m","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":16,"completion_tokens":3000}}"#,
        )
    };
    for _ in 0..20 {
        ask(&layer, long(), chat("")).await;
    }
    let body = format!("{{\"model\":\"m\",{PROMPT}}}");
    let sent = sent_by(&layer, "https://a/v1/chat/completions", &body).await;
    let cap = sent["max_completion_tokens"].as_u64().unwrap();
    assert!((12_000..=15_000).contains(&cap), "{cap}");
    // of other models nothing is known
    let other = format!("{{\"model\":\"other\",{PROMPT}}}");
    let sent = sent_by(&layer, "https://a/v1/chat/completions", &other).await;
    assert_eq!(sent["max_completion_tokens"], 4_096);
}

#[tokio::test(start_paused = true)]
async fn embeddings_reserve_for_their_prompt_alone() {
    let layer = daily(100);
    let script = Script::new().then(Answer::hang()).collect_bodies();
    let body = r#"{"model":"e","input":"some text to be embedded"}"#;
    let call = layer
        .layer(script.clone())
        .oneshot(post("https://a/v1/embeddings", body));
    tokio::pin!(call);
    assert!(is_pending(call.as_mut()).await);
    let (_, reserved) = alice(&layer.handle()).await;
    assert!((4..=8).contains(&reserved), "{reserved}");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_was_read_further_out_is_not_read_again() {
    let layer = BudgetLayer::default().limit(Limit::for_all().tokens(9_000));
    let request = Payload::read(chat(""), 1 << 20).await;
    let call = Call::of(&request).unwrap().clone();
    let script = Script::new().then(answered());
    let response = layer.layer(script).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(call.attempts().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_price_that_grows_unevenly_is_not_overspent_by_a_lowered_cap() {
    // $10 for a million tokens, and $1 beyond 2,000
    let flattening = |of: &llm_exchange::Purchase<'_>| {
        let output = of.usage.output();
        let picos = of.usage.input() + output + 9 * output.min(2_000);
        Some(llm_exchange::Money::from_picos(
            u128::from(picos) * 1_000_000,
        ))
    };
    let limit = Limit::per_user().daily().money("0.015009".parse().unwrap());
    let layer = BudgetLayer::default().limit(limit).priced_by(flattening);
    let script = Script::new().then(Answer::hang()).collect_bodies();
    let request = chat(r#""max_tokens":64000,"#);
    let mut call = Box::pin(layer.layer(script.clone()).oneshot(request));
    assert!(is_pending(call.as_mut()).await);
    let cap = sent(&script)["max_tokens"].as_u64().unwrap();
    // 1,500 tokens cost $0.015
    assert!((1_490..=1_500).contains(&cap), "{cap}");
    let uneven = BudgetLayer::default()
        .limit(Limit::per_user().daily().money("0.0004".parse().unwrap()))
        .priced_by(|of: &llm_exchange::Purchase<'_>| {
            // dear at first: a call costs $0.0003, whatever it is
            let picos = of.usage.total() * 10_000 + 300_000_000;
            Some(llm_exchange::Money::from_picos(picos.into()))
        });
    let script = Script::new().then(Answer::hang()).collect_bodies();
    let request = chat(r#""max_tokens":64000,"#);
    let mut call = Box::pin(uneven.layer(script.clone()).oneshot(request));
    assert!(is_pending(call.as_mut()).await);
    let cap = sent(&script)["max_tokens"].as_u64().unwrap();
    // $0.0001 are 10,000 tokens
    assert!((9_900..=9_991).contains(&cap), "{cap}");
}
