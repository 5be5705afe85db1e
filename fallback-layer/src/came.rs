//! What came of an attempt.

use std::time::Duration;

use http::{Response, StatusCode};
use llm_exchange::{AnswerBody, Classify, Dialect, ErrorAnswer, Meter, Peeked, Refusal, Verdict};

use crate::{leave::Outcome, target::Spec};

/// What came of an attempt, and what the caller gets if the target is not left for it.
pub(crate) struct Came<R, E> {
    pub(crate) outcome: Outcome,
    pub(crate) answer: Answer<R, E>,
}

pub(crate) enum Answer<R, E> {
    Is(Result<Response<AnswerBody<R>>, E>),
    /// Its time is up, but it may still come; what it has said so far.
    Late(Option<Meter>),
}

impl<R, E> Answer<R, E> {
    /// What the answer has said so far.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        match self {
            Self::Is(Ok(response)) => Meter::of(response),
            Self::Is(Err(_)) => None,
            Self::Late(meter) => meter.as_ref(),
        }
    }
}

impl<R, E> Came<R, E> {
    pub(crate) const fn late(meter: Option<Meter>) -> Self {
        Self {
            outcome: Outcome::of(Verdict::TimedOut),
            answer: Answer::Late(meter),
        }
    }

    pub(crate) fn failed<C: Classify<E>>(error: E, classify: &C) -> Self {
        Self {
            outcome: Outcome::of(classify.error(&error)),
            answer: Answer::Is(Err(error)),
        }
    }

    /// A layer further in refused the call.
    pub(crate) fn refused(response: Response<R>, retry_after: Option<Duration>) -> Self {
        Self {
            outcome: Outcome {
                status: Some(response.status()),
                asked: retry_after,
                ..Outcome::of(Verdict::Refused)
            },
            answer: Answer::Is(Ok(response.map(AnswerBody::inner))),
        }
    }

    /// Nothing could be reserved for this target.
    pub(crate) fn not_allowed(dialect: Dialect) -> Self {
        let message = "nothing can be reserved for this target";
        let answer = ErrorAnswer::new(StatusCode::SERVICE_UNAVAILABLE, "no_attempt_left", message);
        let refusal = Refusal::new("fallback-layer", answer);
        Self {
            outcome: Outcome {
                status: Some(StatusCode::SERVICE_UNAVAILABLE),
                ..Outcome::of(Verdict::Refused)
            },
            answer: Answer::Is(Ok(refusal.into_response(Some(dialect)))),
        }
    }

    pub(crate) fn answered<C: Classify<E>>(
        peeked: &Peeked,
        response: Response<AnswerBody<R>>,
        spec: &Spec,
        is_translated: bool,
        classify: &C,
    ) -> Self {
        Self {
            outcome: Outcome::answered(classify.answer(peeked), peeked, spec, is_translated),
            answer: Answer::Is(Ok(response)),
        }
    }
}
