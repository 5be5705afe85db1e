//! The clocks of one attempt: what came when, and which of them runs out next.
//!
//! Time counts only while the upstream is being waited for. What a reader spends elsewhere is nobody's
//! silence: a wait begins when the upstream has nothing to give and ends with what it gives next, and
//! the clocks add up the waits.

use std::time::Duration;

use tokio::time::Instant;

use super::settings::{Clock, Timeouts};

/// What kind of answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// No head yet; whether a stream was asked for.
    Unknown { stream: bool },
    /// A stream of events.
    Stream,
    /// Anything else.
    Whole,
}

/// What has come of a stream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) events: u64,
    /// Pieces of content.
    pub(crate) contents: u64,
    pub(crate) tokens: u64,
    /// The provider said that the answer is over. Bytes may follow.
    pub(crate) over: bool,
}

#[derive(Debug)]
pub(crate) struct Clocks {
    answer: Answer,
    progress: Progress,
    /// Since when the upstream is waited for without a pause.
    waiting: Option<Instant>,
    /// All waits that have ended.
    waited: Duration,
    /// Of these, what had passed when the last content came.
    at_content: Duration,
    /// Of these, what will have passed when the window of the throughput began; and the tokens then.
    window: Duration,
    window_tokens: u64,
}

impl Clocks {
    pub(crate) fn new(stream: bool) -> Self {
        Self {
            answer: Answer::Unknown { stream },
            progress: Progress::default(),
            waiting: None,
            waited: Duration::ZERO,
            at_content: Duration::ZERO,
            window: Duration::ZERO,
            window_tokens: 0,
        }
    }

    /// The head came.
    pub(crate) fn head(&mut self, answer: Answer) {
        self.answer = answer;
    }

    /// Something came. `now` is asked only if it was waited for.
    #[inline]
    pub(crate) fn came(&mut self, timeouts: &Timeouts, now: impl FnOnce() -> Instant) {
        if let Some(since) = self.waiting.take()
            && timeouts.counts_waiting()
        {
            let wait = now().saturating_duration_since(since);
            self.waited = self.waited.saturating_add(wait);
        }
    }

    /// The upstream has nothing to give: the moment since when. `now` is asked only if this is news.
    pub(crate) fn wait(&mut self, progress: Progress, now: impl FnOnce() -> Instant) -> Instant {
        if progress.contents > self.progress.contents {
            if self.progress.contents == 0 {
                self.window = self.waited;
                self.window_tokens = progress.tokens;
            }
            self.at_content = self.waited;
        }
        self.progress = progress;
        *self.waiting.get_or_insert_with(now)
    }

    /// Which clock runs out next if nothing comes, and how long after the wait began.
    pub(crate) fn next(&self, timeouts: &Timeouts) -> Option<(Duration, Clock)> {
        let Progress {
            events,
            contents,
            over,
            ..
        } = self.progress;
        let stream = matches!(
            self.answer,
            Answer::Stream | Answer::Unknown { stream: true }
        );
        let has_head = !matches!(self.answer, Answer::Unknown { .. });
        let left = |limit: Option<Duration>, since: Duration| {
            // a window may begin within the running wait
            limit.map(|limit| limit.saturating_add(since).saturating_sub(self.waited))
        };
        let on = |clock: bool, limit: Option<Duration>| limit.filter(|_| clock);
        let running = stream && has_head && contents > 0 && !over;
        let window = timeouts.throughput.map(|throughput| throughput.window);
        [
            (
                left(on(stream && !has_head, timeouts.headers), Duration::ZERO),
                Clock::Headers,
            ),
            (
                left(
                    on(stream && events == 0, timeouts.first_event),
                    Duration::ZERO,
                ),
                Clock::FirstEvent,
            ),
            (
                left(
                    on(stream && contents == 0 && !over, timeouts.first_content),
                    Duration::ZERO,
                ),
                Clock::FirstContent,
            ),
            (on(has_head, timeouts.silence), Clock::Silence),
            (
                left(on(running, timeouts.idle), self.at_content),
                Clock::Idle,
            ),
            (left(timeouts.total, Duration::ZERO), Clock::Total),
            (left(on(running, window), self.window), Clock::Throughput),
        ]
        .into_iter()
        .filter_map(|(left, clock)| Some((left?, clock)))
        .min_by_key(|(left, _)| *left)
    }

    /// Whether the clock that has come to its end, while nothing came, ends the answer. Only the
    /// throughput may not: then its next window begins.
    pub(crate) fn ran_out(&mut self, timeouts: &Timeouts, clock: Clock) -> bool {
        let Some(throughput) = timeouts.throughput.filter(|_| clock == Clock::Throughput) else {
            return true;
        };
        let tokens = self.progress.tokens;
        if tokens.saturating_sub(self.window_tokens) < throughput.tokens {
            return true;
        }
        self.window = self.window.saturating_add(throughput.window);
        self.window_tokens = tokens;
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn all() -> Timeouts {
        Timeouts {
            headers: Some(SECOND * 30),
            first_event: Some(SECOND * 40),
            first_content: Some(SECOND * 60),
            silence: Some(SECOND * 20),
            idle: Some(SECOND * 50),
            total: Some(SECOND * 600),
            ..Timeouts::default()
        }
    }

    /// The clocks against a time that the test sets.
    struct Told {
        clocks: Clocks,
        timeouts: Timeouts,
        start: Instant,
        now: Duration,
        progress: Progress,
    }

    impl Told {
        fn new(timeouts: Timeouts, stream: bool) -> Self {
            Self {
                clocks: Clocks::new(stream),
                timeouts,
                start: Instant::now(),
                now: Duration::ZERO,
                progress: Progress::default(),
            }
        }

        fn came(&mut self, after: u32) {
            self.now += SECOND * after;
            let now = self.start + self.now;
            self.clocks.came(&self.timeouts, || now);
        }

        /// When the next clock runs out, in seconds since the start.
        fn wait(&mut self) -> (u64, Clock) {
            let now = self.start + self.now;
            let since = self.clocks.wait(self.progress, || now);
            let (left, clock) = self.clocks.next(&self.timeouts).unwrap();
            ((since + left - self.start).as_secs(), clock)
        }

        fn head(&mut self, after: u32, answer: Answer) {
            self.came(after);
            self.clocks.head(answer);
        }

        fn content(&mut self, after: u32) {
            self.came(after);
            self.progress.events += 1;
            self.progress.contents += 1;
            self.progress.tokens += 5;
        }
    }

    #[test]
    fn each_clock_of_a_stream_runs_from_its_own_beginning() {
        let mut told = Told::new(all(), true);
        assert_eq!(told.wait(), (30, Clock::Headers));
        told.head(25, Answer::Stream);
        assert_eq!(told.wait(), (40, Clock::FirstEvent));
        // a comment, then a role
        told.came(10);
        assert_eq!(told.wait(), (40, Clock::FirstEvent));
        told.came(3);
        told.progress.events = 1;
        assert_eq!(told.wait(), (58, Clock::Silence));
        told.came(15);
        assert_eq!(told.wait(), (60, Clock::FirstContent));
        told.content(5);
        assert_eq!(told.wait(), (78, Clock::Silence));
        // pings hold the silence off, but are no content
        told.came(18);
        assert_eq!(told.wait(), (96, Clock::Silence));
        told.came(18);
        assert_eq!(told.wait(), (108, Clock::Idle));
    }

    #[test]
    fn an_answer_that_is_no_stream_has_only_silence_and_total() {
        let mut told = Told::new(all(), false);
        assert_eq!(told.wait(), (600, Clock::Total));
        told.head(500, Answer::Whole);
        assert_eq!(told.wait(), (520, Clock::Silence));
        told.came(19);
        told.came(0);
        told.wait();
        for _ in 0..4 {
            told.came(19);
            told.wait();
        }
        assert_eq!(told.wait(), (600, Clock::Total));
    }

    #[test]
    fn a_paused_reader_trips_nothing() {
        let mut told = Told::new(all(), true);
        told.wait();
        told.head(1, Answer::Stream);
        told.wait();
        told.content(1);
        // it reads no further for ten hours, and then waits again
        told.now += SECOND * 36_000;
        assert_eq!(told.wait(), (36_022, Clock::Silence));
        told.came(10);
        told.now += SECOND * 36_000;
        // ten of fifty seconds without content are gone, and twelve of all
        assert_eq!(told.wait(), (72_032, Clock::Silence));
        told.came(19);
        assert_eq!(told.wait(), (72_051, Clock::Silence));
        told.came(2);
        assert_eq!(told.wait(), (72_052, Clock::Idle));
    }

    #[test]
    fn once_the_provider_said_that_it_is_over_only_bytes_and_time_count() {
        let mut told = Told::new(all(), true);
        told.head(1, Answer::Stream);
        told.content(0);
        told.progress.over = true;
        told.wait();
        told.came(19);
        told.wait();
        told.came(19);
        told.wait();
        told.came(19);
        assert_eq!(told.wait(), (78, Clock::Silence));
    }

    #[test]
    fn too_few_tokens_in_a_window_are_a_stall() {
        let timeouts = Timeouts {
            silence: None,
            total: Some(SECOND * 1000),
            throughput: Some(super::super::settings::Throughput {
                tokens: 10,
                window: SECOND * 10,
            }),
            ..Timeouts::default()
        };
        let mut told = Told::new(timeouts.clone(), true);
        told.wait();
        told.head(1, Answer::Stream);
        told.content(3);
        // the window begins with the first content
        assert_eq!(told.wait(), (14, Clock::Throughput));
        told.content(4);
        told.wait();
        told.content(4);
        assert_eq!(told.wait(), (14, Clock::Throughput));
        assert!(
            !told.clocks.ran_out(&timeouts, Clock::Throughput),
            "ten tokens came"
        );
        assert_eq!(told.wait(), (24, Clock::Throughput));
        assert!(
            told.clocks.ran_out(&timeouts, Clock::Throughput),
            "none came"
        );
    }

    #[test]
    fn what_is_off_never_runs_out() {
        let off = Timeouts {
            silence: None,
            ..Timeouts::default()
        };
        let mut clocks = Clocks::new(true);
        clocks.wait(Progress::default(), Instant::now);
        assert_eq!(clocks.next(&off), None);
        clocks.head(Answer::Stream);
        assert_eq!(clocks.next(&off), None);
    }

    #[test]
    fn the_time_is_asked_only_when_a_wait_begins_or_ends() {
        let mut clocks = Clocks::new(true);
        let never = || -> Instant { panic!("asked") };
        clocks.came(&all(), never);
        clocks.came(&all(), never);
        let since = clocks.wait(Progress::default(), Instant::now);
        assert_eq!(clocks.wait(Progress::default(), never), since);
        // the silence alone needs no sum
        clocks.came(&Timeouts::default(), never);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_next_clock_never_runs_out_before_the_wait_that_it_counts(
            steps in proptest::collection::vec((0_u32..100, 0_u32..100, any::<bool>()), 0..40),
        ) {
            let timeouts = all();
            let mut told = Told::new(timeouts.clone(), true);
            told.head(0, Answer::Stream);
            let (mut waited, mut since_content, mut contents) = (0, 0, false);
            for (wait, pause, content) in steps {
                told.wait();
                if content {
                    told.content(wait);
                } else {
                    told.came(wait);
                }
                waited += u64::from(wait);
                since_content = if content { 0 } else { since_content + u64::from(wait) };
                contents |= content;
                told.now += SECOND * pause;
                let now = told.now.as_secs();
                let (at, _) = told.wait();
                let mut expected = vec![now + 20, now + 600_u64.saturating_sub(waited)];
                if contents {
                    expected.push(now + 50_u64.saturating_sub(since_content));
                } else {
                    expected.push(now + 60_u64.saturating_sub(waited));
                    expected.push(now + 40_u64.saturating_sub(waited));
                }
                prop_assert_eq!(at, expected.into_iter().min().unwrap());
            }
        }
    }
}
