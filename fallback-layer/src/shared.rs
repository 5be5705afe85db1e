//! The layer, as one call's future sees it.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use llm_exchange::{AnswerBody, Call, ErrorAnswer, Payload, PeekLimits, Refusal};
use tokio::time::Instant;
use tower_service::Service;

use crate::{Own, course::Course, layer::Settings};

/// On the request: the chain that the caller chooses.
const CHAIN: HeaderName = HeaderName::from_static("x-llm-chain");

pub(crate) struct Shared<O, C, H> {
    pub(crate) settings: Arc<Settings<O>>,
    pub(crate) classify: C,
    pub(crate) hook: H,
}

/// An attempt's own time.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// When it came.
    pub(crate) at: Instant,
    /// Nothing else could be tried when its time was up.
    pub(crate) patient: bool,
}

impl Turn {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            patient: false,
        }
    }
}

impl<O, C, H> Shared<O, C, H> {
    /// Begins the course of a call. None: it is passed through.
    ///
    /// # Errors
    ///
    /// No target can be tried: the answer.
    pub(crate) fn set_out<R>(
        &self,
        request: &mut Request<Payload>,
        began: Instant,
        course: &mut Option<Course>,
    ) -> Result<(), Box<Response<AnswerBody<R>>>> {
        let settings = &*self.settings;
        let Some(call) = Call::of(request).filter(|call| call.unreadable().is_none()) else {
            return Ok(());
        };
        let Some(model) = call.model().filter(|_| request.body().is_replayable()) else {
            return Ok(());
        };
        let has_names = settings.routes.has_names();
        let named = has_names.then(|| request.headers().get(CHAIN)).flatten();
        let named = named.map(HeaderValue::as_bytes);
        let chain = match settings.routes.chain_of(call.dialect(), model, named) {
            Some(Some(chain)) => chain,
            Some(None) => return Ok(()),
            None => {
                let message = "there is no chain of the name in x-llm-chain";
                let answer = ErrorAnswer::new(StatusCode::BAD_REQUEST, "unknown_chain", message);
                let refusal = Refusal::new("fallback-layer", answer);
                return Err(Box::new(refusal.into_response(Some(call.dialect()))));
            }
        };
        let begun = course.insert(Course::new(Arc::clone(call), chain, settings));
        if has_names {
            request.headers_mut().remove(CHAIN);
        }
        if begun.set_out(request, began, settings) {
            return Ok(());
        }
        let answer = Box::new(begun.nobody(settings));
        *course = None;
        Err(answer)
    }

    /// The service that the current target brings.
    pub(crate) fn own<S>(&self, course: Option<&Course>) -> Option<O::Service>
    where
        S: Service<Request<Payload>>,
        O: Own<S>,
    {
        let own = course?.stop(&self.settings).own.as_ref();
        own.map(Own::service)
    }

    /// When the current target has to be ready.
    pub(crate) fn ready_by(&self, course: &Course, turn: Turn) -> Option<Instant> {
        if turn.patient || !course.may_go_on(&self.settings) {
            return course.call().attempts().deadline();
        }
        let limit = self.settings.ready_timeout;
        let limit = course
            .stop(&self.settings)
            .spec
            .max_latency
            .unwrap_or(limit)
            .min(limit);
        turn.at.checked_add(limit)
    }

    /// When the current target has to have given its first content.
    pub(crate) fn content_by(&self, course: &Course, turn: Turn) -> Option<Instant> {
        let limit = course.stop(&self.settings).spec.max_latency?;
        let may_go_on = !turn.patient && course.may_go_on(&self.settings);
        may_go_on.then(|| turn.at.checked_add(limit)).flatten()
    }

    pub(crate) fn peek_limits(&self, course: &Course) -> PeekLimits {
        let limits = self.settings.peek;
        match course.stop(&self.settings).spec.max_latency {
            // until its time is up another target may still be tried
            Some(limit) if course.may_go_on(&self.settings) => {
                limits.commit_after(limit.saturating_add(Duration::from_millis(1)))
            }
            _ => limits,
        }
    }
}
