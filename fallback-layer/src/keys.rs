//! What the failures of a target are remembered by.

use http::Request;
use llm_exchange::{Call, Payload, Verdict, credentials};

use crate::{memory::Memories, routes::Stop, target::Whose};

/// Where a call was going and with whose credential, hashed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) host: u64,
    account: u64,
}

impl Origin {
    pub(crate) fn of(request: &Request<Payload>, memories: &Memories) -> Self {
        let authority = request.uri().authority();
        let authority = authority.map_or("", |authority| authority.as_str());
        Self {
            host: memories.hash(authority.as_bytes()),
            account: memories.hash(credentials(request)),
        }
    }
}

/// What a target's failures are remembered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Where it is, and what.
    pub(crate) host: u64,
    /// And with whose credential it is called.
    pub(crate) account: u64,
}

impl Keys {
    /// Of the target, when it serves a call from there.
    pub(crate) fn of<O>(memories: &Memories, stop: &Stop<O>, call: &Call, origin: Origin) -> Self {
        let account = match &stop.spec.credential {
            Whose::Callers | Whose::CallersThere => origin.account,
            Whose::Own(credential) => memories.hash(credential),
            Whose::Nobodys => 0,
        };
        let host = host_key(memories, stop, call, || origin.host);
        Self {
            host,
            account: memories.hash((host, account)),
        }
    }

    /// The one that an outcome is about. `None`: it is about neither.
    pub(crate) const fn about(self, verdict: Verdict) -> Option<u64> {
        match verdict {
            Verdict::Overloaded | Verdict::Failed | Verdict::TimedOut => Some(self.host),
            Verdict::Throttled | Verdict::QuotaExhausted | Verdict::CallersFault => {
                Some(self.account)
            }
            _ => None,
        }
    }
}

/// [`Keys::host`]; `origin` is the hash of where the call was going.
pub(crate) fn host_key<O>(
    memories: &Memories,
    stop: &Stop<O>,
    call: &Call,
    origin: impl FnOnce() -> u64,
) -> u64 {
    let host = match &stop.spec.host {
        Some(host) => memories.hash(host.authority().as_str().as_bytes()),
        None => origin(),
    };
    // a service of one's own may lead anywhere: it is told apart from all others
    let own = stop.own.as_ref().map(|_| stop.id);
    memories.hash((host, stop.spec.model_for(call.model()), own))
}
