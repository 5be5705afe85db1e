use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::Request;
use llm_exchange::{Payload, PeekLimits, Standard, Verdict, WallClock};
use tower_layer::Layer;

use crate::{
    Breaker, BreakerHandle, Counts, InvalidBreaker, SlowCalls, Window,
    rules::LastResort,
    settings::{Settings, Waiting, checked, checked_percent, nanos},
    shared::Shared,
};

/// Stops calls to what is down; see the [crate](crate) for what it does.
///
/// The defaults: a circuit for each authority and model, opened by 5 failures in a row, for 30 s and up
/// to a tenth more, twice as long each further time up to 5 min; closed by 2 successful probes, one at a
/// time. The circuits are shared by every service made from one layer and its clones. A setter makes a
/// layer with circuits of its own, so take the [`handle`](Self::handle) after the last one.
pub struct BreakerLayer<C = Standard> {
    settings: Settings,
    classify: C,
    /// Made when it is first needed, so that setters come before it.
    shared: OnceLock<Arc<Shared>>,
}

impl Default for BreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl BreakerLayer {
    /// A layer with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Settings::default(),
            classify: Standard,
            shared: OnceLock::new(),
        }
    }
}

/// When a circuit opens.
impl<C> BreakerLayer<C> {
    /// So many failures in a row open the circuit. Default 5. What counts as neither success nor
    /// failure does not end a row.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn failures(self, in_a_row: u32) -> Result<Self, InvalidBreaker> {
        let most = checked(in_a_row, "no failure in a row would open a circuit")?;
        Ok(self.set(|settings| settings.rules.in_a_row = Some(most)))
    }

    /// Failures in a row do not open the circuit, the rates alone do, or without one the app's own hand.
    #[must_use]
    pub fn no_failures_in_a_row(self) -> Self {
        self.set(|settings| settings.rules.in_a_row = None)
    }

    /// So many failures in a hundred calls of the [`window`](Self::window) open the circuit. Off by
    /// default.
    ///
    /// # Errors
    ///
    /// Not within 1 to 100.
    pub fn failure_rate(self, percent: u32) -> Result<Self, InvalidBreaker> {
        let percent = checked_percent(percent)?;
        Ok(self.set(|settings| settings.rules.failure_percent = Some(percent)))
    }

    /// Too many calls of the [`window`](Self::window) whose first content is late open the circuit;
    /// with this set, a slow probe opens it again. Off by default: how long a model may think is the
    /// app's to say.
    ///
    /// It also tells which callers went away because they had to wait too long. Without it, a caller
    /// who went away is never the provider's fault.
    #[must_use]
    pub fn slow_calls(self, slow: SlowCalls) -> Self {
        self.set(|settings| {
            settings.slow = Some(slow);
            settings.rules.slow_percent = Some(slow.percent);
        })
    }

    /// The calls that the rates are taken over. Default: the last 100, and at least 20.
    #[must_use]
    pub fn window(self, window: Window) -> Self {
        self.set(|settings| {
            settings.rules.span = window.span;
            settings.rules.min_calls = window.min_calls;
        })
    }

    /// What an outcome counts as. Default: [`Ok`](Verdict::Ok) as success; `Overloaded`, `Failed` and
    /// `TimedOut` as failure; `QuotaExhausted` against the credential alone; all others as neither.
    #[must_use]
    pub fn counts(self, verdict: Verdict, counts: Counts) -> Self {
        self.set(|settings| settings.counts.set(verdict, counts))
    }

    /// A call is a success as soon as its first content passes; what comes later is not looked at.
    /// Off by default: then a stream's end decides, and a probe holds its slot until then.
    #[must_use]
    pub fn settle_at_first_content(self) -> Self {
        self.set(|settings| settings.at_first_content = true)
    }
}

/// How long it stays open, and what closes it.
impl<C> BreakerLayer<C> {
    /// How long the circuit is open before the first probe. Default 30 s, and up to a tenth longer at
    /// random ([`jitter`](Self::jitter)). Each time that it opens again without having been
    /// [healthy](Self::healthy_after) it is twice as long, up to [`max_open`](Self::max_open).
    ///
    /// A `retry-after` of the failure that opens it makes it longer, up to the same limit. One that is longer
    /// than that limit is the limit itself. Zero is one nanosecond: a circuit that opens and refuses nobody.
    #[must_use]
    pub fn open_for(self, time: Duration) -> Self {
        self.set(|settings| settings.rules.open_for = nanos(time).max(1))
    }

    /// The longest open time, jitter apart. Default 5 min, or [`open_for`](Self::open_for) if that is longer.
    #[must_use]
    pub fn max_open(self, time: Duration) -> Self {
        self.set(|settings| settings.rules.max_open = nanos(time).max(1))
    }

    /// The open time is up to so many hundredths longer, at random, so that many processes do not come
    /// back as one. Default 10.
    #[must_use]
    pub fn jitter(self, percent: u32) -> Self {
        self.set(|settings| settings.rules.jitter_percent = percent)
    }

    /// A circuit that was closed for so long was healthy: the next time it opens for
    /// [`open_for`](Self::open_for) again. Default 60 s.
    #[must_use]
    pub fn healthy_after(self, time: Duration) -> Self {
        self.set(|settings| settings.rules.healthy_after = nanos(time))
    }

    /// So many successful probes close the circuit. Default 2. One that fails opens it again.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn successes(self, probes: u32) -> Result<Self, InvalidBreaker> {
        let needed = checked(probes, "no probe would close a circuit")?;
        Ok(self.set(|settings| settings.rules.successes = needed))
    }

    /// So many probes may be under way at once. Default 1.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn probes(self, at_once: u32) -> Result<Self, InvalidBreaker> {
        let most = checked(at_once, "without a probe no circuit would close")?;
        Ok(self.set(|settings| settings.rules.probes = most))
    }

    /// A probe that takes longer gives its slot to another call, so that one that hangs does not keep
    /// the circuit from closing. Default 60 s. What it comes to still counts, if the circuit is
    /// still half-open then.
    #[must_use]
    pub fn probe_limit(self, time: Duration) -> Self {
        self.set(|settings| settings.rules.probe_limit = nanos(time).max(1))
    }
}

/// What a refused call gets.
impl<C> BreakerLayer<C> {
    /// Instead of being refused, up to `waiters` calls of each key wait for a probe's slot or for the
    /// circuit to close, each at most for `at_most` and not past the deadline of its
    /// [`Attempts`](llm_exchange::Attempts). Off by default.
    ///
    /// A call that waits holds the instance of the inner service that was polled ready.
    #[must_use]
    pub fn wait_for_probe(self, at_most: Duration, waiters: usize) -> Self {
        self.set(|settings| settings.waiting = Some(Waiting { at_most, waiters }))
    }

    /// While more than `open_percent` of the known keys are not closed, `share_percent` of the calls
    /// that would be refused go through all the same; what they come to does not count. Off by default.
    ///
    /// For when there is nothing better to call anyway: many keys that fail at once may be a fault of
    /// one's own network, or of the judgement.
    ///
    /// # Errors
    ///
    /// `open_percent` of 100 or more, `share_percent` not within 1 to 100.
    pub fn last_resort(
        self,
        open_percent: u32,
        share_percent: u32,
    ) -> Result<Self, InvalidBreaker> {
        if open_percent >= 100 {
            return Err(InvalidBreaker("never are more than 100 percent open"));
        }
        let last_resort = LastResort {
            open_percent,
            share_percent: checked_percent(share_percent)?,
        };
        Ok(self.set(|settings| settings.last_resort = Some(last_resort)))
    }
}

/// Keys and reading.
impl<C> BreakerLayer<C> {
    /// Which calls share one circuit. Default: those to one authority that ask for one model, named
    /// `model@authority`.
    ///
    /// The text is shown in the [handle](BreakerHandle), events and metrics: no credential and no
    /// prompt may be in it. Of a longer one the first 512 bytes count.
    #[must_use]
    pub fn key<K, F>(self, key: F) -> Self
    where
        K: Into<Box<str>>,
        F: Fn(&Request<Payload>) -> K + Send + Sync + 'static,
    {
        self.set(|settings| settings.key = Some(Arc::new(move |request| key(request).into())))
    }

    /// The most circuits that are kept. Default 1,024, of about 300 bytes each and the window's bits.
    /// For a further key the longest unused closed circuit is forgotten, or if none is closed the
    /// longest unused; one that was forced open or closed only if all were.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn max_keys(self, keys: usize) -> Result<Self, InvalidBreaker> {
        if keys == 0 {
            return Err(InvalidBreaker("a breaker keeps at least one circuit"));
        }
        Ok(self.set(|settings| settings.max_keys = keys))
    }

    /// The largest request body that is read for its model, in bytes. Default 16 MiB. A larger one
    /// streams through, and its circuit is that of its authority. It counts only where this is the
    /// outermost layer that reads the request.
    #[must_use]
    pub fn max_payload_bytes(self, bytes: usize) -> Self {
        self.set(|settings| settings.max_payload_bytes = bytes)
    }

    /// How much of an error's body is read before it is handed on. The default of [`PeekLimits`]:
    /// 64 KiB, 15 s.
    #[must_use]
    pub fn peek_limits(self, limits: PeekLimits) -> Self {
        self.set(|settings| settings.peek = limits)
    }

    /// The wall clock by which HTTP dates are read where the answer has no `date` of its own.
    #[must_use]
    pub fn clock(self, clock: WallClock) -> Self {
        self.set(|settings| settings.clock = clock)
    }

    /// Decides what outcomes mean. Default [`Standard`].
    #[must_use]
    pub fn classify<T>(self, classify: T) -> BreakerLayer<T> {
        BreakerLayer {
            settings: self.settings,
            classify,
            shared: OnceLock::new(),
        }
    }

    /// Shows and moves the layer's circuits. Taken before the layer is stacked, and after its last
    /// setter.
    #[must_use]
    pub fn handle(&self) -> BreakerHandle {
        BreakerHandle(Arc::clone(self.shared()))
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        self.shared = OnceLock::new();
        self
    }

    fn shared(&self) -> &Arc<Shared> {
        self.shared
            .get_or_init(|| Arc::new(Shared::new(self.settings.clone())))
    }
}

impl<C: Clone> Clone for BreakerLayer<C> {
    /// A layer with the same circuits.
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            classify: self.classify.clone(),
            shared: Arc::clone(self.shared()).into(),
        }
    }
}

impl<S, C: Clone> Layer<S> for BreakerLayer<C> {
    type Service = Breaker<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Breaker::new(inner, Arc::clone(self.shared()), self.classify.clone())
    }
}

impl<C: fmt::Debug> fmt::Debug for BreakerLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer")
            .field("settings", &self.settings)
            .field("classify", &self.classify)
            .finish_non_exhaustive()
    }
}
