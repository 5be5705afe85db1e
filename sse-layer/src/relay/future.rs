use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{AnswerBody, BoxError, Payload, ReadPayload};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::{Abandon, SseBody, Upstream, body::answered, caller::Caller, layer::Settings};

pin_project! {
    /// The future of [`Sse`](crate::Sse).
    #[must_use = "futures do nothing unless polled"]
    pub struct SseFuture<S, R, D>
    where
        S: Service<Request<Payload>>,
    {
        #[pin]
        state: State<S, S::Future>,
        settings: Arc<Settings>,
        // none before the request was read, and of who asks for no stream
        caller: Option<Caller>,
        abandon: Option<D>,
        answers: std::marker::PhantomData<fn() -> R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        // the caller's body; boxed, as a call that was read before never is here
        Reading { reading: Box<(ReadPayload, S)> },
        // the inner response
        Sending { #[pin] sent: F },
        // the same, up to the moment when the caller gets a head without it
        Hurrying { sent: Option<Pin<Box<F>>>, timer: Pin<Box<Sleep>> },
        Done,
    }
}

impl<S, F> State<S, F> {
    fn sent(sent: F, caller: Option<&Caller>) -> Self {
        let caller = caller.filter(|caller| caller.takes_early_head);
        match caller.and_then(|caller| caller.settings.early_head) {
            None => Self::Sending { sent },
            Some(after) => Self::Hurrying {
                sent: Some(Box::pin(sent)),
                timer: Box::pin(sleep(after)),
            },
        }
    }
}

impl<S, R, D> SseFuture<S, R, D>
where
    S: Service<Request<Payload>>,
{
    pub(crate) fn new(
        read: ReadPayload,
        mut service: S,
        settings: Arc<Settings>,
        abandon: D,
    ) -> Self {
        let (state, caller) = match read.now() {
            Ok(mut request) => {
                let caller = Caller::of(&mut request, &settings);
                let sent = service.call(request);
                (State::sent(sent, caller.as_ref()), caller)
            }
            Err(read) => {
                let reading = Box::new((read, service));
                (State::Reading { reading }, None)
            }
        };
        Self {
            state,
            settings,
            caller,
            abandon: Some(abandon),
            answers: std::marker::PhantomData,
        }
    }
}

impl<S, R, D> Future for SseFuture<S, R, D>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    D: Abandon<Upstream<R>>,
{
    type Output = Result<Response<SseBody<S::Future, R, D>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = loop {
            match this.state.as_mut().project() {
                StateProj::Reading { reading } => {
                    let (read, service) = &mut **reading;
                    let mut request = ready!(Pin::new(read).poll(cx));
                    *this.caller = Caller::of(&mut request, this.settings);
                    let sent = service.call(request);
                    let sent = State::sent(sent, this.caller.as_ref());
                    this.state.set(sent);
                }
                StateProj::Sending { sent } => break ready!(sent.poll(cx)),
                StateProj::Hurrying { sent, timer } => {
                    if let Poll::Ready(answer) = sent.as_mut().expect(AFTER).as_mut().poll(cx) {
                        break answer;
                    }
                    ready!(timer.as_mut().poll(cx));
                    let sent = sent.take().expect(AFTER);
                    let caller = this.caller.take().expect(AFTER);
                    let abandon = this.abandon.take().expect(AFTER);
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(SseBody::early(sent, caller, abandon)));
                }
                StateProj::Done => panic!("{AFTER}"),
            }
        };
        this.state.set(State::Done);
        let abandon = this.abandon.take().expect(AFTER);
        Poll::Ready(answer.map(|response| match this.caller.take() {
            Some(caller) => SseBody::answered(answered(response, caller, false), abandon),
            None => response.map(|body| SseBody::other(AnswerBody::inner(body), abandon)),
        }))
    }
}

const AFTER: &str = "a future is not polled after it was ready";

impl<S, R, D> fmt::Debug for SseFuture<S, R, D>
where
    S: Service<Request<Payload>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseFuture").finish_non_exhaustive()
    }
}
