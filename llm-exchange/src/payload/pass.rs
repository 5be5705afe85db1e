//! A payload as the body that a client sends.

use std::{
    pin::Pin,
    sync::PoisonError,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{BoxBody, Content, Payload};
use crate::BoxError;

pub(super) fn boxed<B>(body: B) -> BoxBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    pin_project_lite::pin_project! {
        struct BoxErrors<B> { #[pin] body: B }
    }

    impl<B: Body<Data = Bytes>> Body for BoxErrors<B>
    where
        B::Error: Into<BoxError>,
    {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.project().body.poll_frame(cx).map_err(Into::into)
        }

        fn is_end_stream(&self) -> bool {
            self.body.is_end_stream()
        }

        fn size_hint(&self) -> SizeHint {
            self.body.size_hint()
        }
    }

    Box::pin(BoxErrors { body })
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.content {
            Content::Whole { bytes, trailers } => {
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))));
                }
                Poll::Ready(
                    trailers
                        .take()
                        .map(|trailers| Ok(Frame::trailers(*trailers))),
                )
            }
            Content::Broken { read, error } => {
                if !read.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(read)))));
                }
                Poll::Ready(error.take().map(Err))
            }
            Content::Stream { front, rest } => {
                if !front.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(front)))));
                }
                rest.get_mut()
                    .unwrap_or_else(PoisonError::into_inner)
                    .as_mut()
                    .poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole { bytes, trailers } => bytes.is_empty() && trailers.is_none(),
            Content::Broken { read, error } => read.is_empty() && error.is_none(),
            Content::Stream { front, rest } => {
                front.is_empty()
                    && rest
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Content::Broken { .. } => SizeHint::default(),
            Content::Stream { front, rest } => {
                let rest = rest
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .size_hint();
                add(&rest, front.len() as u64)
            }
        }
    }
}

/// A size hint of this many bytes more.
pub(crate) fn add(hint: &SizeHint, bytes: u64) -> SizeHint {
    let mut sum = SizeHint::new();
    sum.set_lower(hint.lower().saturating_add(bytes));
    if let Some(upper) = hint.upper().and_then(|upper| upper.checked_add(bytes)) {
        sum.set_upper(upper);
    }
    sum
}
