use std::{fmt, sync::Arc, time::Duration};

use llm_exchange::WallClock;
use tower_layer::Layer;

use super::{ProviderQuota, QuotaHandle, keys::Keys, settings::Settings, shared::Shared};

/// Holds calls back that the provider would throttle.
///
/// See the [module](super) for what it does and where it stands among other layers. All services made
/// from one layer value and its clones share what they know.
#[derive(Clone)]
pub struct ProviderQuotaLayer {
    shared: Arc<Shared>,
}

impl Default for ProviderQuotaLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl ProviderQuotaLayer {
    /// With the defaults that each setter tells.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Settings::default())
    }

    fn of(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                keys: Keys::new(settings.max_keys),
                settings,
            }),
        }
    }

    /// A layer with other settings, which knows nothing yet.
    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.shared.settings.clone();
        change(&mut settings);
        Self::of(settings)
    }

    /// How long a call waits at most. Default 10 s, and never past the call's own deadline. A call that
    /// would have to wait longer is refused at once; with zero each is.
    #[must_use]
    pub fn max_wait(self, wait: Duration) -> Self {
        self.with(|settings| settings.max_wait = wait)
    }

    /// How many calls wait for each key at most. Default 1,000; further ones are refused at once.
    #[must_use]
    pub fn max_waiters(self, calls: usize) -> Self {
        self.with(|settings| settings.max_waiters = calls)
    }

    /// How long what a provider says is believed at most. Default one hour: then a call tries.
    #[must_use]
    pub fn max_hold(self, hold: Duration) -> Self {
        self.with(|settings| settings.max_hold = hold)
    }

    /// How many keys are known at a time at most. Default 4,096, some 300 bytes each. A key takes room when its
    /// provider first says that nothing is left; keys of which nothing is held back go first, and
    /// then those at which nobody waits.
    #[must_use]
    pub fn max_keys(self, keys: usize) -> Self {
        self.with(|settings| settings.max_keys = keys)
    }

    /// The largest request body that is read whole, in bytes. Default 16 MiB. Larger ones stream
    /// through, and are not held back.
    #[must_use]
    pub fn max_payload_bytes(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_payload_bytes = bytes)
    }

    /// The clock against which dates in headers are read, where an answer has no `date`.
    #[must_use]
    pub fn clock(self, clock: WallClock) -> Self {
        self.with(|settings| settings.clock = clock)
    }

    /// Looks at what is held back. To be taken after the last setter.
    #[must_use]
    pub fn handle(&self) -> QuotaHandle {
        QuotaHandle(Arc::clone(&self.shared))
    }
}

impl<S> Layer<S> for ProviderQuotaLayer {
    type Service = ProviderQuota<S>;

    fn layer(&self, inner: S) -> ProviderQuota<S> {
        ProviderQuota::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for ProviderQuotaLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderQuotaLayer")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}
