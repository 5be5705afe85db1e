use http::Response;
use llm_exchange::Verdict;

use crate::GaveUp;

/// What the layer did for an answer: in the extensions of every answer to an LLM call that came
/// through it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried {
    /// How often the call was sent, over all layers that send calls again; also in the header
    /// `x-llm-attempts`.
    pub attempts: u32,
    /// What the answer means, as far as it is known at its first content.
    pub verdict: Verdict,
    /// Why the call was not sent again, where the answer is no success.
    pub gave_up: Option<GaveUp>,
}

impl Retried {
    /// What the layer did for this answer; `None` if it is not an answer to an LLM call.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<&Self> {
        response.extensions().get()
    }

    /// Whether an SDK in front is not to start all over. What is the caller's own doing goes back as
    /// the provider sent it, and another instance may serve what this one was stopped from.
    pub(crate) fn says_not_again(&self) -> bool {
        match self.gave_up {
            None | Some(GaveUp::Stopped) => false,
            Some(GaveUp::NotRetryable) => !matches!(
                self.verdict,
                Verdict::CallersFault | Verdict::CallerGone | Verdict::Filtered
            ),
            Some(_) => true,
        }
    }
}
