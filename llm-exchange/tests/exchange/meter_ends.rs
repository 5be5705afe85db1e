//! How an answer ended, and what was asked for behind the caller's back.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use llm_exchange::{BodyEnd, Cut, Dialect, End, Meter, Observe, UsageHidden, Verdict, Watch};
use testkit::{BoxError, Point, ScriptedBody, drop_everywhere};

use crate::{calls::call, transcripts};

type Chunks = ScriptedBody<BoxError>;

const ONE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn stream(body: Chunks) -> Response<Chunks> {
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap()
}

async fn ended(body: Chunks) -> Meter {
    let (meter, response) = Meter::attach(stream(body), &call(Dialect::OpenAiChat));
    let _ = response.into_body().collect().await;
    meter
}

#[tokio::test]
async fn an_end_is_complete_only_by_the_protocols_own_proof() {
    for (chunks, end, verdict) in [
        (vec![ONE, STOP, DONE], End::Complete, Verdict::Ok),
        // what an unfinished event says is believed, as long as it is whole
        (vec![ONE, STOP, "data: [DONE]"], End::Complete, Verdict::Ok),
        (
            vec![ONE, STOP, "data: [DONE]\n"],
            End::Complete,
            Verdict::Ok,
        ),
        (vec![ONE, STOP], End::Truncated, Verdict::Failed),
        (vec![ONE, DONE], End::Truncated, Verdict::Failed),
        (vec![DONE], End::Truncated, Verdict::Failed),
        (
            vec![ONE, "data: {\"choices\":[{\"ind"],
            End::Truncated,
            Verdict::Failed,
        ),
        (vec![], End::Truncated, Verdict::Failed),
        (
            vec![
                ONE,
                "data: {\"error\":{\"type\":\"overloaded_error\"}}\n\n",
                DONE,
            ],
            End::Errored,
            Verdict::Overloaded,
        ),
    ] {
        let meter = ended(Chunks::chunks(chunks.iter().copied())).await;
        assert_eq!(
            (meter.end(), meter.verdict()),
            (Some(end), verdict),
            "{chunks:?}"
        );
    }
    // of two choices, both must end
    let second = ONE.replace("\"index\":0", "\"index\":1");
    let meter = ended(Chunks::chunks(
        [ONE, &second, STOP, DONE].map(str::to_owned),
    ))
    .await;
    assert_eq!(meter.end(), Some(End::Truncated));
}

#[tokio::test]
async fn a_broken_connection_is_told_from_one_that_waited_too_long() {
    let meter = ended(Chunks::new().data(ONE).error("reset")).await;
    assert_eq!(
        (meter.end(), meter.verdict()),
        (Some(End::Broken), Verdict::Failed)
    );
    let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
    let meter = ended(Chunks::new().data(ONE).error(late)).await;
    assert_eq!(
        (meter.end(), meter.verdict()),
        (Some(End::TimedOut), Verdict::TimedOut)
    );
}

/// Keeps what the meter said at the end.
struct AtEnd(Meter, Arc<Mutex<Vec<Option<End>>>>);

impl Observe for AtEnd {
    fn meter(&self) -> Option<&Meter> {
        Some(&self.0)
    }

    fn end(&mut self, _: BodyEnd<'_>) {
        self.1.lock().unwrap().push(self.0.end());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_finds_the_end_noted_wherever_the_body_is_dropped() {
    let points = drop_everywhere(
        async || {
            let ends = Arc::default();
            let seen = Arc::clone(&ends);
            let call = async move {
                let body = Chunks::chunks([ONE, STOP, DONE]);
                let (meter, response) = Meter::attach(stream(body), &call(Dialect::OpenAiChat));
                let response = response.map(|body| Watch::new(body, AtEnd(meter.clone(), seen)));
                Ok::<_, BoxError>(response)
            };
            (ends, call)
        },
        async |ends: Arc<Mutex<Vec<Option<End>>>>, at| {
            let ends = ends.lock().unwrap().clone();
            match at.point {
                Point::Unpolled => assert_eq!(ends, []),
                _ if at.complete => assert_eq!(ends, [Some(End::Complete)]),
                _ => assert_eq!(ends, [Some(End::Dropped)], "{at:?}"),
            }
        },
    )
    .await;
    assert_eq!(points.len(), 6);
}

#[tokio::test]
async fn a_cut_of_ours_is_not_the_callers_doing() {
    for (why, verdict) in [
        (Cut::Limit, Verdict::Ok),
        (Cut::Clock, Verdict::TimedOut),
        (Cut::Outrun, Verdict::Outrun),
    ] {
        let body = Chunks::new().data(ONE).hang();
        let (meter, response) = Meter::attach(stream(body), &call(Dialect::OpenAiChat));
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        meter.cut(why);
        drop(body);
        assert_eq!(
            (meter.end(), meter.verdict()),
            (Some(End::Cut(why)), verdict)
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_says_so() {
    for (name, value) in [("content-encoding", "gzip"), ("content-type", "audio/mpeg")] {
        let response = Response::builder()
            .header(name, value)
            .body(Chunks::new().data("\u{1f}"))
            .unwrap();
        let (meter, response) = Meter::attach(response, &call(Dialect::OpenAiChat));
        response.into_body().collect().await.unwrap();
        assert_eq!(
            (meter.end(), meter.verdict()),
            (Some(End::Unreadable), Verdict::Ok)
        );
        assert!(meter.tokens().is_estimated());
    }
}

#[tokio::test]
async fn an_error_answer_is_read_by_its_body() {
    let answer = transcripts::http("12-openai-429-credit-exhausted.http");
    let mut response = Response::new(Chunks::new().data(answer.body));
    *response.status_mut() = answer.status;
    let (meter, response) = Meter::attach(response, &call(Dialect::OpenAiChat));
    response.into_body().collect().await.unwrap();
    assert_eq!(meter.end(), Some(End::Errored));
    assert_eq!(meter.verdict(), Verdict::QuotaExhausted);
}

#[tokio::test]
async fn the_usage_we_asked_for_is_taken_out_however_the_stream_is_cut() {
    let sent = [": hi\n\n", ONE, STOP, USAGE, ": bye\n\n", DONE].concat();
    let wanted = [": hi\n\n", ONE, STOP, ": bye\n\n", DONE].concat();
    for end in ["\n", "\r\n"] {
        let (sent, wanted) = (sent.replace('\n', end), wanted.replace('\n', end));
        for at in 1..sent.len() {
            let body = Chunks::chunks([&sent[..at], &sent[at..]].map(str::to_owned));
            assert_eq!(without_usage(body).await, wanted, "cut at {at}");
        }
        let bytes = Chunks::chunks(sent.bytes().map(|byte| vec![byte]));
        assert_eq!(without_usage(bytes).await, wanted);
    }
}

async fn without_usage(body: Chunks) -> Bytes {
    let (meter, response) = Meter::attach(stream(body), &call(Dialect::OpenAiChat));
    let body = UsageHidden::new(response.into_body(), Some(meter.clone()));
    let passed = body.collect().await.unwrap().to_bytes();
    assert_eq!(meter.usage().unwrap().total(), 6);
    passed
}

#[tokio::test]
async fn usage_beside_content_stays_and_so_does_what_is_cut_off() {
    let beside = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\
                  \"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n";
    let sent = [beside, ONE, "data: {\"cho"].concat();
    for at in 1..sent.len() {
        let body = Chunks::chunks([&sent[..at], &sent[at..]].map(str::to_owned));
        assert_eq!(without_usage(body).await, sent);
    }
    // whoever asked himself gets it all
    let body = Chunks::chunks([ONE, USAGE]);
    let (_, response) = Meter::attach(stream(body), &call(Dialect::OpenAiChat));
    let body = UsageHidden::new(response.into_body(), None);
    assert_eq!(
        body.collect().await.unwrap().to_bytes(),
        [ONE, USAGE].concat()
    );
}

#[tokio::test]
async fn what_is_held_back_comes_before_the_error_that_cut_it_off() {
    let body = Chunks::new().data(ONE).data("data: {\"cho").error("reset");
    let (meter, response) = Meter::attach(stream(body), &call(Dialect::OpenAiChat));
    let mut body = UsageHidden::new(response.into_body(), Some(meter));
    let mut data = Vec::new();
    let error = loop {
        match body.frame().await.unwrap() {
            Ok(frame) => data.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => break error,
        }
    };
    assert_eq!(data, [ONE, "data: {\"cho"].concat().as_bytes());
    assert_eq!(error.to_string(), "reset");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn one_of_several_readers_who_leaves_ends_nothing_for_the_others() {
    let body = ScriptedBody::chunks([ONE, STOP, USAGE, DONE]);
    let (meter, response) = Meter::attach(stream(body), &call(Dialect::OpenAiChat));
    let (leaves, stays) = (meter.for_reader(), meter.for_reader());
    struct Reader(Meter);
    impl Observe for Reader {
        fn meter(&self) -> Option<&Meter> {
            Some(&self.0)
        }
        fn end(&mut self, _: BodyEnd<'_>) {}
    }
    drop(Watch::new(Chunks::new().data("a"), Reader(leaves.clone())));
    assert_eq!(leaves.end(), Some(End::Dropped));
    assert_eq!(leaves.verdict(), Verdict::CallerGone);
    assert_eq!((meter.end(), stays.end()), (None, None));

    response.into_body().collect().await.unwrap();
    assert_eq!(meter.end(), Some(End::Complete));
    let whole = Watch::new(Chunks::new(), Reader(stays.clone()));
    whole.collect().await.unwrap();
    assert_eq!(stays.end(), Some(End::Complete));
    assert_eq!(stays.usage(), meter.usage());
    let start = (ONE.len() + STOP.len()) as u64;
    assert_eq!(
        meter.usage_events(),
        vec![start..start + USAGE.len() as u64]
    );
}

/// A Responses stream whose last event is larger than any that is read: it has the image.
fn with_an_image() -> [String; 2] {
    let image = "A".repeat(5 << 20);
    let end = format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{{\"status\":\"completed\",\"output\":[{{\"type\":\"image_generation_call\",\"result\":\"{image}\"}}],\"usage\":{{\"input_tokens\":7,\"output_tokens\":9}}}}}}\n\n"
    );
    let start = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n";
    [start.to_owned(), end]
}

#[tokio::test]
async fn an_end_in_an_event_too_large_to_be_read_is_not_a_missing_one() {
    let [start, end] = with_an_image();
    for size in [1 << 16, 6 << 20] {
        let pieces = end.as_bytes().chunks(size).map(Bytes::copy_from_slice);
        let body = Chunks::chunks([Bytes::from(start.clone())].into_iter().chain(pieces));
        let (meter, response) = Meter::attach(stream(body), &call(Dialect::OpenAiResponses));
        response.into_body().collect().await.unwrap();
        assert_eq!(meter.end(), Some(End::Unreadable));
        assert_eq!(meter.verdict(), Verdict::Ok);
        assert_eq!(meter.contents(), 1, "it is content");
    }
    // one that is whole by its own marks is so all the same
    let image = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{end}\"}}}}]}}\n\n");
    let image = image.replace("\n\nevent", "");
    let meter = ended(Chunks::chunks([image, STOP.to_owned(), DONE.to_owned()])).await;
    assert_eq!(meter.end(), Some(End::Complete));
}

#[tokio::test]
async fn no_place_to_end_a_stream_is_within_an_event_too_large_to_be_read() {
    let [start, end] = with_an_image();
    let body = [
        start.clone(),
        end[..5 << 20].to_owned(),
        end[5 << 20..].to_owned(),
    ];
    let body = Chunks::chunks(body.map(Bytes::from));
    let (meter, response) = Meter::attach(stream(body), &call(Dialect::OpenAiResponses));
    let mut body = response.into_body();
    let mut boundaries = Vec::new();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        boundaries.push(usize::try_from(meter.boundary()).unwrap());
    }
    let begun = start.len();
    assert_eq!(boundaries, [begun, begun, begun + end.len()]);
}
