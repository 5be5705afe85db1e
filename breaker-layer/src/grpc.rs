//! How a gRPC call ended: by its trailers, or by a head that has only them.

use http::{HeaderMap, header};
use llm_exchange::Verdict;

pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// What the status of a call means, by gRPC's own convention; one that is no number is UNKNOWN. `None`:
/// there is none.
pub(crate) fn status(trailers: &HeaderMap) -> Option<Verdict> {
    let code = trailers.get("grpc-status")?.to_str().unwrap_or_default();
    Some(match code.trim().parse().unwrap_or(2) {
        0 => Verdict::Ok,
        1 => Verdict::CallerGone,
        4 => Verdict::TimedOut,
        8 => Verdict::Throttled,
        14 => Verdict::Overloaded,
        2 | 10 | 13 | 15 => Verdict::Failed,
        _ => Verdict::CallersFault,
    })
}
