//! The request as it is sent again.

use std::time::Duration;

use http::{HeaderName, Request};
use llm_exchange::{KeptRequest, Payload, ask_for_plain_text};

use crate::deadline;

/// On the request, from the second attempt on: its number.
const ATTEMPT: HeaderName = HeaderName::from_static("x-llm-attempt");

/// What is kept of a request to send it again.
pub(crate) struct Again {
    request: KeptRequest,
    // seen while it was kept
    names_encoding: bool,
    grpc_timeout: Option<Duration>,
}

impl Again {
    /// `None`: the request can be sent only once.
    pub(crate) fn keep(request: &Request<Payload>) -> Option<Self> {
        let (mut names_encoding, mut grpc_timeout) = (false, None);
        let request = KeptRequest::keep_seeing(request, |name, value| match name {
            "accept-encoding" => names_encoding = true,
            "grpc-timeout" => {
                grpc_timeout = grpc_timeout.or_else(|| deadline::grpc_timeout(value));
            }
            _ => {}
        })?;
        Some(Self {
            request,
            names_encoding,
            grpc_timeout,
        })
    }

    /// Whether the caller named encodings. None but `identity` is asked for, as of the request that
    /// is sent first.
    pub(crate) const fn names_encoding(&self) -> bool {
        self.names_encoding
    }

    /// The caller's own time limit.
    pub(crate) const fn grpc_timeout(&self) -> Option<Duration> {
        self.grpc_timeout
    }

    /// The request of a further attempt; this can be sent again.
    pub(crate) fn request(&self, attempt: u32) -> Option<Request<Payload>> {
        Some(marked(self.request.request()?, attempt))
    }

    /// The request of the last attempt: nothing is copied but its head.
    pub(crate) fn into_request(self, attempt: u32) -> Option<Request<Payload>> {
        Some(marked(self.request.into_request()?, attempt))
    }
}

fn marked(mut request: Request<Payload>, attempt: u32) -> Request<Payload> {
    ask_for_plain_text(request.headers_mut());
    request.headers_mut().insert(ATTEMPT, attempt.into());
    request
}
