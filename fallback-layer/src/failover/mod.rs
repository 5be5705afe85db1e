//! Going on with a stream that broke after its first content.

mod check;
mod graft;
mod heard;
mod joined;
mod onward;
mod prefill;
pub(crate) mod request;
mod seam;
mod words;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use llm_exchange::{BoxError, Call, Classify, Dialect, Framing, Meter, Payload};
use tower_service::Service;

use self::onward::Going;
pub use self::prefill::Prefill;
#[cfg(feature = "translate")]
pub(crate) use self::request::continue_final;
pub(crate) use self::{
    joined::Joined,
    onward::{Died, Ending, Next, Part},
    request::Beginning,
};
use crate::{FallbackBody, FallbackFuture, OnFallback, Own, course::OfTarget};

/// How a stream that breaks after its first content is gone on with; see
/// [`FallbackLayer::failover`](crate::FallbackLayer::failover).
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    pub(crate) times: u32,
    pub(crate) max_text_bytes: usize,
    pub(crate) same_target_only: bool,
}

impl Default for Failover {
    fn default() -> Self {
        Self::new()
    }
}

impl Failover {
    /// Once, of at most 256 KiB of text, at the same target or another.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            times: 1,
            max_text_bytes: 256 << 10,
            same_target_only: false,
        }
    }

    /// How often one answer may be gone on with. Default 1.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// How much of a stream's text is kept for this, in bytes. Default 256 KiB. A longer one is not
    /// gone on with.
    #[must_use]
    pub const fn max_text_bytes(mut self, bytes: usize) -> Self {
        self.max_text_bytes = bytes;
        self
    }

    /// Goes on only at the target whose stream broke, so that no answer is of two models. Default: a
    /// target that said that it is overloaded, throttled or out of quota is left for the next, and so
    /// is one that fails again.
    #[must_use]
    pub const fn same_target_only(mut self) -> Self {
        self.same_target_only = true;
        self
    }
}

#[allow(unnameable_types, reason = "nobody else is to implement it")]
mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for super::Failover {}
}

/// [`Failover`] or `()`: whether streams are gone on with.
pub trait GoesOn<S, R, O, C, H>: sealed::Sealed + Copy
where
    S: Service<Request<Payload>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
{
    /// The answer to this call, as one that can go on by this future.
    #[doc(hidden)]
    fn join(
        self,
        response: Response<FallbackBody<R>>,
        call: Arc<Call>,
        onward: impl FnOnce() -> FallbackFuture<S, R, O, C, H>,
    ) -> Response<FallbackBody<R>>;
}

impl<S, R, O, C, H> GoesOn<S, R, O, C, H> for ()
where
    S: Service<Request<Payload>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    O: Own<S>,
{
    fn join(
        self,
        response: Response<FallbackBody<R>>,
        _: Arc<Call>,
        _: impl FnOnce() -> FallbackFuture<S, R, O, C, H>,
    ) -> Response<FallbackBody<R>> {
        response
    }
}

/// The rest of a call's course lives in the body of its answer, which goes wherever the app takes it.
impl<S, R, O, C, H> GoesOn<S, R, O, C, H> for Failover
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
    O: Own<S> + Send + Sync + 'static,
    O::Service: Send,
    <O::Service as Service<Request<Payload>>>::Future: Send,
    C: Classify<S::Error> + Clone + Send + 'static,
    H: OnFallback + Clone + Send + 'static,
{
    fn join(
        self,
        response: Response<FallbackBody<R>>,
        call: Arc<Call>,
        onward: impl FnOnce() -> FallbackFuture<S, R, O, C, H>,
    ) -> Response<FallbackBody<R>> {
        let Some(inner) = readable(&response).filter(|_| has_prefix(&call)) else {
            return response;
        };
        FallbackBody::join(response, |response| {
            let onward = Box::new(Going::new(onward(), self.times));
            Joined::around(response, inner, &call, self, onward)
        })
    }
}

/// Whether a stream of this call's dialect, as its caller reads it, can be gone on with.
fn has_prefix(call: &Call) -> bool {
    let dialect = matches!(
        call.dialect(),
        Dialect::OpenAiChat | Dialect::AnthropicMessages | Dialect::Gemini
    );
    dialect && call.choices() == 1
}

/// The meter of a stream whose events are read for this: its target's, also where the events were
/// translated since.
pub(crate) fn readable<B>(response: &Response<B>) -> Option<Meter> {
    let meter = OfTarget::meter(response)?;
    let framing = match OfTarget::is_of(response) {
        true => framing(response),
        false => meter.framing(),
    };
    let is_stream = meter.is_stream() && framing == Some(Framing::Sse);
    (is_stream && response.status() == StatusCode::OK).then_some(meter)
}

/// Of a translated stream: its head says it.
fn framing<B>(response: &Response<B>) -> Option<Framing> {
    let content_type = response.headers().get(header::CONTENT_TYPE)?;
    (content_type == "text/event-stream").then_some(Framing::Sse)
}
