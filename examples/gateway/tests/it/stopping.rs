//! Stopping in order.

use fake_provider::Behaviour;
use http_body_util::BodyExt;
use std::time::Duration;

use crate::common::*;

#[tokio::test]
async fn a_running_stream_finishes_and_no_new_call_is_taken() {
    let world = World::new().await;
    world.fake.on(
        "gpt-4o",
        Behaviour::ok().delta_delay(Duration::from_millis(100)),
    );
    let mut body = world.chat("gpt-4o", true).await.into_body();
    within(body.frame()).await.unwrap().unwrap();

    let address = world.gateway.address();
    let stopping = tokio::spawn(world.gateway.shutdown());
    let rest = within(body.collect()).await.unwrap().to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    within(stopping).await.unwrap();
    tokio::net::TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn a_stuck_stream_is_cut_when_the_time_is_up() {
    let world = World::new().await;
    world.fake.on("gpt-4o", Behaviour::ok().stall_at(1));
    let mut body = world.chat("gpt-4o", true).await.into_body();
    within(body.frame()).await.unwrap().unwrap();
    // from here on the clock is ours
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    world.gateway.shutdown().await;
    assert!(start.elapsed() >= gateway::SHUTDOWN_TIMEOUT);
}
