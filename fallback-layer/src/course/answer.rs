//! What the caller gets in the end.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use http_body::Body;
use llm_exchange::{AnswerBody, AskedModel, BoxError, Meter, Refusal, Verdict};
use tokio::time::Instant;

use super::Course;
use crate::{
    FallbackBody, Left, Served, Why, all_failed, body::Remember, hook, layer::Settings,
    leave::Outcome,
};

/// On the answer: the model that served it.
const MODEL: HeaderName = HeaderName::from_static("x-llm-model");
/// On the answer: how often the call was sent, where that was more than once.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-llm-attempts");
/// On the answer when the outermost layer gave up; OpenAI's and Anthropic's SDKs obey it.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The meter of an answer that was translated: what layers further out read is of other bytes.
#[derive(Clone)]
pub(crate) struct OfTarget(pub(crate) Meter);

impl OfTarget {
    /// Whether this answer was translated.
    pub(crate) fn is_of<B>(response: &Response<B>) -> bool {
        response.extensions().get::<Self>().is_some()
    }

    /// What the target has said, also where its answer was translated since.
    pub(crate) fn meter<B>(response: &Response<B>) -> Option<Meter> {
        let translated = response.extensions().get().map(|Self(meter)| meter);
        translated.or_else(|| Meter::of(response)).cloned()
    }
}

impl Course {
    /// The answer of the current target, as the caller gets it.
    pub(crate) fn hand_on<O, R>(
        &mut self,
        response: Response<AnswerBody<R>>,
        outcome: &Outcome,
        settings: &Settings<O>,
    ) -> Response<FallbackBody<R>>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let mut remember = None;
        if outcome.verdict == Verdict::Ok {
            self.served = true;
            self.begin_onward(settings);
            if !self.is_onward() && self.target != self.first {
                settings.counters.fell_back.fetch_add(1, Relaxed);
            }
            if let Some(memories) = &settings.memories {
                let account = || self.keys_of_kept(settings).map_or(0, |keys| keys.account);
                memories.went_well(account);
                // what is here already cannot break any more
                if response.body().is_here() {
                    memories.went_well(|| self.host_key(memories, settings));
                } else {
                    remember = Some(Remember {
                        memories: Arc::clone(memories),
                        key: self.host_key(memories, settings),
                        target: self.label(settings),
                        meter: OfTarget::meter(&response),
                    });
                }
            }
        }
        self.mark(response, true, settings)
            .map(|body| FallbackBody::new(body, remember))
    }

    /// The answer when the current target is left and none comes after it: its own if there was no
    /// other, else one that names them all.
    pub(crate) fn give_up<O, R, E>(
        &mut self,
        answer: Result<Response<AnswerBody<R>>, E>,
        outcome: &Outcome,
        settings: &Settings<O>,
    ) -> Result<Response<FallbackBody<R>>, E>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let keys = self.keys_of_kept(settings);
        self.note(outcome, keys, Instant::now(), settings);
        let response = match answer {
            answer if self.left.len() == 1 && !self.is_onward() => {
                self.count_all_failed(settings);
                let response = self.mark(answer?, true, settings);
                self.say_not_again(response)
            }
            answer => {
                let meter = answer.ok().and_then(|answer| Meter::of(&answer).cloned());
                self.leave_behind(outcome.verdict, meter);
                self.nobody(settings)
            }
        };
        Ok(response.map(|body| FallbackBody::new(body, None)))
    }

    /// The layer's own answer when no target served the call.
    pub(crate) fn nobody<O, R>(&mut self, settings: &Settings<O>) -> Response<AnswerBody<R>> {
        self.count_all_failed(settings);
        let answer = all_failed::answer(&self.left, self.asked_until, Instant::now());
        let dialect = Some(self.call.dialect());
        let tried = |left: &Left| matches!(left.why, Why::Outcome(_));
        let response = if self.left.iter().any(tried) {
            answer.into_response(dialect)
        } else {
            Refusal::new("fallback-layer", answer).into_response(dialect)
        };
        let response = self.mark(response, false, settings);
        self.say_not_again(response)
    }

    fn count_all_failed<O>(&self, settings: &Settings<O>) {
        // what was served once has not failed at all targets
        if self.is_onward() {
            return;
        }
        settings.counters.all_failed.fetch_add(1, Relaxed);
        hook::all_failed(&self.left);
    }

    /// Says in an answer who served the call, if it is the current target's.
    fn mark<O, R>(
        &mut self,
        mut response: Response<AnswerBody<R>>,
        served: bool,
        settings: &Settings<O>,
    ) -> Response<AnswerBody<R>> {
        let attempts = self.call.attempts().count();
        // no meter of a layer further out can know it of the call as its caller made it
        let sent = self.rewritten.as_ref().filter(|_| served);
        if let Some(asked) = sent.and_then(|sent| AskedModel::of(sent))
            && Meter::of(&response).is_none()
        {
            response.extensions_mut().insert(asked);
        }
        let headers = response.headers_mut();
        if served && let Some(model) = self.stop(settings).model_header(&self.call) {
            headers.insert(MODEL, model);
        }
        if attempts > 1 {
            headers.insert(ATTEMPTS, attempts.into());
        }
        response.extensions_mut().insert(Served {
            by: served.then(|| self.label(settings)),
            call: Arc::clone(&self.call),
            attempts,
            left: mem::take(&mut self.left),
            fell_back: served && self.target != self.first,
            went_on: self.went_on(),
        });
        response
    }

    /// The outermost layer that sends calls again gave up.
    fn say_not_again<B>(&self, mut response: Response<B>) -> Response<B> {
        if self.outermost {
            let no = HeaderValue::from_static("false");
            response.headers_mut().insert(SHOULD_RETRY, no);
        }
        response
    }
}
