use std::{sync::Arc, time::Duration};

use llm_exchange::{Call, Payload};
use tower_layer::Layer;

use super::{Drain, Sse};

/// The stream that the caller sees; see the [crate](crate) for what it does and where the layer
/// belongs.
///
/// By default it changes nothing of a healthy stream but its headers: what breaks or ends too early
/// is told in the stream, and `cache-control` and `x-accel-buffering` keep proxies from holding it
/// up.
#[derive(Clone, Debug)]
pub struct SseLayer<D = ()> {
    settings: Settings,
    abandon: D,
}

/// What the services of one layer share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) max_output_tokens: Option<u64>,
    pub(super) hard: bool,
    pub(super) keep_alive: Option<Duration>,
    pub(super) early_head: Option<Duration>,
    pub(super) summary: bool,
    pub(super) max_payload_bytes: usize,
}

impl Settings {
    /// Where this call's stream is cut.
    pub(super) fn cap_of(&self, call: &Call) -> Option<u64> {
        let cap = self.max_output_tokens?;
        let asked = call.output_cap().unwrap_or(0);
        let asked = asked.saturating_mul(call.choices().into());
        Some(if self.hard { cap } else { cap.max(asked) })
    }
}

impl Default for SseLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl SseLayer {
    /// A layer with the default settings.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            settings: Settings {
                max_output_tokens: None,
                hard: false,
                keep_alive: None,
                early_head: None,
                summary: false,
                max_payload_bytes: Payload::DEFAULT_MAX_BYTES,
            },
            abandon: (),
        }
    }
}

impl<D> SseLayer<D> {
    /// The most tokens of a streamed answer, reasoning and all choices counted. Off by default. By the
    /// provider's running count where it sends one, else by estimate.
    ///
    /// The stream is cut behind the event that reaches it, ends as the dialect ends an answer at its
    /// cap (`length`, `max_tokens`), and its upstream is let go. A caller who itself asks for more
    /// gets it, unless the cap is [`hard`](Self::hard).
    #[must_use]
    pub const fn max_output_tokens(mut self, tokens: u64) -> Self {
        self.settings.max_output_tokens = Some(tokens);
        self
    }

    /// Holds [`max_output_tokens`](Self::max_output_tokens) against callers who ask for more. Off by
    /// default.
    #[must_use]
    pub const fn hard(mut self) -> Self {
        self.settings.hard = true;
        self
    }

    /// Writes a comment (`: keep-alive`) whenever the upstream was silent for so long, so that no
    /// proxy, and no impatient client, takes the stream for dead. Off by default, and at zero. Comments stand only
    /// between two events.
    #[must_use]
    pub const fn keep_alive(mut self, every: Duration) -> Self {
        self.settings.keep_alive = Some(every);
        self
    }

    /// Answers a call for a stream with its head, and then with comments, when the inner service has
    /// had so long to answer. Off by default. Together with [`keep_alive`](Self::keep_alive), whose
    /// interval the comments have.
    ///
    /// It has a price. The head says 200 before anything is known: an error that comes later is an
    /// event in the stream, and a client that acts on the status (to retry, to log in again) does
    /// not see one. The provider's own headers are lost, and with them its request id and its rate
    /// limits; the response's extensions too.
    #[must_use]
    pub const fn early_head(mut self, after: Duration) -> Self {
        self.settings.early_head = Some(after);
        self
    }

    /// Writes a last event after the stream's own end, `llm.summary`, with `duration_ms`,
    /// `first_content_ms`, `input_tokens`, `output_tokens`, `estimated` and `end`. Off by default: a
    /// strict client may not expect it. The provider is asked for its token counts, where that is
    /// needed.
    #[must_use]
    pub const fn summary(mut self) -> Self {
        self.settings.summary = true;
        self
    }

    /// The largest request body that is read into memory, in bytes. Default 16 MiB. A larger one
    /// streams through, and of its call nothing is known: its answer passes as it is. It counts only
    /// where this is the outermost layer that reads the request.
    #[must_use]
    pub const fn max_payload_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_payload_bytes = bytes;
        self
    }

    /// Reads a stream on for at most so long when its caller has gone, instead of letting it go at
    /// once: a provider bills for what it generated, and says how much only at the end. Off by
    /// default, as it may also go on generating for a reader who is not there.
    ///
    /// The rest is read by a task of its own on the runtime in which the body is dropped, at most
    /// 1,024 at a time of one layer and its clones; a further one is let go.
    #[must_use]
    pub fn drain(self, most: Duration) -> SseLayer<Drain> {
        SseLayer {
            settings: self.settings,
            abandon: Drain::new(most),
        }
    }
}

impl<S, D: Clone> Layer<S> for SseLayer<D> {
    type Service = Sse<S, D>;

    fn layer(&self, inner: S) -> Sse<S, D> {
        Sse::new(inner, Arc::new(self.settings.clone()), self.abandon.clone())
    }
}
