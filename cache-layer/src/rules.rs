//! What may be cached: of calls by what they ask, of answers by what they came to.

mod model;

use http::{Request, uri::Authority};
use llm_exchange::{Call, Dialect, End, FinishReason, Meter, Payload, Verdict};
use memchr::memmem;

pub(crate) use self::model::same_family;
use crate::{control::Control, key::Seen};

/// Which calls are cached that do not ask for it themselves.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Calls of which the same answer is expected again: `temperature: 0`, and embeddings. Not those
    /// for which the provider searches or runs something.
    #[default]
    Deterministic,
    /// Every call that depends on nothing but itself.
    All,
}

/// Whether a call's answer may come from the cache and go into it.
pub(crate) fn is_cacheable(mode: Mode, dialect: Dialect, seen: Seen, control: &Control) -> bool {
    if control.no_store || seen.stateful {
        return false;
    }
    match mode {
        Mode::All => true,
        _ if dialect == Dialect::OpenAiEmbeddings => true,
        // who asks for an age wants this call cached
        _ if control.max_age.is_some() || control.only_if_cached => true,
        Mode::Deterministic => seen.temperature_zero && !seen.looks_up,
    }
}

/// Whether an answer past its time is better than this.
pub(crate) const fn is_outage(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Throttled
            | Verdict::QuotaExhausted
            | Verdict::Overloaded
            | Verdict::Failed
            | Verdict::TimedOut
            | Verdict::Refused
    )
}

/// Why an answer is not kept.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotKept {
    /// It did not come to its end, or has an error in it.
    Incomplete,
    /// It was cut by an output cap, filtered, refused, or ended for a reason that is not known.
    Finish,
    /// It is of another model than the one asked for.
    Model,
    /// It is of another host than the one asked: a layer further in sent the call elsewhere.
    Host,
    /// It is a stream where JSON was asked for, or the reverse, or cannot be read.
    Form,
    /// It is larger than the layer's limit on one answer.
    TooLarge,
    /// There were too many bytes of answers under way to hold all of it to its end.
    NoRoom,
    /// The store holds no entry of this size, or could not take it now.
    Store,
}

impl NotKept {
    /// The name in `snake_case`, for labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Finish => "finish",
            Self::Model => "model",
            Self::Host => "host",
            Self::Form => "form",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::Store => "store",
        }
    }
}

/// Whose answer it is to be.
pub(crate) struct Whom {
    /// `None`: it has a name of the caller's own, as Azure's deployments have.
    model: Option<Box<str>>,
    host: Option<Authority>,
}

impl Whom {
    pub(crate) fn asked(request: &Request<Payload>, call: &Call) -> Self {
        let uri = request.uri();
        let own = uri.path().contains("/openai/deployments/");
        Self {
            model: call.model().filter(|_| !own).map(Into::into),
            host: uri.authority().cloned(),
        }
    }

    /// The host and port that are asked.
    pub(crate) fn host(&self) -> Option<&str> {
        let host = self.host.as_ref()?.as_str();
        host.rsplit('@').next()
    }

    /// Whether a call that was sent there was sent where it was to go.
    fn is_at(&self, host: &str) -> bool {
        self.host.as_ref().is_some_and(|asked| asked == host)
    }
}

/// Judges an answer that has passed, with its whole body. `called` is the model of the call that was
/// sent, whatever the names of answers are.
pub(crate) fn may_be_kept(
    meter: &Meter,
    called: Option<&str>,
    whom: &Whom,
    wants_stream: bool,
    body: &[u8],
) -> Result<(), NotKept> {
    match meter.end() {
        Some(End::Complete) => {}
        Some(End::Unreadable) => return Err(NotKept::Form),
        _ => return Err(NotKept::Incomplete),
    }
    if meter.error().is_some() {
        return Err(NotKept::Incomplete);
    }
    if meter.is_stream() != wants_stream {
        return Err(NotKept::Form);
    }
    // embeddings have no reason to end for
    let is_finished = meter.dialect() == Dialect::OpenAiEmbeddings
        || matches!(
            meter.finish(),
            Some(FinishReason::Stop | FinishReason::Tool)
        );
    if !is_finished || is_refusal(body) {
        return Err(NotKept::Finish);
    }
    // an answer need not name its model: then it is of who was asked last
    let is_it = match (called, meter.asked_model()) {
        (Some(called), Some(asked)) => same_family(called, asked),
        (called, asked) => called == asked,
    };
    if !is_it {
        return Err(NotKept::Model);
    }
    // the key is of the host that the caller asked
    if meter.asked_host().is_some_and(|host| !whom.is_at(host)) {
        return Err(NotKept::Host);
    }
    match (whom.model.as_deref(), meter.model()) {
        (Some(asked), Some(answered)) if !same_family(asked, &answered) => Err(NotKept::Model),
        _ => Ok(()),
    }
}

/// OpenAI ends a refusal with `stop`; it says so in a member of its own. A text that talks of such a
/// member has its quotes escaped.
fn is_refusal(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"refusal\"";
    memmem::find_iter(body, NAME).any(|at| {
        let value = body[at + NAME.len()..].trim_ascii_start();
        let value = value.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| value.starts_with(b"\"") && !value.starts_with(b"\"\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_seen_and_talk_of_one_is_not() {
        assert!(is_refusal(
            br#"{"message":{"content":null,"refusal":"No."}}"#
        ));
        assert!(is_refusal(b"data: {\"delta\":{\"refusal\" : \"I\"}}\n\n"));
        assert!(!is_refusal(
            br#"{"message":{"content":"x","refusal":null}}"#
        ));
        assert!(!is_refusal(br#"{"delta":{"refusal":""}}"#));
        assert!(!is_refusal(br#"{"content":"{\"refusal\":\"No.\"}"}"#));
    }
}
