//! What is known of a call before its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use llm_exchange::{Call, Framing, Payload, ask_for_plain_text};
use tokio::time::Instant;

use super::layer::Settings;

/// A caller who asks for a stream.
pub(super) struct Caller {
    pub(super) call: Arc<Call>,
    pub(super) settings: Arc<Settings>,
    pub(super) began: Instant,
    /// The caller may be given a head before the upstream's.
    pub(super) takes_early_head: bool,
    /// Where the stream is cut.
    pub(super) cap: Option<u64>,
    /// The caller asked for the usage.
    pub(super) asked_usage: bool,
    /// This layer did, behind the caller's back.
    pub(super) hides_usage: bool,
}

impl Caller {
    /// What is written while the upstream is silent.
    pub(super) fn keep_alive(&self) -> Bytes {
        Bytes::from_static(self.call.dialect().keep_alive().as_bytes())
    }

    /// Whether a last event of numbers is written; clients that read nothing but data would fail at its
    /// name.
    pub(super) fn is_told_numbers(&self) -> bool {
        self.settings.summary && self.call.dialect().reads_comments()
    }

    /// `None`: it is no LLM call, or not known to ask for a stream.
    pub(super) fn of(request: &mut Request<Payload>, settings: &Arc<Settings>) -> Option<Self> {
        let call = Arc::clone(Call::of(request).filter(|call| call.is_stream())?);
        ask_for_plain_text(request.headers_mut());
        let takes_early_head = Call::framing(request) == Some(Framing::Sse);
        let cap = settings.cap_of(&call);
        if let Some(cap) = cap {
            call.attempts().watch_output(cap);
        }
        // a request that cannot be changed has its usage estimated
        let hides_usage = settings.summary && Call::ask_usage(request).unwrap_or(false);
        Some(Self {
            asked_usage: call.asks_usage(),
            call,
            settings: Arc::clone(settings),
            began: Instant::now(),
            takes_early_head,
            cap,
            hides_usage,
        })
    }
}
