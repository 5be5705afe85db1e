//! What all services of one layer share: the gates, and what is learnt from answers.

use std::{fmt, sync::Arc};

use http::{HeaderMap, Request};
use llm_exchange::{Call, Delay, LimitOf, Payload, Peeked, RateLimit, Verdict};
use tokio::time::Instant;

use super::{
    gate::{Pass, Turn},
    keys::{Key, Keys},
    settings::Settings,
};

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) keys: Keys,
}

/// A call that is sent, and what its answer is of use for.
pub(crate) struct Sent {
    pub(crate) shared: Arc<Shared>,
    pub(crate) call: Arc<Call>,
    pub(crate) key: Key,
    pub(crate) size: u64,
    pub(crate) pass: Pass,
}

/// A call that asks for its turn.
pub(crate) struct Asking {
    pub(crate) call: Arc<Call>,
    pub(crate) key: Key,
    pub(crate) size: u64,
}

impl Asking {
    /// `None`: it is no LLM call, or nobody is there any more who made it.
    pub(crate) fn of(shared: &Shared, request: &Request<Payload>) -> Option<Self> {
        let call = Call::of(request).filter(|_| !request.body().upload_broke())?;
        Some(Self {
            key: shared.keys.key(request, call),
            size: size(call),
            call: Arc::clone(call),
        })
    }

    pub(crate) fn turn(&self, shared: &Shared) -> Turn {
        match shared.keys.find(&self.key) {
            None => Turn::Pass(Pass::free()),
            Some(gate) => {
                let deadline = self.call.attempts().deadline();
                gate.turn(self.size, &shared.settings, deadline)
            }
        }
    }

    pub(crate) fn sent(self, shared: &Arc<Shared>, pass: Pass) -> Sent {
        Sent {
            shared: Arc::clone(shared),
            call: self.call,
            key: self.key,
            size: self.size,
            pass,
        }
    }
}

/// What a provider's limit of tokens counts of a call before it is answered.
fn size(call: &Call) -> u64 {
    let output = call.output_cap().unwrap_or(0);
    let output = output.saturating_mul(u64::from(call.choices()));
    call.estimated_input().saturating_add(output)
}

impl Sent {
    /// The head of a successful answer, or of one that says no more.
    pub(crate) fn answered(self, headers: &HeaderMap) {
        self.read_limits(headers);
        self.pass.heard();
    }

    /// An error answer.
    pub(crate) fn failed(self, peeked: &Peeked, headers: &HeaderMap) {
        let throttled = matches!(
            peeked.verdict(),
            Verdict::Throttled | Verdict::QuotaExhausted
        );
        if throttled && let Some(Delay::Asked(asked)) = peeked.hints().delay() {
            self.throttled(asked, headers);
        }
        self.answered(headers);
    }

    fn throttled(&self, asked: std::time::Duration, headers: &HeaderMap) {
        let settings = &self.shared.settings;
        let Some(gate) = self.shared.keys.find_or_make(&self.key, &self.call) else {
            return;
        };
        let hold = asked.min(settings.max_hold);
        // where something is left of every limit, this call was too large for it
        let (mut some_tokens, mut none) = (false, false);
        for limit in RateLimit::read(headers, &settings.clock) {
            some_tokens |= limit.of == LimitOf::Tokens && limit.remaining > 0;
            none |= limit.remaining == 0;
        }
        gate.throttled(Instant::now(), hold, self.size, none || !some_tokens);
        tracing::info!(
            authority = &*gate.authority,
            model = gate.model.as_deref(),
            seconds = hold.as_secs_f64(),
            "the provider throttles: further calls are held back"
        );
    }

    /// A gate is made for a limit of which nothing is left; one that is there hears of all.
    fn read_limits(&self, headers: &HeaderMap) {
        let settings = &self.shared.settings;
        let mut limits = RateLimit::read(headers, &settings.clock);
        let is_spent = |limit: RateLimit| limit.remaining == 0 && limit.full_in.is_some();
        let gate = match self.shared.keys.find(&self.key) {
            None if limits.any(is_spent) => self.shared.keys.find_or_make(&self.key, &self.call),
            found => found,
        };
        if let Some(gate) = gate {
            let limits = RateLimit::read(headers, &settings.clock);
            gate.told(Instant::now(), limits, settings.max_hold);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
