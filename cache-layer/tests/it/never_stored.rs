//! What is never stored, whatever the mode.

use llm_exchange::{AskedModel, Call, Host, Meter, Payload};

use crate::common::*;

/// Makes the call twice against the same answers, and says how often it was made.
async fn calls(body: &str, answer: impl Fn() -> Answer + Send + 'static) -> usize {
    let script = Script::new().then_always(answer);
    let layer = layer().all();
    for _ in 0..2 {
        let response = {
            use tower::{Layer, ServiceExt};
            layer.layer(script.clone()).oneshot(post(body)).await
        };
        use http_body_util::BodyExt;
        let _ = response.unwrap().into_body().collect().await;
    }
    assert_eq!(
        layer.handle().size().entries,
        if script.calls() == 1 { 1 } else { 0 }
    );
    script.calls()
}

fn finished(reason: &str) -> String {
    ANSWER.replace("\"stop\"", &format!("\"{reason}\""))
}

#[tokio::test(start_paused = true)]
async fn errors_of_every_kind() {
    for status in [400, 401, 404, 408, 429, 500, 503, 529] {
        let answer = move || Answer::json(status, RATE_LIMITED);
        assert_eq!(calls(CHAT, answer).await, 2, "{status}");
    }
    // inside of a 200
    assert_eq!(calls(CHAT, || Answer::json(200, RATE_LIMITED)).await, 2);
    let late = ANSWER.replace(
        "\"usage\"",
        "\"error\":{\"message\":\"m\",\"code\":502},\"usage\"",
    );
    assert_eq!(
        calls(CHAT, move || Answer::json(200, late.clone())).await,
        2
    );
    let event = "data: {\"error\":{\"message\":\"oops\",\"type\":\"server_error\"}}\n\n";
    assert_eq!(calls(STREAMED, move || Answer::sse([event])).await, 2);
    assert_eq!(
        calls(STREAMED, move || Answer::sse([ROLE, HEL, event, DONE])).await,
        2
    );
    assert_eq!(
        calls(STREAMED, move || Answer::sse([
            ROLE, HEL, STOP, event, DONE
        ]))
        .await,
        2
    );
}

#[tokio::test(start_paused = true)]
async fn what_did_not_come_to_its_end() {
    assert_eq!(calls(STREAMED, || Answer::sse([ROLE, HEL, LO])).await, 2);
    assert_eq!(
        calls(STREAMED, || Answer::sse([ROLE, HEL, LO, STOP])).await,
        2
    );
    assert_eq!(
        calls(STREAMED, || Answer::sse([ROLE, HEL, LO, DONE])).await,
        2
    );
    let broken = || Answer::stream(ScriptedBody::chunks([ROLE, HEL, LO, STOP]).error("reset"));
    assert_eq!(calls(STREAMED, broken).await, 2);
    let half = &ANSWER[..ANSWER.len() / 2];
    assert_eq!(calls(CHAT, move || Answer::json(200, half)).await, 2);
    assert_eq!(calls(CHAT, || Answer::json(200, "")).await, 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_filtered_refused_or_ended_who_knows_why() {
    for reason in [
        "length",
        "content_filter",
        "error",
        "insufficient_system_resource",
        "new",
    ] {
        let answer = finished(reason);
        assert_eq!(
            calls(CHAT, move || Answer::json(200, answer.clone())).await,
            2,
            "{reason}"
        );
    }
    let cut = STOP.replace("\"stop\"", "\"length\"");
    assert_eq!(
        calls(STREAMED, move || Answer::sse(
            [ROLE, HEL, &*cut.clone(), DONE].map(str::to_owned)
        ))
        .await,
        2
    );
    let refused = ANSWER.replace("\"refusal\":null", "\"refusal\":\"I can't help with that\"");
    assert_eq!(
        calls(CHAT, move || Answer::json(200, refused.clone())).await,
        2
    );
    // a tool call is an answer
    let tool = finished("tool_calls");
    assert_eq!(
        calls(CHAT, move || Answer::json(200, tool.clone())).await,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_another_model() {
    for (model, times) in [
        ("gpt-6-sol", 1),
        ("gpt-6-sol-2026-11-01", 1),
        ("gpt-6-sol-mini", 2),
        ("gpt-6-luna", 2),
        ("claude-sonnet-5-5", 2),
    ] {
        let answer = ANSWER.replace("gpt-6-sol-2026-09-01", model);
        assert_eq!(
            calls(CHAT, move || Answer::json(200, answer.clone())).await,
            times,
            "{model}"
        );
    }
}

/// How many answers are kept of what a service answers that was asked of `model`, and names none.
async fn kept_unnamed(model: &'static str, streams: bool, goes_on: bool) -> usize {
    let inner = tower::service_fn(move |request: http::Request<Payload>| async move {
        let call = Call::of(&request).unwrap();
        let unnamed = |text: &str| text.replace("\"model\":\"gpt-6-sol-2026-09-01\",", "");
        let answer = if streams {
            Answer::sse([ROLE, HEL, LO, STOP, USAGE, DONE].map(unnamed))
        } else {
            Answer::json(200, unnamed(ANSWER))
        };
        let there = {
            use tower::ServiceExt;
            Script::new().then(answer).oneshot(post(CHAT)).await?
        };
        let another = {
            let body = CHAT.replace("gpt-6-sol", model);
            let request = Payload::read(post(&body), 1 << 20).await;
            Call::of(&request).unwrap().clone()
        };
        let (meter, response) = Meter::anew(there, if goes_on { call } else { &another });
        if goes_on {
            meter.goes_on(None);
            meter.goes_on(Some(&another));
        }
        Ok::<_, BoxError>(response)
    });
    use http_body_util::BodyExt;
    use tower::{Layer, ServiceExt};
    let layer = layer();
    let body = if streams { STREAMED } else { CHAT };
    let response = layer.layer(inner).oneshot(post(body)).await.unwrap();
    response.into_body().collect().await.unwrap();
    layer.handle().size().entries as usize
}

#[tokio::test(start_paused = true)]
async fn a_fallbacks_answer_that_names_no_model() {
    for (streams, goes_on) in [(false, false), (true, false), (true, true)] {
        assert_eq!(kept_unnamed("gpt-6-sol", streams, goes_on).await, 1);
        assert_eq!(kept_unnamed("gpt-6-luna", streams, goes_on).await, 0);
    }
}

/// How a layer further in tells that it sent the call elsewhere.
#[derive(Clone, Copy, Debug)]
enum Tells {
    /// By a meter of the answer.
    Meter,
    /// By the meter of a stream that began where it was asked and went on there.
    GoesOn,
    /// By what it says of an answer that it made another of.
    Asked,
}

/// What is kept of the answer of a layer that sends the call to this host, where the model of that name
/// answers.
async fn kept_from(host: &'static str, tells: Tells, body: &'static str) -> (u64, u64) {
    let inner = tower::service_fn(move |mut request: http::Request<Payload>| async move {
        use tower::ServiceExt;
        let asked = Call::of(&request).unwrap().clone();
        let host: Host = host.parse().unwrap();
        Call::redirect(&mut request, &host).unwrap();
        let sent = Call::of(&request).unwrap().clone();
        let answer = if asked.is_stream() {
            streamed()
        } else {
            answered()
        };
        let there = Script::new().then(answer).oneshot(post(CHAT)).await?;
        let (meter, mut response) = match tells {
            Tells::Meter => Meter::anew(there, &sent),
            Tells::GoesOn | Tells::Asked => Meter::anew(there, &asked),
        };
        match tells {
            Tells::Meter => {}
            Tells::GoesOn => {
                meter.goes_on(None);
                meter.goes_on(Some(&sent));
            }
            Tells::Asked => {
                response.extensions_mut().remove::<Meter>();
                let asked = AskedModel::of(&sent).unwrap();
                response.extensions_mut().insert(asked);
            }
        }
        Ok::<_, BoxError>(response)
    });
    use http_body_util::BodyExt;
    use tower::{Layer, ServiceExt};
    let layer = layer();
    let response = layer.layer(inner).oneshot(post(body)).await.unwrap();
    response.into_body().collect().await.unwrap();
    kept(&layer.handle())
}

#[tokio::test(start_paused = true)]
async fn a_fallbacks_answer_from_another_host_although_its_model_has_the_same_name() {
    for (tells, body) in [
        (Tells::Meter, CHAT),
        (Tells::Meter, STREAMED),
        (Tells::GoesOn, STREAMED),
        (Tells::Asked, CHAT),
        (Tells::Asked, STREAMED),
    ] {
        // the host that is asked
        let there = kept_from("https://API.example/v1", tells, body).await;
        assert_eq!(there, (1, 0), "{tells:?} {body}");
        for host in ["https://api.other", "https://api.example:8443"] {
            let elsewhere = kept_from(host, tells, body).await;
            assert_eq!(elsewhere, (0, 1), "{host} {tells:?} {body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_another_form_than_asked_or_in_none_that_is_read() {
    assert_eq!(calls(STREAMED, || Answer::json(200, ANSWER)).await, 2);
    assert_eq!(calls(CHAT, streamed).await, 2);
    let packed = || Answer::json(200, "\u{1f}packed").header("content-encoding", "gzip");
    assert_eq!(calls(CHAT, packed).await, 2);
    let page = || {
        Answer::status(200)
            .header("content-type", "text/html")
            .body(ScriptedBody::chunks(["<p>"]))
    };
    assert_eq!(calls(CHAT, page).await, 2);
}

#[tokio::test(start_paused = true)]
async fn calls_that_go_on_from_what_the_provider_keeps() {
    for more in [
        r#""previous_response_id":"r""#,
        r#""conversation":"c""#,
        r#""container":"c""#,
        r#""background":true"#,
        r#""thread":{"id":"t"}"#,
        r#""prompt":{"id":"pmpt_1"}"#,
        r#""input":[{"type":"item_reference","id":"msg_1"}]"#,
        r#""previous\u005fresponse_id":"r""#,
    ] {
        let body = CHAT.replace("{\"model\"", &format!("{{{more},\"model\""));
        assert_eq!(calls(&body, answered).await, 2, "{more}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_for_which_the_provider_searches_is_no_deterministic_one() {
    let script = Script::new().then_always(answered);
    let body = CHAT.replace("{\"model\"", "{\"web_search_options\":{},\"model\"");
    let layer = layer();
    assert_eq!(ask(&layer, &script, post(&body)).await.cache(), "bypass");
    assert_eq!(
        ask(&layer, &script, controlled(&body, "max-age=9"))
            .await
            .cache(),
        "miss"
    );
}
