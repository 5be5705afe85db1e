//! Whether a target is left after what came of it. Nothing here waits or sends.

use std::time::Duration;

use http::StatusCode;
use llm_exchange::{Delay, Peeked, Verdict};

use crate::{
    target::{Spec, Whose},
    walk::Cause,
};

/// What came of an attempt, its answer apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) status: Option<StatusCode>,
    /// How long the target asked to be left alone.
    pub(crate) asked: Option<Duration>,
    /// Of a refusal of the call, if it is not the caller's doing.
    pub(crate) ours: Option<Ours>,
}

/// What the caller has not done in a call that its target refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    /// The app configured the credential, the model or the host.
    Configured,
    /// The body was translated: what the target finds wrong with it the caller has not written.
    Translated,
}

impl Outcome {
    /// Without an answer.
    pub(crate) const fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            status: None,
            asked: None,
            ours: None,
        }
    }

    pub(crate) fn answered(
        verdict: Verdict,
        peeked: &Peeked,
        spec: &Spec,
        is_translated: bool,
    ) -> Self {
        let asked = match peeked.hints().delay() {
            Some(Delay::Asked(delay)) => Some(delay),
            _ => None,
        };
        Self {
            verdict,
            status: Some(peeked.status()),
            asked,
            ours: (verdict == Verdict::CallersFault)
                .then(|| ours(peeked, spec, is_translated))
                .flatten(),
        }
    }

    /// Whether the target would do the same with other calls.
    pub(crate) fn is_remembered(&self) -> bool {
        self.ours != Some(Ours::Translated)
    }
}

fn ours(peeked: &Peeked, spec: &Spec, is_translated: bool) -> Option<Ours> {
    if is_configured(peeked, spec) {
        return Some(Ours::Configured);
    }
    let is_about_the_body = matches!(peeked.status().as_u16(), 400 | 422);
    (is_translated && is_about_the_body).then_some(Ours::Translated)
}

/// A 401, 403 or 404 that is about the credential, the model or the host of the target and not
/// about the caller's.
fn is_configured(peeked: &Peeked, spec: &Spec) -> bool {
    let callers = matches!(spec.credential, Whose::Callers | Whose::CallersThere);
    let own_credential = !callers;
    let own_place = spec.model.is_some() || (spec.host.is_some() && own_credential);
    let kind = peeked.error().and_then(|error| error.kind());
    match peeked.status().as_u16() {
        401 => own_credential,
        // a 403 may also be a filter: only what says that the credential may not is about that
        403 => {
            let named = |kind: &str| kind.to_ascii_lowercase().starts_with("permission_");
            own_credential && kind.is_some_and(named)
        }
        404 => own_place,
        _ => false,
    }
}

/// By which outcomes targets are left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) filtered: bool,
    pub(crate) has_filtered_chain: bool,
    pub(crate) wait_for_throttled: Duration,
}

impl Rules {
    /// Why the target is left. `None`: its answer is handed back.
    pub(crate) fn cause(&self, outcome: &Outcome) -> Option<Cause> {
        match outcome.verdict {
            Verdict::Ok | Verdict::CallerGone => None,
            Verdict::CallersFault => outcome.ours.map(|_| Cause::Any),
            Verdict::PromptTooLong => Some(Cause::TooLong),
            Verdict::Filtered => {
                (self.filtered || self.has_filtered_chain).then_some(Cause::Filtered)
            }
            Verdict::Throttled => match outcome.asked {
                Some(asked) if asked <= self.wait_for_throttled => None,
                _ => Some(Cause::Any),
            },
            // a layer further in refused, or the target failed
            _ => Some(Cause::Any),
        }
    }
}

#[cfg(test)]
mod tests {
    use llm_exchange::ProviderError;

    use super::*;
    use crate::Target;

    fn refused(target: &Target, status: u16, body: &str) -> bool {
        let mut peeked = Peeked::new(StatusCode::from_u16(status).unwrap());
        if let Some(error) = ProviderError::from_body(body.as_bytes()) {
            peeked = peeked.with_error(error);
        }
        let outcome = Outcome::answered(peeked.verdict(), &peeked, &target.spec, false);
        Rules::default().cause(&outcome).is_some()
    }

    #[test]
    fn every_failure_of_a_target_leaves_it_and_the_callers_own_doing_does_not() {
        let left = |verdict| Rules::default().cause(&Outcome::of(verdict));
        for verdict in [
            Verdict::Throttled,
            Verdict::QuotaExhausted,
            Verdict::Overloaded,
            Verdict::Failed,
            Verdict::TimedOut,
            Verdict::Refused,
        ] {
            assert_eq!(left(verdict), Some(Cause::Any), "{verdict:?}");
        }
        assert_eq!(left(Verdict::PromptTooLong), Some(Cause::TooLong));
        for verdict in [
            Verdict::Ok,
            Verdict::CallersFault,
            Verdict::CallerGone,
            Verdict::Filtered,
        ] {
            assert_eq!(left(verdict), None, "{verdict:?}");
        }
    }

    #[test]
    fn filtered_content_goes_elsewhere_only_where_the_app_says_so() {
        let filtered = Outcome::of(Verdict::Filtered);
        for rules in [
            Rules {
                filtered: true,
                ..Rules::default()
            },
            Rules {
                has_filtered_chain: true,
                ..Rules::default()
            },
        ] {
            assert_eq!(rules.cause(&filtered), Some(Cause::Filtered));
        }
    }

    #[test]
    fn a_short_throttling_may_be_handed_back_to_be_waited_for() {
        let rules = Rules {
            wait_for_throttled: Duration::from_secs(2),
            ..Rules::default()
        };
        let throttled = |asked| Outcome {
            asked,
            ..Outcome::of(Verdict::Throttled)
        };
        let second = Duration::from_secs(1);
        assert_eq!(rules.cause(&throttled(Some(second * 2))), None);
        assert_eq!(rules.cause(&throttled(Some(second * 3))), Some(Cause::Any));
        assert_eq!(rules.cause(&throttled(None)), Some(Cause::Any));
    }

    #[test]
    fn a_key_or_a_model_that_the_app_configured_is_not_the_callers_fault() {
        let asked = Target::as_asked();
        let model = Target::model("m");
        let key = Target::as_asked().credential("sk");
        assert!(refused(&key, 401, "") && !refused(&model, 401, ""));
        assert!(refused(&model, 404, "") && !refused(&asked, 404, ""));
        let permission = r#"{"type":"error","error":{"type":"permission_error"}}"#;
        assert!(refused(&key, 403, permission) && !refused(&model, 403, permission));
        assert!(!refused(
            &key,
            403,
            r#"{"error":{"code":403,"message":"flagged"}}"#
        ));
        for target in [asked, model, key] {
            assert!(!refused(&target, 400, "") && !refused(&target, 422, ""));
        }
    }
}
