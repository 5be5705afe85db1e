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
    entry: Arc<Entry>,
    credential: Option<CredentialKey>,
    unstreamed: bool,
}

/// A call that is not let through.
pub(crate) struct Turned {
    pub(crate) seat: Seat,
    /// the credential's circuit, if that refused it
    own: Option<Arc<Entry>>,
    pub(crate) refused: Refused,
}

impl Turned {
    /// The circuit that refused it.
    pub(crate) fn entry(&self) -> &Arc<Entry> {
        self.own.as_ref().unwrap_or(&self.seat.entry)
    }
}

/// A call that is. Dropping it says that its caller went away.
pub(crate) struct Guard {
    entry: Arc<Entry>,
    /// none of a last resort, and none once it was settled
    token: Option<Token>,
    credential: Option<CredentialKey>,
    /// The credential's own circuit, if it has one. Boxed, as few have.
    own: Option<Box<Own>>,
    /// Only where slow calls count. Boxed, as all answers are moved often.
    clock: Option<Box<Clock>>,
}

/// A call's place in the circuit of its credential.
struct Own {
    entry: Arc<Entry>,
    token: Token,
}

impl Own {
    /// The call is not sent after all.
    fn give_back(self) {
        self.entry.give_back(self.token);
    }
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
    #[inline]
    pub(crate) fn of(shared: &Arc<Shared>, request: &Request<Payload>, call: &Call) -> Self {
        let mut seat = Self {
            entry: shared.circuit(request, call),
            credential: None,
            unstreamed: !call.is_stream(),
        };
        // else it is read once the call is let through, for its end
        if shared.core.hub.known.has_credentials() {
            seat.read_credential(shared, request);
        }
        seat
    }

    pub(crate) fn read_credential(&mut self, shared: &Shared, request: &Request<Payload>) {
        self.credential = shared.credential_key(request, &self.entry);
    }

    #[inline]
    pub(crate) fn admit(self, shared: &Shared) -> Result<Guard, Turned> {
        let own = match self.credential.and_then(|key| shared.credential(key)) {
            None => None,
            Some(entry) => match entry.admit() {
                Ok(token) => Some(Box::new(Own { entry, token })),
                Err(refused) => {
                    return Err(Turned {
                        seat: self,
                        own: Some(entry),
                        refused,
                    });
                }
            },
        };
        let settings = &shared.core.settings;
        let token = match self.entry.admit() {
            Ok(token) => Some(token),
            Err(refused) => {
                let resort = settings.last_resort;
                if !resort.is_some_and(|rule| shared.core.hub.known.lets_through(rule)) {
                    if let Some(own) = own {
                        own.give_back();
                    }
                    return Err(Turned {
                        seat: self,
                        own: None,
                        refused,
                    });
                }
                None
            }
        };
        Ok(Guard {
            clock: settings.slow.and_then(|slow| self.clock(slow)),
            entry: self.entry,
            token,
            credential: self.credential,
            own,
        })
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
    /// Notes whose call it is, if that was not read before.
    pub(crate) fn read_credential(&mut self, shared: &Shared, request: &Request<Payload>) {
        if self.credential.is_none() {
            self.credential = shared.credential_key(request, &self.entry);
        }
    }

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

    /// The same, for a guard that stays where it is. Only the first end counts.
    #[inline]
    pub(crate) fn end(&mut self, ended: Ended) {
        let (token, own) = (self.token.take(), self.own.take());
        if token.is_none() && own.is_none() {
            return;
        }
        let counts = self.settings().counts.of(ended.verdict);
        if let (Some(token), None, None, Counts::Success) = (token, &own, &self.clock, counts) {
            self.entry.succeeded(token);
        } else {
            self.end_otherwise(token, own, counts, ended);
        }
    }

    fn end_otherwise(
        &self,
        token: Option<Token>,
        own: Option<Box<Own>>,
        counts: Counts,
        ended: Ended,
    ) {
        let refused = ended.verdict == Verdict::Refused;
        let slow = self
            .clock
            .as_ref()
            .filter(|_| !refused)
            .is_some_and(|clock| {
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
        own: Option<Box<Own>>,
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
            own.entry.settle(own.token, outcome);
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
