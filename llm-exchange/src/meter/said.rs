//! What an answer says of itself.

use std::{
    fmt,
    sync::{Arc, MutexGuard},
};

use super::{FinishReason, Meter, reading::Reading};
use crate::{ProviderError, Usage};

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

impl Meter {
    /// What the answer has said of itself so far, for who wants to know several things: read at once
    /// and without a copy.
    #[must_use]
    pub fn said(&self) -> Said<'_> {
        Said(self.reading())
    }

    /// The model as the answer names it, which may be a snapshot of the one that was asked for.
    #[must_use]
    pub fn model(&self) -> Option<String> {
        self.reading().model.as_deref().map(str::to_owned)
    }

    /// The provider's id of the answer.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        self.reading().id.as_deref().map(str::to_owned)
    }

    /// The service tier that the answer says was used. It, not the one asked for, sets the price.
    #[must_use]
    pub fn service_tier(&self) -> Option<String> {
        self.reading().tier.as_deref().map(str::to_owned)
    }

    /// The speed at which the answer says it was made (Anthropic: `fast`); it sets the price too.
    #[must_use]
    pub fn speed(&self) -> Option<String> {
        self.reading().speed.as_deref().map(str::to_owned)
    }

    /// Where the answer says it was made (Anthropic's `inference_geo`: `us`); it sets the price too.
    #[must_use]
    pub fn geo(&self) -> Option<String> {
        self.reading().geo.as_deref().map(str::to_owned)
    }

    /// Why the answer ended, as the provider writes it, for each choice in the order of their
    /// indexes. Empty: no choice has ended yet.
    #[must_use]
    pub fn finish_reasons(&self) -> Vec<String> {
        self.reading().finishes().map(str::to_owned).collect()
    }

    /// What the finish reasons mean together: the worst of them. `None`: no choice has ended yet.
    #[must_use]
    pub fn finish(&self) -> Option<FinishReason> {
        self.reading().finishes().map(FinishReason::of).max()
    }

    /// The provider's error: in the stream, or the body of an error answer.
    #[must_use]
    pub fn error(&self) -> Option<Arc<ProviderError>> {
        self.reading().error.clone()
    }
}
