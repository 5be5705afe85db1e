use std::{sync::Arc, time::Duration};

use llm_exchange::Payload;
use tower_layer::Layer;

use super::{
    StreamTimeout,
    settings::{Throughput, Timeouts},
};

/// The clocks of one attempt; see the [crate](crate) for what they do and where the layer belongs.
///
/// By default there is one: no byte of any kind for 5 minutes after the head. An answer that takes
/// longer between two bytes is dead, so no healthy call is cut.
///
/// Every clock counts only the time in which the upstream is waited for: a reader that pauses trips
/// none.
#[derive(Clone, Debug, Default)]
pub struct StreamTimeoutLayer {
    timeouts: Timeouts,
    by_model: Vec<(Box<str>, Timeouts, Option<Duration>)>,
    hold: Option<Duration>,
    max_payload_bytes: Option<usize>,
}

/// What the services of one layer share.
#[derive(Debug)]
pub(crate) struct Settings {
    timeouts: Arc<Timeouts>,
    by_model: Vec<(Box<str>, Arc<Timeouts>, Duration)>,
    hold: Duration,
    pub(crate) max_payload_bytes: usize,
}

impl StreamTimeoutLayer {
    /// A layer with the default settings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest time to the response head of a call that asks for a stream. Off by default. The
    /// head of an unstreamed answer comes when all of it is generated: that is for
    /// [`total`](Self::total).
    #[must_use]
    pub fn headers(mut self, timeout: Duration) -> Self {
        self.timeouts.headers = Some(timeout);
        self
    }

    /// The longest time, since the call was sent, to the first event of a stream. Off by default.
    /// Comments are no events.
    #[must_use]
    pub fn first_event(mut self, timeout: Duration) -> Self {
        self.timeouts.first_event = Some(timeout);
        self
    }

    /// The longest time, since the call was sent, to the first content of a stream: text, reasoning
    /// or a tool call. Off by default. Pings and protocol events are no content, so it cuts long
    /// silent thinking: allow for that.
    #[must_use]
    pub fn first_content(mut self, timeout: Duration) -> Self {
        self.timeouts.first_content = Some(timeout);
        self
    }

    /// The longest time without a byte of any kind, once the head is in, streamed or not. Default 5
    /// minutes.
    #[must_use]
    pub fn silence(mut self, timeout: Duration) -> Self {
        self.timeouts.silence = Some(timeout);
        self
    }

    /// Lets an upstream be silent for ever.
    #[must_use]
    pub fn no_silence(mut self) -> Self {
        self.timeouts.silence = None;
        self
    }

    /// The longest time without content between two pieces of it. Off by default. Keep-alives do not
    /// hold it off.
    #[must_use]
    pub fn idle(mut self, timeout: Duration) -> Self {
        self.timeouts.idle = Some(timeout);
        self
    }

    /// The longest time that is waited for an answer in all, streamed or not, since the call was
    /// sent. Off by default.
    #[must_use]
    pub fn total(mut self, timeout: Duration) -> Self {
        self.timeouts.total = Some(timeout);
        self
    }

    /// A stream that gives fewer than `tokens` in a `window` of waiting, after its first content, has
    /// stalled. Off by default, and with a window of zero. Windows follow one another; the tokens are the provider's count where
    /// it gives one as it goes, else an estimate.
    #[must_use]
    pub fn min_tokens(mut self, tokens: u64, window: Duration) -> Self {
        let throughput = Throughput { tokens, window };
        self.timeouts.throughput = Some(throughput).filter(|_| !window.is_zero());
        self
    }

    /// A stream whose last `times` pieces of content were the same text is a model in a loop. Off by
    /// default; below 2 it stays off.
    #[must_use]
    pub fn max_repeats(mut self, times: u64) -> Self {
        self.timeouts.repeats = Some(times).filter(|times| *times >= 2);
        self
    }

    /// Other clocks for calls that ask for this model: those of `layer`, all of them, and its
    /// [`hold`](Self::hold) if that is set. A name that ends
    /// in `*` stands for every model that begins so; the first that fits counts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sse_layer::StreamTimeoutLayer;
    ///
    /// let layer = StreamTimeoutLayer::new().first_content(Duration::from_secs(20));
    /// let slow = layer.clone().first_content(Duration::from_secs(300));
    /// let layer = layer.for_model("o5-*", slow);
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn for_model(mut self, model: impl Into<Box<str>>, layer: Self) -> Self {
        self.by_model
            .push((model.into(), layer.timeouts, layer.hold));
        self
    }

    /// How long after its head an answer may be held back until its first content. Default 15 s. A
    /// clock that runs out within this time is a 504, which a retry or fallback acts on; after it,
    /// the end of a stream that has begun. Where no clock can run out so soon nothing is held back.
    #[must_use]
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = Some(hold);
        self
    }

    /// The largest request body that is read into memory, in bytes. Default 16 MiB. A larger one
    /// streams through, and of its call only what its headers say is known. It counts only where
    /// this is the outermost layer that reads the request.
    #[must_use]
    pub fn max_payload_bytes(mut self, bytes: usize) -> Self {
        self.max_payload_bytes = Some(bytes);
        self
    }
}

impl Settings {
    /// The clocks of a call that asks for this model, and how long its answer may be held back.
    pub(crate) fn of(&self, model: Option<&str>) -> (Arc<Timeouts>, Duration) {
        let fits = |name: &str, model: &str| match name.strip_suffix('*') {
            Some(start) => model.starts_with(start),
            None => model == name,
        };
        let own = model.and_then(|model| {
            let mut all = self.by_model.iter();
            all.find(|(name, ..)| fits(name, model))
        });
        let (timeouts, hold) = own.map_or((&self.timeouts, self.hold), |(_, timeouts, hold)| {
            (timeouts, *hold)
        });
        (Arc::clone(timeouts), hold)
    }
}

impl<S> Layer<S> for StreamTimeoutLayer {
    type Service = StreamTimeout<S>;

    fn layer(&self, inner: S) -> StreamTimeout<S> {
        let by_model = self.by_model.iter();
        let hold = self.hold.unwrap_or(Duration::from_secs(15));
        let settings = Settings {
            timeouts: Arc::new(self.timeouts.clone()),
            by_model: by_model
                .map(|(name, timeouts, own)| {
                    let timeouts = Arc::new(timeouts.clone());
                    (name.clone(), timeouts, own.unwrap_or(hold))
                })
                .collect(),
            hold,
            max_payload_bytes: self.max_payload_bytes.unwrap_or(Payload::DEFAULT_MAX_BYTES),
        };
        StreamTimeout::new(inner, Arc::new(settings))
    }
}
