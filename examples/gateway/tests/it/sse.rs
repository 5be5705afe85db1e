//! Streams that hang, break or go on too long, behind `[sse]`.

use std::time::Duration;

use fake_provider::Behaviour;
use http_body_util::BodyExt;

use crate::common::{CHAT, House, house_with, streamed};

const SSE: &str = "[sse]\nheaders_timeout = \"30s\"\nfirst_token_timeout = \"60s\"\n\
    silence_timeout = \"60s\"\nidle_timeout = \"120s\"\ntotal_timeout = \"10m\"\n\
    max_output_tokens = 4000\nkeep_alive = \"15s\"\n";

/// A stream to its end, which is always in order.
async fn stream(house: &House) -> String {
    // a caller who asks for more than the cap gets it: this one asks for nothing
    let mut call = streamed("m");
    call.as_object_mut().unwrap().remove("max_tokens");
    let response = house.send(house.post(CHAT, call)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_that_breaks_ends_with_an_error_and_the_terminator() {
    let house = house_with("", SSE).await;
    house.fake.on("m", Behaviour::ok().break_at(2));
    let text = stream(&house).await;
    assert!(
        text.contains("\"error\"") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_too_long_is_cut_in_order() {
    let house = house_with("", &SSE.replace("4000", "1")).await;
    let text = stream(&house).await;
    assert!(text.contains("\"finish_reason\":\"length\""), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_one_within_its_clocks_passes_with_comments_in_its_pauses() {
    let house = house_with("", SSE).await;
    house
        .fake
        .on("m", Behaviour::ok().delta_delay(Duration::from_secs(40)));
    let text = stream(&house).await;
    assert!(text.contains(": keep-alive"), "{text}");
    assert!(
        text.contains("\"finish_reason\":\"stop\"") && !text.contains("\"error\""),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_clock_runs_out_by_its_own_key() {
    let slow = Behaviour::ok().delta_delay(Duration::from_secs(2));
    for (key, behaviour, status, says) in [
        (
            "headers_timeout",
            Behaviour::hangs(),
            504,
            "no response head within 3s",
        ),
        (
            "first_token_timeout",
            Behaviour::ok().stall_at(0),
            504,
            "no content within 3s",
        ),
        (
            "silence_timeout",
            Behaviour::ok().stall_at(2),
            200,
            "no byte for 3s",
        ),
        (
            "idle_timeout",
            Behaviour::ok().stall_at(2),
            200,
            "no content for 3s",
        ),
        (
            "total_timeout",
            slow,
            200,
            "the answer was not complete within 3s",
        ),
    ] {
        let house = house_with("", &format!("[sse]\n{key} = \"3s\"\n")).await;
        house.fake.on("m", behaviour);
        let response = house.send(house.post(CHAT, streamed("m"))).await;
        assert_eq!(response.status(), status, "{key}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains(says), "{key}: {text}");
    }
}
