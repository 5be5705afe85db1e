//! Answers to another call than the one that layers further out see.

use std::{fmt, sync::Arc};

use crate::Call;

/// The model that an answer was asked of, and where: an extension that a layer puts into its response which
/// has sent the call in another form, so that what it knew of the answer does not go further out.
///
/// A [`Meter`](crate::Meter) that is attached further out has them as its
/// [`asked_model`](crate::Meter::asked_model) and [`asked_host`](crate::Meter::asked_host).
#[derive(Clone, PartialEq, Eq)]
pub struct AskedModel {
    pub(crate) model: Arc<str>,
    pub(crate) host: Option<Arc<str>>,
}

impl AskedModel {
    /// This model.
    pub fn new(model: impl Into<Arc<str>>) -> Self {
        Self {
            model: model.into(),
            host: None,
        }
    }

    /// What a call asks. `None`: it names no model, and goes where its caller sent it.
    #[must_use]
    pub fn of(call: &Call) -> Option<Self> {
        let (model, host) = (call.shared_model(), call.shared_host());
        if model.is_none() && host.is_none() {
            return None;
        }
        Some(Self {
            model: model.unwrap_or_default(),
            host,
        })
    }

    /// The model. Empty: the call names none.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The host and port that it was asked at, where that is not the caller's.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// At this host, where that is not the caller's: [`Call::host`](crate::Call::host).
    #[must_use]
    pub fn at(mut self, host: Option<&str>) -> Self {
        self.host = host.map(Into::into);
        self
    }
}

impl fmt::Debug for AskedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskedModel")
            .field("model", &self.model)
            .field("host", &self.host)
            .finish()
    }
}
