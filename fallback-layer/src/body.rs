//! Watching an answer that was handed on.

use std::{fmt, sync::Arc};

use llm_exchange::{AnswerBody, BodyEnd, Meter, Observe, Verdict, Watch};
use tokio::time::Instant;

use crate::{memory::Memories, served::Label};

/// The body of an answer that came through the layer.
pub type FallbackBody<R> = Watch<AnswerBody<R>, Remember>;

/// Watches the answer of a target to its end: only there it is known whether the target failed.
pub struct Remember {
    pub(crate) memories: Arc<Memories>,
    /// Of host and model: a failure in the middle is never the account's.
    pub(crate) key: u64,
    pub(crate) target: Label,
    /// Of a stream: it knows of errors in it, and whether it came to its end.
    pub(crate) meter: Option<Meter>,
}

impl Observe for Remember {
    fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    fn end(&mut self, end: BodyEnd<'_>) {
        let verdict = match (&self.meter, end) {
            (Some(meter), _) => meter.verdict(),
            (None, BodyEnd::Whole) => Verdict::Ok,
            (None, BodyEnd::Failed(_)) => Verdict::Failed,
            // a caller who goes away says nothing about the target
            (None, _) => Verdict::CallerGone,
        };
        match verdict {
            Verdict::Ok => self.memories.went_well(|| self.key),
            Verdict::Overloaded | Verdict::Failed | Verdict::TimedOut => {
                let (target, now) = (self.target.as_str(), Instant::now());
                self.memories.failed(self.key, target, verdict, now);
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Remember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remember")
            .field("target", &self.target.as_str())
            .finish_non_exhaustive()
    }
}
