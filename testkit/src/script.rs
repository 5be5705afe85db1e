//! An upstream that answers by a script and remembers what it was asked.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::{Answer, BoxError, ScriptedBody, Watch, answer::Outcome, lock};

/// A `Service` for requests with any body that answers each call with the next [`Answer`].
///
/// Always ready (wrap it in a [`Probe`](crate::Probe) for readiness). Clones share the script and
/// what was seen. `E` is the error of a call, `F` that of a response body; `Script::new()` takes
/// [`BoxError`] for both, `Script::<Infallible>::default()` is a script that cannot fail.
///
/// ```
/// use http::Request;
/// use testkit::{Answer, Script, ScriptedBody};
/// use tower_service::Service as _;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let script = Script::new()
///     .collect_bodies()
///     .then(Answer::json(429, r#"{"error":{}}"#).header("retry-after", "2"))
///     .then(Answer::sse(["data: a\n\n", "data: b\n\n"]));
///
/// let request = Request::post("/v1/messages").body(String::from("{}")).unwrap();
/// let response = script.clone().call(request).await.unwrap();
///
/// assert_eq!(response.status(), 429);
/// let seen = script.seen();
/// assert_eq!(seen[0].uri, "/v1/messages");
/// assert_eq!(seen[0].body.as_deref(), Some(b"{}".as_slice()));
/// assert!(seen[0].answer.is_alive());
/// drop(response);
/// assert!(!seen[0].answer.is_alive());
/// # }
/// ```
///
/// # Panics
/// A call beyond the last answer panics, unless [`then_always`](Script::then_always) was set.
pub struct Script<E = BoxError, F = BoxError>(Arc<Mutex<State<E, F>>>);

struct State<E, F> {
    answers: VecDeque<Answer<E, F>>,
    always: Option<Box<dyn FnMut() -> Answer<E, F> + Send>>,
    collect: bool,
    seen: Vec<Seen>,
}

/// A request as a [`Script`] saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// The URI.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body. `None` if the script does not [collect](Script::collect_bodies) bodies, if
    /// this one is not yet read, or if it broke.
    pub body: Option<Bytes>,
    /// When `call` was called, by tokio's clock.
    pub at: Instant,
    /// What has become of the answer: alive from the call until its body is dropped.
    pub answer: Watch,
}

impl Script {
    /// An empty script.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<E, F> Default for Script<E, F> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            answers: VecDeque::new(),
            always: None,
            collect: false,
            seen: Vec::new(),
        })))
    }
}

impl<E, F> Script<E, F> {
    /// The next call that has no answer yet gets this one.
    #[must_use]
    pub fn then(self, answer: Answer<E, F>) -> Self {
        lock(&self.0).answers.push_back(answer);
        self
    }

    /// Every call after the scripted ones gets an answer made by this function, which must not use
    /// the script itself. Default: such a call panics.
    #[must_use]
    pub fn then_always(self, answer: impl FnMut() -> Answer<E, F> + Send + 'static) -> Self {
        lock(&self.0).always = Some(Box::new(answer));
        self
    }

    /// Reads each request's body to its end before answering, and keeps it in [`Seen::body`].
    /// Default: the body is held unread until the answer is given.
    ///
    /// A body that breaks changes nothing in the script: the call gets its answer.
    #[must_use]
    pub fn collect_bodies(self) -> Self {
        lock(&self.0).collect = true;
        self
    }

    /// The calls so far, in their order.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.0).seen.clone()
    }

    /// The number of calls so far.
    pub fn calls(&self) -> usize {
        lock(&self.0).seen.len()
    }
}

impl<B, E, F> Service<Request<B>> for Script<E, F>
where
    B: Body,
{
    type Response = Response<ScriptedBody<F>>;
    type Error = E;
    type Future = Calling<B, E, F>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let mut state = lock(&self.0);
        let index = state.seen.len();
        let next = state.answers.pop_front();
        let Some(answer) = next.or_else(|| state.always.as_mut().map(|make| make())) else {
            panic!(
                "Script: call number {} ({} {}), but the script has only {index} answers",
                index + 1,
                head.method,
                head.uri.path(),
            );
        };
        let at = Instant::now();
        state.seen.push(Seen {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body: None,
            at,
            answer: answer.watch(),
        });
        Calling {
            upload: Some(body),
            read: state.collect.then(BytesMut::new),
            delay: (!answer.delay.is_zero()).then(|| Box::pin(sleep_until(at + answer.delay))),
            answer: Some(answer),
            script: self.clone(),
            index,
        }
    }
}

pin_project! {
    /// The future of a [`Script`].
    pub struct Calling<B, E = BoxError, F = BoxError> {
        #[pin]
        upload: Option<B>,
        read: Option<BytesMut>, // there as long as the upload is to be read
        delay: Option<Pin<Box<Sleep>>>,
        answer: Option<Answer<E, F>>, // there until it was given
        script: Script<E, F>,
        index: usize,
    }
}

impl<B: Body, E, F> Future for Calling<B, E, F> {
    type Output = Result<Response<ScriptedBody<F>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        while let (Some(read), Some(upload)) = (&mut *this.read, this.upload.as_mut().as_pin_mut())
        {
            match ready!(upload.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(mut data) = frame.into_data() {
                        read.extend_from_slice(&data.copy_to_bytes(data.remaining()));
                    }
                }
                Some(Err(_)) => *this.read = None,
                None => {
                    let whole = this.read.take().map(BytesMut::freeze);
                    lock(&this.script.0).seen[*this.index].body = whole;
                }
            }
        }
        if let Some(delay) = this.delay {
            ready!(delay.as_mut().poll(cx));
            *this.delay = None;
        }
        if matches!(
            this.answer,
            Some(Answer {
                outcome: Outcome::Hang,
                ..
            })
        ) {
            return Poll::Pending;
        }
        let answer = this
            .answer
            .take()
            .expect("Calling: polled again after its answer");
        this.upload.set(None);
        Poll::Ready(match answer.outcome {
            Outcome::Fail(error) => {
                answer.response.body().watch().end();
                Err(error)
            }
            Outcome::Respond | Outcome::Hang => Ok(answer.response),
        })
    }
}

impl<E, F> Clone for Script<E, F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E, F> fmt::Debug for Script<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.0);
        f.debug_struct("Script")
            .field("answers_left", &state.answers.len())
            .field("seen", &state.seen)
            .finish_non_exhaustive()
    }
}

impl<B, E, F> fmt::Debug for Calling<B, E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling")
            .field("call", &self.index)
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}
