//! Which prefixes come again.

use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::{marks::Keep, points::Point};
use crate::key::BuildAsItIs;

/// What was seen of prefixes: hashes alone, 64 Ki of them at most.
pub(super) struct Learned(Cache<u64, Seen, quick_cache::UnitWeighter, BuildAsItIs>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    times: u32,
    last: Instant,
    /// The time between two calls with it, smoothed.
    gap: Duration,
}

/// A look at a prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) now: Instant,
    /// It is a further attempt at a call whose prompt was seen in the first one, and is not remembered
    /// once more.
    pub(super) again: bool,
}

const MOST: usize = 1 << 16;
/// Marks that a request may have.
const MARKS: usize = 4;
/// A prefix that comes again later than this is never read in time.
const LATEST: Duration = Duration::from_secs(55 * 60);
/// And later than this, only if it is kept for an hour.
const LATE: Duration = Duration::from_secs(270);

impl Default for Learned {
    fn default() -> Self {
        Self(Cache::with(
            MOST,
            MOST as u64,
            quick_cache::UnitWeighter,
            BuildAsItIs::default(),
            quick_cache::sync::DefaultLifecycle::default(),
        ))
    }
}

impl Learned {
    /// Which of these points of a prompt, in its order and each long enough to be kept, are to be marked,
    /// and for how long they are to be kept; and remembers that all were seen.
    ///
    /// Marked are only points that were seen before, recently enough: a write costs more than plain
    /// input. The deepest of them, and those above it that more calls share.
    pub(super) fn choose(&self, points: &[Point<'_>], look: Look) -> (Vec<usize>, Keep) {
        let mut chosen = Vec::with_capacity(MARKS);
        let mut keep = Keep::FiveMinutes;
        let mut shared_by = 0;
        // the deepest first
        for (number, point) in points.iter().enumerate().rev() {
            let Some(seen) = self.see(point.hash, look) else {
                continue;
            };
            if seen.times > shared_by && chosen.len() < MARKS {
                chosen.push(number);
                shared_by = seen.times;
                // what is kept for longer has to stand first: so all are
                if seen.gap > LATE {
                    keep = Keep::OneHour;
                }
            }
        }
        chosen.reverse();
        (chosen, keep)
    }

    /// Whether it was seen before, and when that was of any use.
    pub(super) fn was_seen(&self, hash: u64, look: Look) -> bool {
        self.see(hash, look).is_some()
    }

    fn see(&self, hash: u64, look: Look) -> Option<Seen> {
        let Look { now, again } = look;
        if again {
            let mut seen = self.0.get(&hash)?;
            // but for the first attempt
            seen.times -= 1;
            return Some(seen).filter(|seen| seen.times > 0 && seen.gap < LATEST);
        }
        let before = self.0.get(&hash).map(|mut seen| {
            let gap = now.saturating_duration_since(seen.last);
            seen.gap = if seen.times == 1 {
                gap
            } else {
                (seen.gap * 3 + gap) / 4
            };
            seen
        });
        let seen = match before {
            Some(seen) => Seen {
                times: seen.times.saturating_add(1),
                last: now,
                ..seen
            },
            None => Seen {
                times: 1,
                last: now,
                gap: Duration::ZERO,
            },
        };
        self.0.insert(hash, seen);
        before.filter(|seen| seen.gap < LATEST)
    }
}
