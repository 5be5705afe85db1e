//! Calls that go well in the end.

use fake_provider::{Behaviour, Failure, Hint, Outcome, Script};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::common::{Answer, CHAT, MESSAGES, SECOND, chat, house, house_with, start, streamed};

#[tokio::test]
async fn a_call_is_answered_in_each_dialect() {
    let house = house().await;
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "echo: one two three"
    );
    assert_eq!(answer.header("x-llm-attempts"), Some("1"));
    let mut body = chat("claude");
    body["max_tokens"] = 9.into();
    let answer = house.ask(MESSAGES, body).await;
    assert_eq!(answer.json()["content"][0]["text"], "echo: one two three");
}

#[tokio::test]
async fn the_body_reaches_the_provider_byte_for_byte() {
    let house = house().await;
    let body = "{ \"messages\" :[{\"content\":\"\\u00e9 \",\"role\":\"user\"}],\n\"model\":\"m\" ,\"x\":1e3}\n";
    house.ask(CHAT, body).await;
    assert_eq!(house.fake.log()[0].body, body);
}

#[tokio::test]
async fn events_arrive_while_the_answer_is_still_being_written() {
    for path in [CHAT, MESSAGES] {
        let house = house().await;
        house.fake.on("m", Behaviour::ok().stall_at(2));
        let response = house.send(house.post(path, streamed("m"))).await;
        assert_eq!(
            response.headers()["content-type"],
            "text/event-stream; charset=utf-8"
        );
        let mut body = response.into_body();
        let mut text = String::new();
        while !text.contains("one") {
            let frame = body.frame().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        assert_eq!(house.fake.log()[0].outcome, Outcome::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn each_event_arrives_when_it_was_written() {
    let house = house().await;
    house.fake.on("m", Behaviour::ok().delta_delay(SECOND));
    let start = Instant::now();
    let mut body = house
        .send(house.post(CHAT, streamed("m")))
        .await
        .into_body();
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        if String::from_utf8_lossy(&data).contains("\"content\":\"t") {
            seen.push(start.elapsed().as_secs());
        }
    }
    assert_eq!(seen, [2, 3]);
}

#[tokio::test]
async fn a_stream_is_passed_byte_for_byte() {
    let house = house().await;
    for model in ["m", "m+crlf+segment-3", "m+ping-1", "m+reasoning-2", "tool"] {
        let direct = house.fake.url();
        let through = house.ask(CHAT, streamed(model)).await;
        let mut request = house.post(CHAT, streamed(model));
        *request.uri_mut() = format!("{direct}{CHAT}").parse().unwrap();
        let direct = Answer::of(house.send(request).await).await;
        // the ids are numbered
        let plain = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        assert_eq!(plain(&through.text), plain(&direct.text), "{model}");
        assert!(through.text.contains("[DONE]"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_throttled_twice_is_answered() {
    let house = house().await;
    house
        .fake
        .on("m", Script::new().throttle(2, Hint::RetryAfter("7".into())));
    let start = Instant::now();
    let answer = house.ask(CHAT, chat("m")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-llm-attempts"), Some("3"));
    assert!(start.elapsed() >= 14 * SECOND);
    assert_eq!(house.fake.log().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_first_event_is_an_error_is_sent_again_unseen() {
    for path in [CHAT, MESSAGES] {
        let house = house().await;
        let script = Script::new()
            .times(1, Behaviour::ok().error_at(0))
            .then_ok();
        house.fake.on("m", script);
        let answer = house.ask(path, streamed("m")).await;
        assert!(!answer.text.contains("\"error\""), "{}", answer.text);
        assert!(answer.text.contains("three"));
        assert_eq!(house.fake.log().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_closes_connections_is_asked_again() {
    let house = house().await;
    house
        .fake
        .on("m", Script::new().times(2, Behaviour::closes()).then_ok());
    assert_eq!(house.ask(CHAT, chat("m")).await.status, 200);
    assert_eq!(house.fake.log().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn when_nothing_helps_the_sdk_is_told_not_to_try_in_its_turn() {
    let house = house_with("", "[retry]\nmax_retries = 1").await;
    house.fake.on_any(Behaviour::fails(Failure::status(500)));
    let answer = house.ask(CHAT, chat("m")).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    house.fake.on_any(Behaviour::closes());
    let answer = house.ask(MESSAGES, streamed("m")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["type"], "error");
    assert_eq!(
        answer.json()["error"]["details"]["error_code"],
        "upstream_failed"
    );
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(house.fake.log().len(), 4);
}

#[tokio::test]
async fn without_a_retry_section_nothing_is_sent_again() {
    let house = house_with("", "").await;
    house
        .fake
        .on("m", Script::new().throttle(1, Hint::RetryAfterMs(1)));
    let answer = house.ask(CHAT, chat("m")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after-ms"), Some("1"));
    assert_eq!(answer.header("x-llm-attempts"), None);
    assert_eq!(answer.header("x-should-retry"), None);
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_named_but_its_address_is_not() {
    let mut house = house_with("", "").await;
    // a port that was free a moment ago
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    house.gateway = start(&format!(
        "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"down\"\nbase_url = \"http://{nobody}\""
    ))
    .await;
    let answer = house.ask(CHAT, chat("m")).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["error"]["code"], "upstream_unreachable");
    assert!(answer.text.contains("down"));
    assert!(!answer.text.contains(&nobody.port().to_string()));
    assert_eq!(answer.header("x-should-retry"), None);
}
