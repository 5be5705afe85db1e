//! A provider that is down, behind `[breaker]`.

use std::time::Duration;

use fake_provider::{Behaviour, Failure};
use http_body_util::BodyExt;

use crate::common::{CHAT, House, MESSAGES, SECOND, chat, house_with, streamed};

const BREAKER: &str =
    "[breaker]\nfailure_threshold = 5\nsuccess_threshold = 2\nopen_for = \"30s\"\n";

async fn statuses(house: &House, times: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(house.ask(CHAT, chat("m")).await.status.as_u16());
    }
    statuses
}

#[tokio::test(start_paused = true)]
async fn it_is_left_alone_after_five_failures_and_called_again_when_it_is_well() {
    let house = house_with("", BREAKER).await;
    house.fake.on("m", Behaviour::fails(Failure::status(500)));
    assert_eq!(statuses(&house, 5).await, [500; 5]);
    let refused = house.ask(CHAT, chat("m")).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["error"]["code"], "circuit_open");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((28..=33).contains(&seconds), "{seconds}");
    let mut body = chat("m");
    body["max_tokens"] = 9.into();
    let refused = house.ask(MESSAGES, body).await;
    assert_eq!(refused.json()["error"]["type"], "overloaded_error");
    assert_eq!(house.fake.log().len(), 5, "nothing was sent");
    // another model is another circuit
    assert_eq!(house.ask(CHAT, chat("n")).await.status, 200);

    house.fake.on("m", Behaviour::ok());
    tokio::time::sleep(SECOND * 34).await;
    assert_eq!(statuses(&house, 10).await, [200; 10]);
}

#[tokio::test(start_paused = true)]
async fn streams_that_die_after_their_200_count() {
    let house = house_with("", BREAKER).await;
    house.fake.on("m", Behaviour::ok().break_at(2));
    for _ in 0..5 {
        let response = house.send(house.post(CHAT, streamed("m"))).await;
        assert_eq!(response.status(), 200);
        assert!(response.into_body().collect().await.is_err());
    }
    assert_eq!(house.ask(CHAT, streamed("m")).await.status, 503);
    assert_eq!(house.fake.log().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn retries_end_where_the_breaker_refuses() {
    let section = format!("{BREAKER}[retry]\nmax_retries = 9\ninitial_delay = \"1s\"\n");
    let house = house_with("", &section).await;
    house.fake.on("m", Behaviour::fails(Failure::status(500)));
    let answer = house.ask(CHAT, chat("m")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["code"], "circuit_open");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(house.fake.log().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_not_reached_counts() {
    let house = house_with("", BREAKER).await;
    house.fake.on("m", Behaviour::closes());
    assert_eq!(statuses(&house, 6).await, [502, 502, 502, 502, 502, 503]);
    tokio::time::sleep(Duration::from_secs(34)).await;
    assert_eq!(statuses(&house, 2).await, [502, 503]);
}
