//! Answers to another call than the one that layers further out see.

use std::{fmt, sync::Arc};

/// The model that an answer was asked of: an extension that a layer puts into its response which has sent
/// the call in another form, so that what it knew of the answer does not go further out.
///
/// A [`Meter`](crate::Meter) that is attached further out has it as its
/// [`asked_model`](crate::Meter::asked_model).
#[derive(Clone, PartialEq, Eq)]
pub struct AskedModel(pub(crate) Arc<str>);

impl AskedModel {
    /// This model.
    pub fn new(model: impl Into<Arc<str>>) -> Self {
        Self(model.into())
    }
}

impl fmt::Debug for AskedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AskedModel").field(&self.0).finish()
    }
}
