use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::shared::Shared;

/// Looks at the gates of a [`ProviderQuotaLayer`](super::ProviderQuotaLayer), and opens them.
#[derive(Clone)]
pub struct QuotaHandle(pub(super) Arc<Shared>);

/// Calls to a model that would be throttled now.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where: host and port.
    pub authority: Box<str>,
    /// The model asked for, as written.
    pub model: Option<Box<str>>,
    /// In which time the smallest call may pass. `None`: now; larger ones may have to wait still.
    pub opens_in: Option<Duration>,
    /// How many calls wait.
    pub waiting: usize,
}

impl QuotaHandle {
    /// All that is closed or waited at, for each credential by itself, which is not shown.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let now = Instant::now();
        let mut held = Vec::new();
        self.0.keys.each(|gate| {
            let (opens_in, waiting) = gate.standing(now);
            if !gate.is_idle(now) {
                held.push(Held {
                    authority: gate.authority.clone(),
                    model: gate.model.clone(),
                    opens_in,
                    waiting,
                });
            }
        });
        held
    }

    /// Forgets what providers said. Calls that wait go on.
    pub fn open(&self) {
        self.0.keys.clear();
    }
}

impl fmt::Debug for QuotaHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaHandle")
            .field("held", &self.held())
            .finish()
    }
}
