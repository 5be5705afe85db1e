//! What attempts used that were left is kept for whoever keeps books further out.

use std::sync::Arc;

use crate::common::*;
use llm_exchange::{Call, Cut, End, LeftBehind, Payload, Verdict};

const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":0}}\n\n";

/// What a call left behind that these answers are given to.
async fn left_behind(
    layer: fallback_layer::FallbackLayer,
    answers: Vec<Answer>,
) -> Vec<LeftBehind> {
    let request = Payload::read(openai("a"), 1 << 20).await;
    let call = Arc::clone(Call::of(&request).unwrap());
    let script = answers.into_iter().fold(script(), Script::then);
    let response = layer.layer(script).oneshot(request).await.unwrap();
    text(response).await;
    call.attempts().left_behind()
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_failed_after_its_usage_is_in_the_books_of_its_own_model() {
    let fails = Answer::sse([ROLE, USAGE, SERVER_ERROR]);
    let left = left_behind(layer(), vec![Answer::status(500), fails, streamed()]).await;
    assert_eq!(left.len(), 2);
    assert_eq!(
        (left[0].model.as_deref(), left[0].verdict),
        (Some("a"), Verdict::Failed)
    );
    assert!(left[0].meter.is_none());
    assert_eq!(
        (left[1].model.as_deref(), left[1].verdict),
        (Some("b"), Verdict::Failed)
    );
    let meter = left[1].meter.as_ref().unwrap();
    assert_eq!(meter.usage().unwrap().input(), 9);
    assert_eq!(meter.asked_model(), Some("b"));
    assert_eq!(meter.verdict(), Verdict::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_too_slow_was_cut_by_us_and_not_dropped_by_the_caller() {
    let chain =
        fallback_layer::Chain::of(fallback_layer::Target::model("a").max_latency(SECOND)).then("b");
    let layer = fallback_layer::FallbackLayer::new(chain).unwrap();
    let slow = Answer::stream(ScriptedBody::new().data(ROLE).data(USAGE).hang());
    let left = left_behind(layer, vec![slow, streamed()]).await;
    let meter = left[0].meter.as_ref().unwrap();
    assert_eq!(left[0].verdict, Verdict::TimedOut);
    assert_eq!(meter.end(), Some(End::Cut(Cut::Clock)));
    assert_eq!(meter.verdict(), Verdict::TimedOut);
    assert_eq!(meter.usage().unwrap().input(), 9);
}

#[tokio::test(start_paused = true)]
async fn when_all_failed_the_last_one_is_in_the_books_too() {
    let fails = || Answer::sse([ROLE, USAGE, SERVER_ERROR]);
    let left = left_behind(layer(), vec![fails(), fails(), fails()]).await;
    let models: Vec<_> = left
        .iter()
        .map(|left| left.model.as_deref().unwrap())
        .collect();
    assert_eq!(models, ["a", "b", "c"]);
    assert!(
        left.iter()
            .all(|left| left.meter.as_ref().unwrap().usage().is_some())
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_handed_on_is_not_left_behind_and_its_meter_goes_with_it() {
    let request = Payload::read(openai("a"), 1 << 20).await;
    let call = Arc::clone(Call::of(&request).unwrap());
    let script = script().then(streamed());
    let response = layer().layer(script).oneshot(request).await.unwrap();
    let meter = llm_exchange::Meter::of(&response).unwrap().clone();
    text(response).await;
    assert_eq!(meter.end(), Some(End::Complete));
    assert!(call.attempts().left_behind().is_empty());
}
