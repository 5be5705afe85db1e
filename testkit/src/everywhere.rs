//! Drops a call at every place where it can be dropped.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use http::Response;
use http_body::Body;
use tokio::time::{Instant, sleep};

/// Longer than any clock of a layer: what is pending until then is pending for ever.
const FOR_EVER: Duration = Duration::from_secs(300 * 24 * 3600);
/// A call with more places to drop it than this is more likely one that never comes to an end.
const MOST_POINTS: usize = 1_000;

/// Where a call was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// The future was made and never polled.
    Unpolled,
    /// The future, after it had been pending so many times (from 1).
    CallPending(usize),
    /// The future had failed: a run that came to its own end.
    CallFailed,
    /// The response had come; its body was not polled.
    Head,
    /// The body, after it had been pending so many times in all (from 1).
    BodyPending(usize),
    /// The body, after so many frames (from 1), trailers included.
    Frame(usize),
    /// The body had failed: a run that came to its own end.
    BodyFailed,
    /// The body had given its last `None`: a run that came to its own end.
    Ended,
    /// The future or body would have been pending for ever: nothing woke it for 300 days.
    Stuck,
}

/// Where a call was dropped, and whether that was still before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DroppedAt {
    /// The place.
    pub point: Point,
    /// The reader could take the answer as whole: the body had given its `None`, or its
    /// `is_end_stream` was true. hyper drops such a body, and that is no abandoned call.
    pub complete: bool,
}

/// Runs the same call again and again, and drops it in each run one place later, until a run comes to
/// its own end: before the first poll, wherever the future is pending, with the head and the body
/// untouched, after each frame, wherever the body is pending, and at the end.
///
/// `world` makes everything anew for a run: what `check` needs to look at, and the call's future. After
/// each drop `check` gets the former, and where it was. Returned are all the places, in their order, so
/// that a test can see that it visited what it meant to; the last is `CallFailed`, `BodyFailed`,
/// `Ended` or `Stuck`. Time is tokio's, paused: it goes on by itself whenever all is waiting.
///
/// ```
/// use http::Request;
/// use testkit::{Answer, Point, Script, drop_everywhere};
/// use tower_service::Service as _;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let points = drop_everywhere(
///     async || {
///         let script = Script::new().then(Answer::sse(["data: a\n\n", "data: b\n\n"]));
///         let call = script.clone().call(Request::new(String::new()));
///         (script, call)
///     },
///     async |script, at| {
///         let upstream = &script.seen()[0].answer;
///         assert!(!upstream.is_alive(), "still held after {at:?}");
///         assert_eq!(upstream.has_ended(), at.complete);
///     },
/// )
/// .await;
///
/// let points: Vec<Point> = points.into_iter().map(|at| at.point).collect();
/// assert_eq!(
///     points,
///     [Point::Unpolled, Point::Head, Point::Frame(1), Point::Frame(2), Point::Ended]
/// );
/// # }
/// ```
///
/// # Panics
/// If time is not paused, and after 1,000 places.
pub async fn drop_everywhere<W, C, B, E>(
    mut world: impl AsyncFnMut() -> (W, C),
    mut check: impl AsyncFnMut(W, DroppedAt),
) -> Vec<DroppedAt>
where
    C: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    let start = Instant::now();
    assert!(
        (0..1_000).all(|_| Instant::now() == start),
        "drop_everywhere: time runs; use #[tokio::test(start_paused = true)]"
    );
    let mut points = Vec::new();
    while points.len() < MOST_POINTS {
        let (world, call) = world().await;
        let at = drive(call, Countdown(points.len())).await;
        points.push(at);
        check(world, at).await;
        if matches!(
            at.point,
            Point::CallFailed | Point::BodyFailed | Point::Ended | Point::Stuck
        ) {
            return points;
        }
    }
    panic!(
        "drop_everywhere: no end after {MOST_POINTS} places; the last: {:?}",
        points.last()
    );
}

/// How many places are still to be passed.
struct Countdown(usize);

impl Countdown {
    fn is_here(&mut self) -> bool {
        let here = self.0 == 0;
        self.0 = self.0.saturating_sub(1);
        here
    }
}

enum Waited<T> {
    For(T),
    Drop,
    Stuck,
}

/// Runs the call up to the place, and drops it by returning.
async fn drive<C, B, E>(call: C, mut countdown: Countdown) -> DroppedAt
where
    C: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    let before_end = |point| DroppedAt {
        point,
        complete: false,
    };
    if countdown.is_here() {
        return before_end(Point::Unpolled);
    }
    let mut pending = 0;
    let mut call = Box::pin(call);
    let body = match wait(|cx| call.as_mut().poll(cx), &mut countdown, &mut pending).await {
        Waited::For(Ok(response)) => response.into_body(),
        Waited::For(Err(_)) => return before_end(Point::CallFailed),
        Waited::Drop => return before_end(Point::CallPending(pending)),
        Waited::Stuck => return before_end(Point::Stuck),
    };
    drop(call);
    let mut body = pin!(body);
    if countdown.is_here() {
        return DroppedAt {
            point: Point::Head,
            complete: body.is_end_stream(),
        };
    }
    let (mut frames, mut pending) = (0, 0);
    loop {
        let at = |point, body: Pin<&mut B>| DroppedAt {
            point,
            complete: body.is_end_stream(),
        };
        match wait(
            |cx| body.as_mut().poll_frame(cx),
            &mut countdown,
            &mut pending,
        )
        .await
        {
            Waited::For(Some(Ok(_))) => frames += 1,
            Waited::For(Some(Err(_))) => return before_end(Point::BodyFailed),
            Waited::For(None) => {
                return DroppedAt {
                    point: Point::Ended,
                    complete: true,
                };
            }
            Waited::Drop => return at(Point::BodyPending(pending), body),
            Waited::Stuck => return before_end(Point::Stuck),
        }
        if countdown.is_here() {
            return at(Point::Frame(frames), body);
        }
    }
}

/// Each time it is pending is a place. In between the runtime runs other tasks and the paused clock.
async fn wait<T>(
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    countdown: &mut Countdown,
    pending: &mut usize,
) -> Waited<T> {
    let mut for_ever = pin!(sleep(FOR_EVER));
    poll_fn(|cx| {
        if for_ever.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Waited::Stuck);
        }
        if let Poll::Ready(value) = poll(cx) {
            return Poll::Ready(Waited::For(value));
        }
        *pending += 1;
        if countdown.is_here() {
            Poll::Ready(Waited::Drop)
        } else {
            Poll::Pending
        }
    })
    .await
}
