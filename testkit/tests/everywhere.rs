//! The driver visits every place, and a call that settles wrongly at one of them is caught there.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use testkit::{Answer, DroppedAt, Point, Script, ScriptedBody, drop_everywhere};
use tokio::time::sleep;
use tower_service::Service as _;

const SECOND: Duration = Duration::from_secs(1);

fn points(visited: Vec<DroppedAt>) -> Vec<Point> {
    visited.into_iter().map(|at| at.point).collect()
}

fn request() -> Request<String> {
    Request::new(String::new())
}

#[tokio::test(start_paused = true)]
async fn every_place_is_visited_once() {
    let visited = drop_everywhere(
        async || {
            let body = ScriptedBody::new()
                .data("a")
                .wait(SECOND)
                .data("b")
                .wait(SECOND);
            let mut script = Script::new().then(Answer::stream(body).after(SECOND));
            let call = script.call(request());
            let call = async move {
                sleep(SECOND / 2).await;
                call.await
            };
            (script, call)
        },
        async |script, at| {
            let upstream = &script.seen()[0].answer;
            assert!(!upstream.is_alive());
            assert_eq!(upstream.has_ended(), at.complete);
        },
    )
    .await;
    assert_eq!(
        points(visited),
        [
            Point::Unpolled,
            Point::CallPending(1),
            Point::CallPending(2),
            Point::Head,
            Point::Frame(1),
            Point::BodyPending(1),
            Point::Frame(2),
            Point::BodyPending(2),
            Point::Ended
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_that_shows_early_makes_the_last_frame_complete() {
    let visited = drop_everywhere(
        async || {
            (
                (),
                Script::new().then(Answer::json(200, "{}")).call(request()),
            )
        },
        async |(), _| {},
    )
    .await;
    let at = |point, complete| DroppedAt { point, complete };
    assert_eq!(
        visited,
        [
            at(Point::Unpolled, false),
            at(Point::Head, false),
            at(Point::Frame(1), true),
            at(Point::Ended, true)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn errors_and_hangs_are_ends_too() {
    let end_of = async |answer: fn() -> Answer| {
        let visited = drop_everywhere(
            async || ((), Script::new().then(answer()).call(request())),
            async |(), _| {},
        )
        .await;
        points(visited).split_off(1)
    };
    assert_eq!(
        end_of(|| Answer::error("refused")).await,
        [Point::CallFailed]
    );
    assert_eq!(
        end_of(Answer::hang).await,
        [Point::CallPending(1), Point::Stuck]
    );
    assert_eq!(
        end_of(|| Answer::stream(ScriptedBody::new().error("reset"))).await,
        [Point::Head, Point::BodyFailed]
    );
    assert_eq!(
        end_of(|| Answer::stream(ScriptedBody::new().hang())).await,
        [Point::Head, Point::BodyPending(1), Point::Stuck]
    );
}

#[tokio::test(start_paused = true)]
async fn tasks_of_the_world_go_on_while_the_call_waits_and_while_the_check_does() {
    let visited = drop_everywhere(
        async || {
            let (tell, told) = tokio::sync::oneshot::channel::<()>();
            tokio::spawn(async move {
                sleep(SECOND).await;
                let _ = tell.send(());
            });
            let settled = Arc::new(Mutex::new(false));
            let worker = settled.clone();
            let call = async move {
                let _ = told.await;
                tokio::spawn(async move { *worker.lock().unwrap() = true });
                Ok::<_, Infallible>(Response::new(ScriptedBody::new()))
            };
            (settled, call)
        },
        async |settled, at| {
            sleep(SECOND).await;
            let answered = !matches!(at.point, Point::Unpolled | Point::CallPending(_));
            assert_eq!(*settled.lock().unwrap(), answered, "{at:?}");
        },
    )
    .await;
    assert_eq!(
        points(visited),
        [
            Point::Unpolled,
            Point::CallPending(1),
            Point::Head,
            Point::Ended
        ]
    );
}

#[tokio::test]
#[should_panic(expected = "start_paused = true")]
async fn running_time_is_refused() {
    let world = async || {
        ((), async {
            Ok::<_, ()>(Response::new(ScriptedBody::new()))
        })
    };
    drop_everywhere(world, async |(), _| {}).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "no end after 1000 places")]
async fn a_call_without_an_end_is_refused() {
    let busy = || {
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<Result<Response<ScriptedBody>, ()>>::Pending
        })
    };
    drop_everywhere(async || ((), busy()), async |(), _| {}).await;
}

/// How often each outcome was settled.
#[derive(Clone, Debug, Default)]
struct Book(Arc<Mutex<Vec<&'static str>>>);

impl Book {
    fn write(&self, outcome: &'static str) {
        self.0.lock().expect("no writer panics").push(outcome);
    }

    fn has_exactly_one(&self, at: DroppedAt) {
        let book = self.0.lock().expect("no writer panics");
        assert_eq!(book.len(), 1, "{book:?}, dropped at {at:?}");
    }
}

/// A body that settles when it ends. What it does when it is dropped is what the tests vary.
struct Settling {
    inner: ScriptedBody,
    book: Book,
    settled: bool,
    on_drop: OnDrop,
}

#[derive(Clone, Copy, PartialEq)]
enum OnDrop {
    /// Right: if not settled yet.
    Settle,
    /// Forgets that dropping is an outcome.
    Nothing,
    /// Forgets that it has settled already.
    Always,
}

impl Body for Settling {
    type Data = Bytes;
    type Error = testkit::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            self.settled = true;
            self.book.write("read");
        }
        frame
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Always || (self.on_drop == OnDrop::Settle && !self.settled) {
            self.book.write("dropped");
        }
    }
}

async fn drop_settling(on_drop: OnDrop) {
    drop_everywhere(
        async || {
            let book = Book::default();
            let body = ScriptedBody::new().data("a").wait(SECOND).data("b");
            // In the future from the start, so that a drop of the future is settled as well.
            let body = Settling {
                inner: body,
                book: book.clone(),
                settled: false,
                on_drop,
            };
            let call: Pin<Box<dyn Future<Output = Result<_, Infallible>>>> =
                Box::pin(async move { Ok(Response::new(body)) });
            (book, call)
        },
        async |book, at| book.has_exactly_one(at),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_settles_exactly_once_passes() {
    drop_settling(OnDrop::Settle).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "[], dropped at DroppedAt { point: Unpolled")]
async fn a_body_that_does_not_settle_on_drop_is_caught() {
    drop_settling(OnDrop::Nothing).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = r#"["read", "dropped"], dropped at DroppedAt { point: Ended"#)]
async fn a_body_that_settles_twice_is_caught() {
    drop_settling(OnDrop::Always).await;
}
