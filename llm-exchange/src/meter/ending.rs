//! How an answer ended, for each of its readers.

use std::sync::{MutexGuard, OnceLock, PoisonError};

use super::{Cut, End, Meter, Then};
use crate::{BodyEnd, BoxError, Classify, Standard, Verdict};

/// An end of its own, of one of several readers of one answer.
#[derive(Default)]
pub(super) struct Ending {
    cut: OnceLock<Cut>,
    end: OnceLock<End>,
}

impl Meter {
    /// How the answer ended. `None`: it has not.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.ending().end.get().copied()
    }

    /// What the answer came to; before its end, what it has come to so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let error = self.error();
        let verdict = Verdict::of(self.0.status, error.as_deref());
        match self.end() {
            _ if verdict != Verdict::Ok => verdict,
            None | Some(End::Complete | End::Unreadable | End::Cut(Cut::Limit)) => Verdict::Ok,
            Some(End::Truncated | End::Broken) => Verdict::Failed,
            Some(End::TimedOut | End::Cut(Cut::Clock)) => Verdict::TimedOut,
            Some(End::Dropped) => Verdict::CallerGone,
            Some(End::Cut(Cut::Outrun)) => Verdict::Outrun,
            Some(End::Errored | End::Cut(Cut::Repeating)) => Verdict::Failed,
        }
    }

    /// Says that a layer of ours ends the answer here; to be called before it drops the body. What
    /// comes later is not the caller's doing.
    pub fn cut(&self, why: Cut) {
        let _ = self.ending().cut.set(why);
    }

    /// Notes the end that a body further out saw. The first end stays.
    pub(crate) fn note(&self, end: &BodyEnd<'_>) {
        if self.end().is_some() {
            return;
        }
        let end = match end {
            BodyEnd::Whole => self.whole(),
            BodyEnd::Failed(error) => broken(error),
            BodyEnd::Dropped => self.dropped(),
        };
        self.set_end(end);
    }

    fn whole(&self) -> End {
        if let Some(cut) = self.ending().cut.get() {
            return End::Cut(*cut);
        }
        self.reading().whole(self.0.dialect, self.0.is_stream)
    }

    fn dropped(&self) -> End {
        let cut = self.ending().cut.get();
        cut.map_or(End::Dropped, |cut| End::Cut(*cut))
    }

    fn set_end(&self, end: End) {
        let _ = self.ending().end.set(end);
        if self.1.is_none() {
            let waiting = std::mem::take(&mut *self.then());
            waiting.into_iter().for_each(|then| then());
        }
    }

    /// Calls this when the answer is over for all who read it, if it goes on after this one of several
    /// [readers](Self::for_reader) has left: what it uses then is still to be booked.
    ///
    /// # Errors
    ///
    /// The same, if the answer is over or has one reader: nothing comes after its end.
    pub fn after_others<F: FnOnce() + Send + 'static>(&self, then: F) -> Result<(), F> {
        let mut waiting = self.then();
        // under the lock: who ends it looks at what waits afterwards
        if self.1.is_none() || self.0.ending.end.get().is_some() {
            return Err(then);
        }
        waiting.push(Box::new(then));
        Ok(())
    }

    fn then(&self) -> MutexGuard<'_, Vec<Then>> {
        self.0.then.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ending(&self) -> &Ending {
        self.1.as_deref().unwrap_or(&self.0.ending)
    }
}

fn broken(error: &BoxError) -> End {
    match Standard.error(error) {
        Verdict::TimedOut => End::TimedOut,
        _ => End::Broken,
    }
}
