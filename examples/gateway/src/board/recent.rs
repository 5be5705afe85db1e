//! How long the answers of the last minute took.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

/// For how long an answer counts.
const WINDOW: Duration = Duration::from_secs(60);

/// Answers that are kept; of more in a minute the latest.
const MOST: usize = 2_048;

#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Answer>);

#[derive(Debug)]
struct Answer {
    at: SystemTime,
    total: Duration,
    first_content: Option<Duration>,
}

/// The p50, p95 and p99 of the total time and of the time to the first token; of the latter zeroes where no
/// answer tells it.
pub(super) type Quantiles = [Duration; 6];

impl Recent {
    pub(super) fn add(&mut self, at: SystemTime, total: Duration, first_content: Option<Duration>) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Answer {
            at,
            total,
            first_content,
        });
    }

    /// `None`: there was no answer in the last minute.
    pub(super) fn quantiles(&mut self, now: SystemTime) -> Option<Quantiles> {
        let is_over = |answer: &Answer| {
            let age = now.duration_since(answer.at);
            age.is_ok_and(|age| age > WINDOW)
        };
        while self.0.front().is_some_and(is_over) {
            self.0.pop_front();
        }
        if self.0.is_empty() {
            return None;
        }
        let [a, b, c] = of(self.0.iter().map(|answer| answer.total));
        let [d, e, f] = of(self.0.iter().filter_map(|answer| answer.first_content));
        Some([a, b, c, d, e, f])
    }
}

/// By the nearest rank.
fn of(times: impl Iterator<Item = Duration>) -> [Duration; 3] {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    [50, 95, 99].map(|percent| {
        let rank = (times.len() * percent).div_ceil(100);
        let time = times.get(rank.saturating_sub(1));
        time.copied().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn quantiles_are_by_the_nearest_rank_and_of_the_last_minute_alone() {
        let start = SystemTime::UNIX_EPOCH;
        let mut recent = Recent::default();
        assert_eq!(recent.quantiles(start), None);
        for number in (1..=100).rev() {
            recent.add(start, MS * number, (number == 7).then_some(MS));
        }
        let totals = [MS * 50, MS * 95, MS * 99];
        let [a, b, c, d, e, f] = recent.quantiles(start + WINDOW).unwrap();
        assert_eq!(([a, b, c], [d, e, f]), (totals, [MS; 3]));
        recent.add(start + WINDOW, MS * 2, None);
        let later = recent.quantiles(start + WINDOW + MS).unwrap();
        assert_eq!(later[..3], [MS * 2; 3]);
        assert_eq!(later[3..], [Duration::ZERO; 3]);
    }

    #[test]
    fn of_a_flood_the_latest_are_kept() {
        let mut recent = Recent::default();
        for number in 0..3_000 {
            recent.add(SystemTime::UNIX_EPOCH, MS * number, None);
        }
        assert_eq!(recent.0.len(), MOST);
        assert_eq!(recent.0.back().unwrap().total, MS * 2_999);
    }
}
