//! Pace, pings and framing of streams.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::{CHAT, MESSAGES, ask, chat, message, read_until, send, start, streamed};

#[tokio::test]
async fn a_delay_lies_between_the_deltas() {
    let fake = start().await;
    let began = Instant::now();
    ask(&fake, CHAT, "delta-delay-ms=10", &streamed(chat("gpt-4o"))).await;
    assert!(
        began.elapsed() >= Duration::from_millis(30),
        "three pauses between four words"
    );
}

#[tokio::test]
async fn thinking_takes_its_time_before_the_first_delta() {
    let fake = start().await;
    let body = streamed(chat("gpt-4o"));
    let began = Instant::now();
    let mut response = send(&fake, CHAT, "think-ms=40", &body).await.unwrap();
    read_until(&mut response, |text| text.contains("echo")).await;
    assert!(began.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_takes_as_long_before_its_head() {
    let fake = start().await;
    let began = Instant::now();
    let options = "think-ms=10,delta-delay-ms=5,head-delay-ms=5";
    send(&fake, CHAT, options, &chat("gpt-4o")).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(10 + 4 * 5 + 5));
}

#[tokio::test]
async fn pings_come_before_the_first_delta_and_after_each_so_many() {
    let fake = start().await;
    let text = ask(
        &fake,
        MESSAGES,
        "ping-every=2",
        &streamed(message("claude")),
    )
    .await
    .text;
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    let delta = "content_block_delta";
    assert_eq!(
        names[1..=7],
        [
            "content_block_start",
            "ping",
            delta,
            delta,
            "ping",
            delta,
            delta
        ]
    );
    let text = ask(&fake, CHAT, "ping-every=1", &streamed(chat("gpt-4o")))
        .await
        .text;
    assert_eq!(text.matches(": keep-alive\n\n").count(), 4);
}

#[tokio::test]
async fn pings_go_on_while_it_thinks() {
    let fake = start().await;
    let options = "think-ms=20,ping-ms=5";
    let text = ask(&fake, CHAT, options, &streamed(chat("gpt-4o")))
        .await
        .text;
    let (before, after) = text.split_once("echo").unwrap();
    assert!(
        before.find("\"role\"") < before.find(": keep-alive"),
        "it has opened by then"
    );
    assert_eq!(before.matches(": keep-alive").count(), 3);
    assert_eq!(after.matches(": keep-alive").count(), 0);
}

#[tokio::test]
async fn lines_end_as_asked() {
    let fake = start().await;
    let plain = ask(&fake, MESSAGES, "ping-every=2", &streamed(message("c"))).await;
    let crlf = ask(
        &fake,
        MESSAGES,
        "ping-every=2,crlf",
        &streamed(message("c")),
    )
    .await;
    let cr = ask(&fake, MESSAGES, "ping-every=2,cr", &streamed(message("c"))).await;
    let same = |text: &str, number: &str| text.replace(number, "fake_1");
    assert_eq!(same(&crlf.text, "fake_2"), plain.text.replace('\n', "\r\n"));
    assert_eq!(same(&cr.text, "fake_3"), plain.text.replace('\n', "\r"));
}

#[tokio::test]
async fn a_body_comes_in_pieces_as_small_as_asked() {
    let fake = start().await;
    let read = ask(&fake, CHAT, "segment=3", &streamed(chat("gpt-4o"))).await;
    assert!(read.frames.iter().all(|frame| *frame <= 3));
    assert_eq!(read.content(), "echo: one two three");
    let json = ask(&fake, CHAT, "segment=1", &chat("gpt-4o")).await;
    assert_eq!(
        json.json()["choices"][0]["message"]["content"],
        "echo: one two three"
    );
    assert!(json.frames.len() > 1, "{:?}", json.frames);
}

#[tokio::test]
async fn characters_may_be_cut_in_the_middle() {
    let fake = start().await;
    let mut body = streamed(chat("gpt-4o"));
    body["messages"][0]["content"] = "grün 漢字 🦀".into();
    let read = ask(&fake, CHAT, "segment=1", &body).await;
    assert_eq!(read.content(), "echo: grün 漢字 🦀");
}
