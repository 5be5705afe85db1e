//! The body of an answer that came through the layer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use llm_exchange::{AnswerBody, BoxError, Meter, UsageHidden};

use crate::{flight::Reader, replay::Replay};

/// The body of an answer that came through the layer: the inner service's, one that is shared with equal
/// calls, or one that was known.
pub struct CacheBody<R>(Kind<R>);

enum Kind<R> {
    Passed(AnswerBody<R>),
    /// Boxed, so that an answer which just passes is no larger to move.
    Shared(Box<UsageHidden<Reader>>),
    Known(Replay),
}

impl<R> CacheBody<R> {
    pub(crate) const fn passed(body: AnswerBody<R>) -> Self {
        Self(Kind::Passed(body))
    }

    /// With the meter of a stream whose usage only this layer asked for.
    pub(crate) fn shared(reader: Reader, hide_usage: Option<Meter>) -> Self {
        Self(Kind::Shared(Box::new(UsageHidden::new(reader, hide_usage))))
    }

    pub(crate) const fn known(replay: Replay) -> Self {
        Self(Kind::Known(replay))
    }
}

impl<R> Body for CacheBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Passed(body) => Pin::new(body).poll_frame(cx),
            Kind::Shared(body) => Pin::new(body).poll_frame(cx),
            Kind::Known(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Passed(body) => body.is_end_stream(),
            Kind::Shared(body) => body.is_end_stream(),
            Kind::Known(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Passed(body) => body.size_hint(),
            Kind::Shared(body) => body.size_hint(),
            Kind::Known(body) => body.size_hint(),
        }
    }
}

impl<R> fmt::Debug for CacheBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Passed(_) => "CacheBody(passed)",
            Kind::Shared(_) => "CacheBody(shared)",
            Kind::Known(_) => "CacheBody(known)",
        })
    }
}
