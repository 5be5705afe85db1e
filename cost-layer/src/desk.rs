//! Where calls leave their records, and what becomes of them then.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, TryLockError},
    time::{Duration, SystemTime},
};

use llm_exchange::{Money, Verdict};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::{
    CostStats, Day, LedgerError, Pricing, Record,
    alert::{BEFORE, Bell, Lookout, Now, Seed},
    latency::{Outcome, Recorder, Sample},
    layer::Settings,
    ledger::{BATCH, Place, Writer},
    stripes::{Stripes, lock},
};

/// So many records are left before one caller carries them on.
const MOST_LEFT: usize = 64;
/// A thread that meets another one carrying goes on until it has so many.
const TOO_MANY: usize = 4 * MOST_LEFT;
/// Records wait so long for others before the task carries them on and writes them.
const LINGER: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// When nobody is left who could flush, a ledger that is away is given up after so many times: a minute.
const MOST_TRIES: u32 = 12;

/// A call leaves its record at a stripe of its thread, and that is all. What lies there is carried on
/// together, in the order of time: into the sums, latencies and metrics, past the lookout, and to the
/// ledger's queue. It is done by the task that writes, 50 ms after the first record; by one call in 64, if
/// they are that many; and before anybody looks.
///
/// Locks are taken in the order sums, queue, stripes, and a stripe's by itself in between.
pub(crate) struct Desk {
    left: Stripes<Vec<Left>>,
    sums: Mutex<Sums>,
    latency: Recorder,
    writer: Writer,
    bell: Bell,
    pricing: Pricing,
    began: SystemTime,
    #[cfg(feature = "metrics")]
    metrics: crate::metrics::Metrics,
}

/// A record that is booked and not carried on yet.
struct Left {
    record: Arc<Record>,
    credential: Option<u64>,
    place: Place,
    second: u64,
}

struct Sums {
    lookout: Lookout,
    calls: u64,
    cost: Money,
    saved: Money,
    unpriced: u64,
    estimated: u64,
}

impl Desk {
    pub(crate) fn new(settings: &Settings) -> Self {
        let limits = settings.limits.clone();
        Self {
            left: Stripes::default(),
            latency: Recorder::new(settings.most_models, limits.p95),
            writer: Writer::new(Arc::clone(&settings.ledger), settings.writer),
            bell: Bell::new(settings.on_alert.clone()),
            pricing: settings.pricing.clone(),
            began: settings.pricing.now(),
            #[cfg(feature = "metrics")]
            metrics: crate::metrics::Metrics::new(settings.most_models, settings.old_metric_names),
            sums: Mutex::new(Sums {
                lookout: Lookout::new(limits),
                calls: 0,
                cost: Money::ZERO,
                saved: Money::ZERO,
                unpriced: 0,
                estimated: 0,
            }),
        }
    }

    pub(crate) const fn writer(&self) -> &Writer {
        &self.writer
    }

    pub(crate) const fn bell(&self) -> &Bell {
        &self.bell
    }

    /// The latencies, with all that was booked.
    pub(crate) fn latency(&self) -> &Recorder {
        self.carry();
        &self.latency
    }

    /// Leaves a record. It never waits, but for a moment where very many lie there already.
    pub(crate) fn leave(
        self: &Arc<Self>,
        record: Arc<Record>,
        credential: Option<u64>,
        place: Place,
    ) {
        let second = self.latency.second();
        let (left, oldest) = {
            let mut mine = self.left.mine();
            mine.push(Left {
                record,
                credential,
                place,
                second,
            });
            (mine.len(), mine[0].second)
        };
        // where no task is, calls do it
        let is_time = left >= MOST_LEFT || second > oldest;
        let carried = is_time && self.carry_unless_somebody_does(left);
        // whoever finds a stripe empty sees to it that somebody comes; so does who was there last
        if left == 1 || carried {
            self.serve();
        }
    }

    fn carry_unless_somebody_does(&self, left: usize) -> bool {
        let sums = match self.sums.try_lock() {
            Ok(sums) => sums,
            Err(TryLockError::Poisoned(sums)) => sums.into_inner(),
            Err(TryLockError::WouldBlock) if left < TOO_MANY => return false,
            Err(TryLockError::WouldBlock) => lock(&self.sums),
        };
        self.carry_with(sums);
        true
    }

    /// Carries on what was left.
    fn carry(&self) {
        self.carry_with(lock(&self.sums));
    }

    fn carry_with(&self, mut sums: MutexGuard<'_, Sums>) {
        let mut all: Vec<Left> = Vec::new();
        for mut left in self.left.each() {
            if all.is_empty() && !left.is_empty() {
                all = mem::replace(&mut *left, Vec::with_capacity(MOST_LEFT));
            } else {
                all.append(&mut left);
            }
        }
        if all.is_empty() {
            return;
        }
        // each thread's are in order, and now all are
        all.sort_by_key(|left| left.second);
        let age = self.pricing.age();
        let mut alerts = Vec::new();
        for left in &all {
            let (record, second) = (&left.record, left.second);
            let began = record.call.at;
            let day = Day::of(began.checked_add(record.call.total).unwrap_or(began));
            let second = BEFORE + second;
            let now = Now { second, day, age };
            alerts.extend(sums.add(record, left.credential, now));
            #[cfg(feature = "metrics")]
            self.metrics.record(record);
        }
        let slow = self.latency.record(all.iter().filter_map(sample));
        let last = BEFORE + all.last().map_or(0, |left| left.second);
        alerts.extend(sums.lookout.slow(slow, last));
        self.writer
            .push(all.into_iter().map(|left| (left.record, left.place)));
        alerts.extend(sums.lookout.lost(self.writer.lost(), last));
        drop(sums);
        self.bell.ring(alerts);
    }

    pub(crate) fn stats(&self) -> CostStats {
        self.carry();
        self.carried()
    }

    /// The sums without what lies here.
    pub(crate) fn carried(&self) -> CostStats {
        let (waiting, lost) = (self.writer.waiting() as u64, self.writer.lost());
        let sums = lock(&self.sums);
        CostStats {
            calls: sums.calls,
            cost: sums.cost,
            saved: sums.saved,
            unpriced: sums.unpriced,
            estimated: sums.estimated,
            waiting,
            lost,
        }
    }

    /// Lets alerts begin with what the ledger has of the time before, as far as it answers.
    pub(crate) async fn seed(&self) -> Result<(), LedgerError> {
        let limits = lock(&self.sums).lookout.unseeded().clone();
        let (seed, asked) = Seed::ask(self.writer.ledger(), &limits, self.began).await;
        lock(&self.sums).lookout.seed(seed);
        asked
    }

    /// Writes all that was booked until now.
    pub(crate) async fn flush(&self) -> Result<(), LedgerError> {
        self.carry();
        self.writer.flush().await
    }

    /// The task may go: nothing is here, on its way, or in the queue. Said while all of it is held, so
    /// that no record is left without a task.
    fn ends_serving(&self) -> bool {
        // whoever carries records on has them in hand as long as this is held
        let _nobody_carries = lock(&self.sums);
        let nothing_left = || self.left.each().all(|left| left.is_empty());
        self.writer.end_serving_if(nothing_left)
    }

    /// Sees to it that a task carries on and writes. Without a runtime calls carry on, and whoever
    /// flushes writes.
    fn serve(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.writer.begin_serving() {
            let serving = Serving {
                desk: Arc::clone(self),
                is_over: false,
            };
            runtime.spawn(serve(serving));
        }
    }
}

impl Sums {
    fn add(&mut self, record: &Record, credential: Option<u64>, now: Now) -> Vec<crate::Alert> {
        let is_estimated = record.entries().any(|entry| entry.is_estimated);
        self.calls += 1;
        self.cost = self.cost.saturating_add(record.cost());
        self.saved = self.saved.saturating_add(record.call.saved);
        self.unpriced += u64::from(record.is_unpriced());
        self.estimated += u64::from(is_estimated);
        self.lookout.booked(record, credential, now)
    }
}

/// What a record says of its model's latency: nothing, where no model answered. A hit is fast and a
/// refusal faster.
fn sample(left: &Left) -> Option<(&str, &str, Sample, u64)> {
    let call = &left.record.call;
    if call.from_cache.is_some() || call.verdict == Verdict::Refused {
        return None;
    }
    let sample = Sample {
        outcome: match call.verdict {
            Verdict::Ok => Outcome::Ok,
            Verdict::CallerGone => Outcome::Abandoned,
            _ => Outcome::Failed,
        },
        total: call.total,
        first_content: call.first_content,
        per_token: call.per_token,
    };
    Some((&call.provider, &call.model, sample, left.second))
}

/// The task. If it ends with its runtime, another one is begun with the next records.
struct Serving {
    desk: Arc<Desk>,
    is_over: bool,
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_over {
            self.desk.writer.end_serving();
        }
    }
}

async fn serve(mut serving: Serving) {
    let mut tries = 0;
    loop {
        let desk = &serving.desk;
        if desk.writer.waiting() < BATCH {
            // in a moment there may be more
            let _ = timeout(LINGER, desk.writer.batch_is_whole()).await;
        }
        desk.carry();
        match desk.writer.write_batch().await {
            Ok(_) => tries = 0,
            Err(error) => {
                tracing::warn!(%error, source = ?std::error::Error::source(&error).map(ToString::to_string), "records wait");
                tries += 1;
                // nobody but this task
                if tries >= MOST_TRIES && Arc::strong_count(desk) == 1 {
                    desk.writer.give_up();
                    return;
                }
                let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(10));
                sleep(pause.min(LONGEST_PAUSE)).await;
            }
        }
        if desk.ends_serving() {
            serving.is_over = true;
            return;
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::SystemTime};

    use super::*;
    use crate::{CostLayer, Entry, RecordId};

    #[test]
    fn the_task_does_not_end_while_somebody_has_records_in_hand() {
        let books = CostLayer::default().handle().0;
        let desk = &books.desk;
        desk.writer.begin_serving();
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let carrying = lock(&desk.sums);
            scope.spawn(|| tell.send(desk.ends_serving()));
            // it has looked by then, if it looks at all
            let early = told.recv_timeout(LINGER);
            assert!(early.is_err(), "it did not wait for who carries");
            let entry = Entry::new(RecordId::new(), SystemTime::UNIX_EPOCH, "m");
            let record = Arc::new(Record::new(entry, Vec::new()));
            desk.writer
                .push(std::iter::once((record, Place::default())));
            drop(carrying);
            assert_eq!(told.recv(), Ok(false), "a record waits");
        });
        assert!(!desk.writer.begin_serving(), "the task is still there");
    }
}
