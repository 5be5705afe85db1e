//! What was spent before this process began, as the ledger has it.

use std::time::{Duration, SystemTime};

use llm_exchange::Money;
use tokio::time::timeout;

use super::{
    baseline::MINUTES,
    days::MOST_USERS,
    lookout::{DAY, HOUR, Limits, MINUTE, nanos},
};
use crate::{By, Day, Ledger, LedgerError, Query, Slot, Span, Timeline};

/// The lookout's second in which the layer was made: what was before it has seconds of its own.
pub(crate) const BEFORE: u64 = 2 * DAY;
/// So long is the ledger asked for all of it: calls wait meanwhile.
const LONGEST: Duration = Duration::from_secs(15);
/// Baselines are made of so much of the past.
const PAST: Duration = Duration::from_secs(DAY);

/// What was spent before, as far as the ledger answered.
#[derive(Default)]
pub(crate) struct Seed {
    /// By second.
    pub(super) hour: Option<Vec<(u64, Money)>>,
    pub(super) day: Option<(Day, Money)>,
    pub(super) users_day: Option<(Day, Vec<(String, Money)>)>,
    /// By minute, the earliest first; in nano-dollars.
    pub(super) users: Vec<(u64, String, u64)>,
    pub(super) models: Vec<(u64, String, u64)>,
}

impl Seed {
    /// Asks the ledger for what these limits look at, what costs it least first, and returns what it
    /// answered beside the first error. `began` is when the layer was made: all that ended before.
    pub(crate) async fn ask(
        ledger: &dyn Ledger,
        limits: &Limits,
        began: SystemTime,
    ) -> (Self, Result<(), LedgerError>) {
        let mut seed = Self::default();
        let asked = async {
            let asking = Asking { ledger, began };
            let sums = asking.sums(limits, &mut seed).await;
            let past = asking.past(limits, &mut seed).await;
            sums.and(past)
        };
        let asked = timeout(LONGEST, asked).await;
        let asked = asked.unwrap_or_else(|late| Err(LedgerError::timed_out(late)));
        (seed, asked)
    }
}

struct Asking<'a> {
    ledger: &'a dyn Ledger,
    began: SystemTime,
}

impl Asking<'_> {
    fn since(&self, time: Duration) -> Span {
        Span {
            from: self
                .began
                .checked_sub(time)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            to: self.began,
        }
    }

    fn second(&self, slot: &Slot) -> u64 {
        let ago = self.began.duration_since(slot.at).unwrap_or_default();
        BEFORE.saturating_sub(ago.as_secs().max(1))
    }

    async fn sums(&self, limits: &Limits, seed: &mut Seed) -> Result<(), LedgerError> {
        let hour = async {
            if limits.hour.is_some() {
                let hour = self.since(Duration::from_secs(HOUR));
                let timeline = Timeline::new(hour, Duration::from_secs(1), By::Total);
                let slots = self.ledger.timeline(&timeline).await?;
                let spent = slots.iter().map(|slot| (self.second(slot), slot.cost));
                seed.hour = Some(spent.collect());
            }
            Ok(())
        };
        let hour = hour.await;
        let today = Day::of(self.began);
        let span = Span {
            from: today.start(),
            to: self.began,
        };
        let day = async {
            if limits.day.is_some() {
                let total = self.ledger.spend(&Query::new(span, By::Total)).await?;
                let spent = total.first().map(|spend| spend.cost);
                seed.day = Some((today, spent.unwrap_or_default()));
            }
            Ok(())
        };
        let day = day.await;
        let users = async {
            if limits.user_day.is_some() {
                let query = Query::new(span, By::User).most(MOST_USERS);
                let users = self.ledger.spend(&query).await?.into_iter();
                let users = users.filter(|spend| !spend.key.is_empty());
                let users = users.map(|spend| (spend.key, spend.cost));
                seed.users_day = Some((today, users.collect()));
            }
            Ok(())
        };
        let users = users.await;
        hour.and(day).and(users)
    }

    async fn past(&self, limits: &Limits, seed: &mut Seed) -> Result<(), LedgerError> {
        if limits.unusual.is_none() {
            return Ok(());
        }
        let past = async |by: By| {
            let slot = Duration::from_secs(MINUTES * MINUTE);
            let timeline = Timeline::new(self.since(PAST), slot, by);
            let slots = self.ledger.timeline(&timeline).await?.into_iter();
            let slots = slots.filter(|slot| !slot.key.is_empty());
            let rates = slots.map(|slot| (self.second(&slot) / MINUTE, slot.key, nanos(slot.cost)));
            Ok::<_, LedgerError>(rates.collect())
        };
        // there are more users than models
        let models = past(By::Model).await.map(|models| seed.models = models);
        let users = past(By::User).await.map(|users| seed.users = users);
        models.and(users)
    }
}
