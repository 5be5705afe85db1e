//! Without the feature `translate` no target has another dialect than the call.

use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use llm_exchange::{AnswerBody, Call, Dialect, Payload};

use crate::target::Spec;

/// There is none.
#[derive(Debug)]
pub(crate) struct Translation(Infallible);

impl Translation {
    pub(crate) fn asked(self, _: &Call) -> Self {
        match self.0 {}
    }

    pub(crate) fn answer<R>(self, _: Response<AnswerBody<R>>) -> TranslatedAnswer<R> {
        match self.0 {}
    }
}

/// There is none.
pub(crate) struct TranslatedAnswer<R>(Infallible, PhantomData<fn() -> R>);

impl<R> Future for TranslatedAnswer<R> {
    type Output = Response<AnswerBody<R>>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0 {}
    }
}

pub(crate) fn begin(
    _: &mut Request<Payload>,
    _: &Spec,
) -> Result<Option<Box<Translation>>, String> {
    Ok(None)
}

pub(crate) const fn translates(_: Dialect, _: Dialect) -> bool {
    false
}
