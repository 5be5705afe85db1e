//! A response body that does, frame by frame, what the test wrote down.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::{BoxError, Watch};

/// A body given step by step: data, a pause, trailers, an error, silence for ever.
///
/// It ends after its last step. Unless told otherwise its size is unknown and only the final `None`
/// shows its end, like a chunked HTTP/1 answer. `Unpin`, and `Send + Sync` when `E` is.
///
/// ```
/// use std::time::Duration;
/// use http_body_util::BodyExt as _;
/// use testkit::ScriptedBody;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut body = ScriptedBody::new()
///     .data("data: a\n\n")
///     .wait(Duration::from_secs(30))
///     .error("connection reset");
/// let watch = body.watch();
///
/// assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data: a\n\n");
/// assert!(body.frame().await.unwrap().is_err()); // half a minute later
/// assert!(watch.has_ended() && watch.is_alive());
/// # }
/// ```
pub struct ScriptedBody<E = BoxError> {
    steps: VecDeque<Step<E>>,
    pause: Option<Pin<Box<Sleep>>>,
    sized: bool,
    eager_end: bool,
    panic_past_end: bool,
    past_end: bool,
    watch: Watch,
}

enum Step<E> {
    Data(Bytes),
    Trailers(HeaderMap),
    Wait(Duration),
    Error(E),
    Hang,
}

impl ScriptedBody {
    /// An empty body. For an error type other than [`BoxError`]: `ScriptedBody::<MyError>::default()`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Each item is one data frame.
    pub fn chunks<T: Into<Bytes>>(chunks: impl IntoIterator<Item = T>) -> Self {
        chunks.into_iter().fold(Self::new(), Self::data)
    }
}

impl<E> Default for ScriptedBody<E> {
    fn default() -> Self {
        Self {
            steps: VecDeque::new(),
            pause: None,
            sized: false,
            eager_end: false,
            panic_past_end: false,
            past_end: false,
            watch: Watch::default(),
        }
    }
}

impl<E> ScriptedBody<E> {
    /// Then a data frame.
    #[must_use]
    pub fn data(self, data: impl Into<Bytes>) -> Self {
        self.step(Step::Data(data.into()))
    }

    /// Then a pause by tokio's clock; it starts when the reader comes to it.
    #[must_use]
    pub fn wait(self, pause: Duration) -> Self {
        self.step(Step::Wait(pause))
    }

    /// Then trailers.
    #[must_use]
    pub fn trailers(self, trailers: HeaderMap) -> Self {
        self.step(Step::Trailers(trailers))
    }

    /// Then an error. Steps after it are never reached.
    #[must_use]
    pub fn error(self, error: impl Into<E>) -> Self {
        self.step(Step::Error(error.into()))
    }

    /// Then nothing, for ever: no frame, no end, no wake-up. Steps after it are never reached.
    #[must_use]
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// `size_hint` is exact, as with a `content-length`: the data frames still to come.
    #[must_use]
    pub fn sized(mut self) -> Self {
        self.sized = true;
        self
    }

    /// `is_end_stream` is true as soon as the last step was handed out, so that a reader may stop
    /// without having seen `None` (hyper does).
    #[must_use]
    pub fn eager_end(mut self) -> Self {
        self.eager_end = true;
        self
    }

    /// Panics when it is polled again after its `None` or its error. Otherwise it says `None` again.
    #[must_use]
    pub fn panic_past_end(mut self) -> Self {
        self.panic_past_end = true;
        self
    }

    /// Tells later what has become of this body.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    fn step(mut self, step: Step<E>) -> Self {
        self.steps.push_back(step);
        self
    }

    fn end(&mut self) {
        self.past_end = true;
        self.watch.end();
    }

    fn frame(&self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        self.watch.frame();
        if self.is_end_stream() {
            self.watch.end();
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl<E> Body for ScriptedBody<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let this = &mut *self;
        assert!(
            !(this.past_end && this.panic_past_end),
            "ScriptedBody: polled again after its end"
        );
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            match this.steps.pop_front() {
                Some(Step::Data(data)) => return this.frame(Frame::data(data)),
                Some(Step::Trailers(map)) => return this.frame(Frame::trailers(map)),
                Some(Step::Wait(pause)) => this.pause = Some(Box::pin(sleep(pause))),
                Some(Step::Error(error)) => {
                    this.steps.clear();
                    this.end();
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Step::Hang) => {
                    this.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                None => {
                    this.end();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.past_end || (self.eager_end && self.steps.is_empty() && self.pause.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        if !self.sized {
            return SizeHint::default();
        }
        let left = self.steps.iter().map(|step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        });
        SizeHint::with_exact(left.sum())
    }
}

// Nothing in it is ever pinned, not even an `E` that would have to be.
impl<E> Unpin for ScriptedBody<E> {}

impl<E> Drop for ScriptedBody<E> {
    fn drop(&mut self) {
        self.watch.drop_now();
    }
}

impl<E> fmt::Debug for ScriptedBody<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedBody")
            .field("steps_left", &self.steps.len())
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}
