//! A watched body tells its end exactly once.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Body;
use http_body_util::BodyExt;
use llm_exchange::{BodyEnd, Observe, Watch};
use testkit::{BoxError, Point, ScriptedBody, drop_everywhere};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observe for Log {
    fn data(&mut self, data: &Bytes) {
        self.0.lock().unwrap().push(format!("data {}", data.len()));
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.0
            .lock()
            .unwrap()
            .push(format!("trailers {}", trailers.len()));
    }

    fn end(&mut self, end: BodyEnd<'_>) {
        let end = match end {
            BodyEnd::Whole => "whole".to_owned(),
            BodyEnd::Failed(error) => error.to_string(),
            BodyEnd::Dropped => "dropped".to_owned(),
            _ => unreachable!(),
        };
        self.0.lock().unwrap().push(end);
    }
}

fn scripted() -> ScriptedBody<BoxError> {
    ScriptedBody::new()
}

#[tokio::test]
async fn everything_that_passes_is_seen_and_nothing_changed() {
    let log = Log::default();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let body = Watch::new(
        scripted().data("ab").data("c").trailers(trailers.clone()),
        log.clone(),
    );
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "abc");
    assert_eq!(log.take(), ["data 2", "data 1", "trailers 1", "whole"]);
}

#[tokio::test]
async fn a_reader_that_stops_at_the_promised_end_has_read_it_all() {
    // by is_end_stream
    let log = Log::default();
    let mut body = Watch::new(scripted().data("ab").eager_end(), log.clone());
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    assert_eq!(log.take(), ["data 2", "whole"]);
    drop(body);
    assert!(log.take().is_empty());
    // by content-length, as hyper does it
    let mut body = Watch::new(scripted().data("ab").sized(), log.clone());
    body.frame().await.unwrap().unwrap();
    assert_eq!(log.take(), ["data 2"]);
    drop(body);
    assert_eq!(log.take(), ["whole"]);
    // an empty body is never polled
    drop(Watch::new(scripted().sized().eager_end(), log.clone()));
    assert_eq!(log.take(), ["whole"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_exactly_once_wherever_the_body_is_dropped() {
    for fails in [false, true] {
        let points = drop_everywhere(
            async || {
                let log = Log::default();
                let pause = std::time::Duration::from_secs(1);
                let body = scripted().data("a").wait(pause).data("b").wait(pause);
                let body = if fails { body.error("reset") } else { body };
                let body = Watch::new(body, log.clone());
                (log, async { Ok::<_, BoxError>(Response::new(body)) })
            },
            async |log, at| {
                let ends: Vec<_> = log
                    .take()
                    .into_iter()
                    .filter(|line| !line.starts_with("data"))
                    .collect();
                let expected: &[&str] = match at.point {
                    Point::Unpolled => return,
                    Point::BodyFailed => &["reset"],
                    _ if at.complete => &["whole"],
                    _ => &["dropped"],
                };
                assert_eq!(ends, expected, "{at:?}");
            },
        )
        .await;
        assert!(points.len() >= 7, "{points:?}");
    }
}

#[tokio::test]
async fn without_an_observer_the_body_just_passes() {
    let body = Watch::<_, Log>::new(scripted().data("a"), None);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "a");
}
