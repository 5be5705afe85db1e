//! A call that was let through: what it comes to is told exactly once, wherever it ends.

use std::{sync::Arc, time::Duration};

use http::Request;
use llm_exchange::{Call, Delay, Payload, Peeked, Verdict};
use tokio::time::Instant;

use crate::{
    Counts, SlowCalls,
    circuit::{Outcome, Refused, Said, Token},
    entry::Entry,
    settings::{Settings, nanos},
    shared::{CredentialKey, Shared},
};

/// Which circuits a call belongs to.
pub(crate) struct Seat {
    pub(crate) entry: Arc<Entry>,
    credential: Option<CredentialKey>,
    unstreamed: bool,
}

/// A call that is not let through.
pub(crate) struct Turned {
    /// the circuit that refused it
    pub(crate) entry: Arc<Entry>,
    pub(crate) refused: Refused,
}

/// A call that is. Dropping it says that its caller went away.
pub(crate) struct Guard {
    entry: Arc<Entry>,
    /// none of a last resort, and none once it was settled
    token: Option<Token>,
    credential: Option<CredentialKey>,
    /// The credential's own circuit, if it has one. Boxed, as few have.
    own: Option<Box<(Arc<Entry>, Token)>>,
    /// Only where slow calls count. Boxed, as all answers are moved often.
    clock: Option<Box<Clock>>,
}

struct Clock {
    slow_from: Instant,
    first_content: Option<Instant>,
}

/// What a call came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) verdict: Verdict,
    /// how long the provider asked to be left alone
    pub(crate) retry_after: Option<Duration>,
    pub(crate) first_content: Option<Instant>,
}

impl From<Verdict> for Ended {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            retry_after: None,
            first_content: None,
        }
    }
}

impl Ended {
    pub(crate) fn answered(verdict: Verdict, peeked: &Peeked) -> Self {
        Self {
            verdict,
            retry_after: match peeked.hints().delay() {
                Some(Delay::Asked(delay)) => Some(delay),
                // when a limit is full again says nothing about when the provider is well
                _ => None,
            },
            first_content: None,
        }
    }
}

impl Seat {
    pub(crate) fn of(shared: &Arc<Shared>, request: &Request<Payload>, call: &Call) -> Self {
        let (entry, credential) = shared.circuit(request, call);
        Self {
            entry,
            credential,
            unstreamed: !call.is_stream(),
        }
    }

    pub(crate) fn admit(&self, shared: &Shared) -> Result<Guard, Turned> {
        let own = match self.credential.and_then(|key| shared.credential(key)) {
            None => None,
            Some(entry) => match entry.admit() {
                Ok(token) => Some(Box::new((entry, token))),
                Err(refused) => return Err(Turned { entry, refused }),
            },
        };
        let settings = &shared.core.settings;
        // before it is known whether the call is let through: dropped, it gives a credential's slot back
        let mut guard = Guard {
            entry: Arc::clone(&self.entry),
            token: None,
            credential: self.credential,
            own,
            clock: settings.slow.and_then(|slow| self.clock(slow)),
        };
        match self.entry.admit() {
            Ok(token) => guard.token = Some(token),
            Err(refused) => {
                let resort = settings.last_resort;
                if !resort.is_some_and(|rule| shared.core.hub.lets_through(rule)) {
                    return Err(Turned {
                        entry: Arc::clone(&self.entry),
                        refused,
                    });
                }
            }
        }
        Ok(guard)
    }

    fn clock(&self, slow: SlowCalls) -> Option<Box<Clock>> {
        let limit = if self.unstreamed {
            slow.unstreamed
        } else {
            slow.limit
        };
        Some(Box::new(Clock {
            slow_from: Instant::now().checked_add(limit)?,
            first_content: None,
        }))
    }
}

impl Guard {
    pub(crate) fn settle(mut self, ended: Ended) {
        self.end(ended);
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.entry.core.settings
    }

    pub(crate) fn settles_at_first_content(&self) -> bool {
        self.settings().at_first_content
    }

    /// Notes the time of the first content, if time matters and it is the first.
    pub(crate) fn content_came(&mut self) {
        if let Some(clock) = &mut self.clock {
            clock.first_content.get_or_insert_with(Instant::now);
        }
    }

    fn end(&mut self, ended: Ended) {
        let (token, own) = (self.token.take(), self.own.take());
        if token.is_none() && own.is_none() {
            return;
        }
        let counts = self.settings().counts.of(ended.verdict);
        let slow = self.clock.as_ref().is_some_and(|clock| {
            let content = ended.first_content.or(clock.first_content);
            content.unwrap_or_else(Instant::now) > clock.slow_from
        });
        let outcome = |said| Outcome {
            said,
            slow,
            retry_after: ended
                .retry_after
                .filter(|_| said == Said::Failure)
                .map(nanos),
        };
        let said = match counts {
            Counts::Success => Said::Success,
            Counts::Failure => Said::Failure,
            Counts::Neither | Counts::AgainstCredential => Said::Nothing,
        };
        if let Some(token) = token {
            self.entry.settle(token, outcome(said));
        }
        self.end_credential(own, counts, outcome);
    }

    fn end_credential(
        &self,
        own: Option<Box<(Arc<Entry>, Token)>>,
        counts: Counts,
        outcome: impl Fn(Said) -> Outcome,
    ) {
        let said = match counts {
            Counts::AgainstCredential => Said::Failure,
            Counts::Success => Said::Success,
            _ => Said::Nothing,
        };
        let outcome = Outcome {
            slow: false,
            ..outcome(said)
        };
        if let Some(own) = own {
            own.0.settle(own.1, outcome);
        } else if let (Counts::AgainstCredential, Some(key), Some(shared)) =
            (counts, self.credential, self.entry.shared.upgrade())
        {
            let entry = shared.make_credential(key, &self.entry);
            if let Ok(token) = entry.admit() {
                entry.settle(token, outcome);
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end(Verdict::CallerGone.into());
    }
}
