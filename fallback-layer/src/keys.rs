//! What the failures of a target are remembered by.

use http::{HeaderName, HeaderValue, Request, header};
use llm_exchange::{Call, Payload};

use crate::{
    memory::{Keys, Memories},
    routes::Stop,
    target::Whose,
};

/// What carries a caller's credential: whose account an answer is about.
const CREDENTIALS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// Where a call was going and with whose credential, hashed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    host: u64,
    account: u64,
}

impl Origin {
    pub(crate) fn of(request: &Request<Payload>, memories: &Memories) -> Self {
        let account: [Option<&HeaderValue>; 4] = CREDENTIALS
            .each_ref()
            .map(|name| request.headers().get(name));
        Self {
            host: memories.hash(request.uri().authority()),
            account: memories.hash(account),
        }
    }
}

/// What the target's failures are remembered by, when it serves a call from there.
pub(crate) fn keys<O>(memories: &Memories, stop: &Stop<O>, call: &Call, origin: Origin) -> Keys {
    let spec = &stop.spec;
    let host = match &spec.host {
        Some(host) => memories.hash(Some(host.authority())),
        None => origin.host,
    };
    let account = match &spec.credential {
        Whose::Callers => origin.account,
        Whose::Own(credential) => memories.hash(credential),
        Whose::Nobodys => 0,
    };
    // a service of one's own may lead anywhere: it is told apart from all others
    let own = stop.own.as_ref().map(|_| stop.id);
    let host = memories.hash((host, spec.model_for(call.model()), own));
    Keys {
        host,
        account: memories.hash((host, account)),
    }
}
