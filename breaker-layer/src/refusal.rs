//! What a refused call is answered.

use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use http::{Response, StatusCode};
use llm_exchange::{AnswerBody, Dialect, ErrorAnswer, Refusal};

use crate::{entry::Kind, guard::Turned};

/// Bodies that were written once, as they are the same each time: one for each dialect and kind that
/// was ever refused.
#[derive(Debug, Default)]
pub(crate) struct Bodies(RwLock<Vec<(Option<Dialect>, Kind, Bytes)>>);

impl Bodies {
    fn find(&self, dialect: Option<Dialect>, kind: Kind) -> Option<Bytes> {
        let bodies = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut bodies = bodies.iter();
        let found = bodies.find(|(of, is, _)| *of == dialect && *is == kind);
        found.map(|(.., body)| body.clone())
    }

    fn keep(&self, dialect: Option<Dialect>, kind: Kind, body: Bytes) {
        let mut bodies = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !bodies
            .iter()
            .any(|(of, is, _)| *of == dialect && *is == kind)
        {
            bodies.push((dialect, kind, body));
        }
    }
}

pub(crate) fn response<R>(turned: &Turned, dialect: Option<Dialect>) -> Response<AnswerBody<R>> {
    turned.entry.refused();
    let (bodies, kind) = (&turned.entry.core.bodies, turned.entry.kind());
    let refusal = refusal(turned, kind);
    if let Some(body) = bodies.find(dialect, kind) {
        return refusal.into_response_of(body);
    }
    if let Some(body) = refusal.body(dialect) {
        bodies.keep(dialect, kind, body);
    }
    refusal.into_response(dialect)
}

fn refusal(turned: &Turned, kind: Kind) -> Refusal {
    let (code, message) = match kind {
        Kind::Key => (
            "circuit_open",
            "too many calls to this model failed; none is sent for now",
        ),
        Kind::Credential => (
            "credential_circuit_open",
            "this credential has nothing left to spend; no call is sent with it for now",
        ),
    };
    let answer = ErrorAnswer::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
        .retry_after(turned.entry.come_again(turned.refused));
    Refusal::new("breaker-layer", answer)
}
