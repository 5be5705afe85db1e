//! The body of an answer that is still to be judged.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use llm_exchange::{
    BodyEnd, BoxError, Classify, End, Meter, Observe, Peeked, ProviderError, Standard, Verdict,
};

use crate::{
    guard::{Ended, Guard},
    whole::Whole,
};

/// Watches an answer's body and tells its circuit, once, what the call came to.
pub struct Settle<C> {
    /// Taken when it was told.
    guard: Option<Guard>,
    proof: Proof,
    status: StatusCode,
    /// What the app makes of an answer, and of an error in it.
    answer: fn(&C, &Peeked) -> Verdict,
    classify: C,
}

/// By what it is known how the answer ended.
pub(crate) enum Proof {
    /// Of a stream, and of what comes over gRPC.
    Meter(Meter),
    /// Of any other answer.
    Whole(Whole),
}

impl<C> Settle<C> {
    pub(crate) fn new<E>(guard: Guard, proof: Proof, status: StatusCode, classify: C) -> Self
    where
        C: Classify<E>,
    {
        Self {
            guard: Some(guard),
            proof,
            status,
            answer: <C as Classify<E>>::answer,
            classify,
        }
    }

    fn settle(&mut self, ended: Ended) {
        if let Some(guard) = &mut self.guard {
            guard.end(ended);
            self.guard = None;
        }
    }

    fn answered(&self, error: Option<ProviderError>) -> Ended {
        let peeked = Peeked::new(self.status);
        let Some(error) = error else {
            return (self.answer)(&self.classify, &peeked).into();
        };
        let peeked = peeked.with_error(error);
        Ended::answered((self.answer)(&self.classify, &peeked), &peeked)
    }

    fn ended(&self, end: BodyEnd<'_>) -> Ended {
        match (&self.proof, end) {
            (Proof::Meter(meter), _) => self.by_meter(meter),
            (Proof::Whole(whole), BodyEnd::Whole) => match whole.error() {
                None if whole.is_whole() => self.answered(None),
                None => Verdict::Failed.into(),
                error => self.answered(error),
            },
            (_, BodyEnd::Failed(error)) => {
                let verdict = <Standard as Classify<BoxError>>::error(&Standard, error);
                verdict.into()
            }
            _ => Verdict::CallerGone.into(),
        }
    }

    fn by_meter(&self, meter: &Meter) -> Ended {
        let ended = match meter.error() {
            Some(error) => self.answered(Some(error.as_ref().clone())),
            // who stops reading at the provider's last word has an answer
            None if meter.end() == Some(End::Dropped) && meter.is_over() => self.answered(None),
            None => match meter.verdict() {
                Verdict::Ok => self.answered(None),
                verdict => verdict.into(),
            },
        };
        Ended {
            first_content: meter.first_content(),
            ..ended
        }
    }
}

impl<C> Observe for Settle<C> {
    fn data(&mut self, data: &Bytes) {
        let Some(guard) = &mut self.guard else { return };
        let content_came = match &mut self.proof {
            Proof::Meter(meter) => {
                guard.settles_at_first_content() && meter.first_content().is_some()
            }
            Proof::Whole(whole) => whole.data(data),
        };
        if content_came {
            guard.content_came();
            if guard.settles_at_first_content() {
                let ended = self.answered(None);
                self.settle(ended);
            }
        }
    }

    fn meter(&self) -> Option<&Meter> {
        match &self.proof {
            Proof::Meter(meter) => Some(meter),
            Proof::Whole(_) => None,
        }
    }

    fn end(&mut self, end: BodyEnd<'_>) {
        if self.guard.is_some() {
            let ended = self.ended(end);
            self.settle(ended);
        }
    }
}

impl<C> fmt::Debug for Settle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settle")
            .field("ended", &self.guard.is_none())
            .finish_non_exhaustive()
    }
}
