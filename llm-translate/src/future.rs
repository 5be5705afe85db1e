use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, Dialect, ErrorAnswer, Payload, ReadPayload, Refusal,
};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{NotTranslated, TranslatedAnswer, Translation, forth::translates, layer::Settings};

pin_project! {
    /// The future of [`Translate`](crate::Translate).
    #[must_use = "futures do nothing unless polled"]
    pub struct TranslateFuture<S, R>
    where
        S: Service<Request<Payload>>,
    {
        #[pin]
        state: State<S::Future, R>,
        service: S,
        settings: Arc<Settings>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R> {
        // the caller's body
        Reading { read: ReadPayload },
        // the inner response, and how it is to be translated; boxed, as most that pass are not
        Sending { #[pin] sent: F, translation: Option<Box<Translation>> },
        // the answer
        Answering { answer: TranslatedAnswer<R> },
        Done,
    }
}

impl<S, R> TranslateFuture<S, R>
where
    S: Service<Request<Payload>>,
{
    pub(crate) const fn new(read: ReadPayload, service: S, settings: Arc<Settings>) -> Self {
        Self {
            state: State::Reading { read },
            service,
            settings,
        }
    }
}

impl Settings {
    /// Makes the call the target's. `None`: it passes as it is.
    fn translate(
        &self,
        request: &mut Request<Payload>,
    ) -> Option<Result<Translation, (Dialect, NotTranslated)>> {
        let from = Call::of(request)?.dialect();
        translates(from, self.to).then(|| {
            let begun = self.begin(request);
            begun.map_err(|error| (from, error))
        })
    }

    fn begin(&self, request: &mut Request<Payload>) -> Result<Translation, NotTranslated> {
        if let Some(version) = &self.version {
            let name = HeaderName::from_static("anthropic-version");
            request.headers_mut().insert(name, version.clone());
        }
        let carries = self.carries_last_turn;
        let translation =
            Translation::begin_with(request, self.to, |asked| asked.carry_last_turn(carries))?;
        let translation = translation.clock(self.clock.clone());
        let asked = Call::of(request).and_then(|call| call.model());
        let Some(model) = self.model_for(asked.unwrap_or_default()) else {
            return Ok(translation);
        };
        Call::set_model(request, model)?;
        Ok(match Call::of(request) {
            Some(call) => translation.asked(call),
            None => translation,
        })
    }
}

impl<S, R> Future for TranslateFuture<S, R>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<AnswerBody<R>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let response = match this.state.as_mut().project() {
                StateProj::Reading { read } => {
                    let mut request = ready!(Pin::new(read).poll(cx));
                    match this.settings.translate(&mut request) {
                        Some(Err((from, why))) => Ok(refused(from, &why)),
                        begun => {
                            let translation = begun.and_then(Result::ok).map(Box::new);
                            let sent = this.service.call(request);
                            this.state.set(State::Sending { sent, translation });
                            continue;
                        }
                    }
                }
                StateProj::Sending { sent, translation } => match ready!(sent.poll(cx)) {
                    Err(error) => Err(error),
                    Ok(response) => match translation.take() {
                        None => Ok(response.map(AnswerBody::inner)),
                        Some(translation) => {
                            let answer = translation.answer(response.map(AnswerBody::inner));
                            this.state.set(State::Answering { answer });
                            continue;
                        }
                    },
                },
                StateProj::Answering { answer } => Ok(ready!(Pin::new(answer).poll(cx))),
                StateProj::Done => panic!("a future is not polled after it was ready"),
            };
            this.state.set(State::Done);
            return Poll::Ready(response);
        }
    }
}

/// No call was sent: this one cannot be translated.
fn refused<R>(from: Dialect, why: &NotTranslated) -> Response<AnswerBody<R>> {
    let answer = ErrorAnswer::new(StatusCode::BAD_REQUEST, "not_translated", why.to_string());
    Refusal::new("llm-translate", answer).into_response(Some(from))
}

impl<S, R> fmt::Debug for TranslateFuture<S, R>
where
    S: Service<Request<Payload>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TranslateFuture").finish_non_exhaustive()
    }
}
