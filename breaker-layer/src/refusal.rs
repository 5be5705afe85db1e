//! What a refused call is answered.

use http::{Response, StatusCode};
use llm_exchange::{AnswerBody, Dialect, Room, StandingRefusal};

use crate::{guard::Turned, rules::Kind};

static OF_KEY: StandingRefusal = StandingRefusal::new(
    "breaker-layer",
    StatusCode::SERVICE_UNAVAILABLE,
    "circuit_open",
    "too many calls to this model failed; none is sent for now",
);
static OF_CREDENTIAL: StandingRefusal = StandingRefusal::new(
    "breaker-layer",
    StatusCode::SERVICE_UNAVAILABLE,
    "credential_circuit_open",
    "this credential has nothing left to spend; no call is sent with it for now",
);

pub(crate) fn answer<R>(
    turned: &Turned,
    dialect: Option<Dialect>,
    room: Room,
) -> Response<AnswerBody<R>> {
    let entry = turned.entry();
    entry.refused();
    let refusal = match entry.kind() {
        Kind::Key => &OF_KEY,
        Kind::Credential => &OF_CREDENTIAL,
    };
    refusal.answer(dialect, entry.come_again(turned.refused), room)
}
