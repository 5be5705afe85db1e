//! What an answer is charged for.

use super::{End, Meter};
use crate::Usage;

impl Meter {
    /// What the answer is charged for, as far as it came, and whether the provider did not say all of
    /// it.
    ///
    /// The provider's numbers count. Where they are missing, what passed is estimated, as it was
    /// generated and will be billed; but an error answer, and a stream that failed before its first
    /// content, cost nothing.
    #[must_use]
    pub fn spent(&self) -> (Usage, bool) {
        let given = self.usage();
        let came = self.contents() > 0;
        let waited_for = matches!(
            self.end(),
            Some(End::Dropped | End::TimedOut | End::Broken | End::Cut(_))
        );
        if !self.status().is_success() || given.is_none() && !came && !waited_for {
            return (given.unwrap_or_default(), false);
        }
        let tokens = self.tokens();
        let mut usage = given.unwrap_or_default();
        if tokens.input_estimated {
            usage.uncached = tokens.input;
        }
        let mut output = tokens.output;
        if self.end() == Some(End::Unreadable) && given.is_none() {
            // compressed, a byte is some four of text, which is a token
            output = output.max(self.scanned());
        }
        usage.visible += output.saturating_sub(usage.output());
        (usage, given.is_none() || tokens.is_estimated())
    }
}
