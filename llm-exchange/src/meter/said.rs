use std::{fmt, sync::MutexGuard};

use super::reading::Reading;
use crate::Usage;

/// What an answer has said of itself so far, read at once and without a copy: from
/// [`Meter::said`](super::Meter::said).
///
/// The meter waits for it: let it go before anything else is asked of the same meter.
pub struct Said<'m>(pub(super) MutexGuard<'m, Reading>);

impl Said<'_> {
    /// [`Meter::model`](super::Meter::model).
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// [`Meter::id`](super::Meter::id).
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// [`Meter::service_tier`](super::Meter::service_tier).
    #[must_use]
    pub fn service_tier(&self) -> Option<&str> {
        self.0.tier.as_deref()
    }

    /// [`Meter::speed`](super::Meter::speed).
    #[must_use]
    pub fn speed(&self) -> Option<&str> {
        self.0.speed.as_deref()
    }

    /// [`Meter::geo`](super::Meter::geo).
    #[must_use]
    pub fn geo(&self) -> Option<&str> {
        self.0.geo.as_deref()
    }

    /// [`Meter::finish_reasons`](super::Meter::finish_reasons).
    pub fn finish_reasons(&self) -> impl Iterator<Item = &str> {
        self.0.finishes()
    }

    /// [`Meter::usage_parts`](super::Meter::usage_parts).
    pub fn usage_parts(&self) -> impl Iterator<Item = (Option<&str>, Usage)> {
        self.0
            .usage_parts()
            .map(|(model, usage)| (model.as_deref(), *usage))
    }
}

/// Names of models and finish reasons, no text of an answer.
impl fmt::Debug for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Said")
            .field("model", &self.model())
            .field("finish_reasons", &self.finish_reasons().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
