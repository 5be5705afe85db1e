//! The body of an answer for the caller.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use llm_exchange::BoxError;

use crate::StreamTranslator;

/// Frames that are let go after the caller's stream has ended, so that the connection can be used again.
const MOST_AFTER: usize = 16;

/// The body of an answer that may have been translated. One that was not passes byte for byte.
pub struct TranslatedBody<R>(Inner<R>);

enum Inner<R> {
    Passed(R),
    Whole(Bytes),
    /// Boxed: most answers of a service that has them are no streams, or are moved often.
    Stream(Box<Stream<R>>),
    /// It broke before it could be read.
    Broken(Option<BoxError>),
}

struct Stream<R> {
    /// `None`: nothing comes any more.
    rest: Option<R>,
    translator: StreamTranslator,
}

impl<R> TranslatedBody<R> {
    /// A body that is not translated.
    #[must_use]
    pub const fn passed(body: R) -> Self {
        Self(Inner::Passed(body))
    }

    pub(crate) const fn whole(bytes: Bytes) -> Self {
        Self(Inner::Whole(bytes))
    }

    pub(crate) fn stream(rest: R, translator: StreamTranslator) -> Self {
        let rest = Some(rest);
        Self(Inner::Stream(Box::new(Stream { rest, translator })))
    }

    pub(crate) const fn broken(error: BoxError) -> Self {
        Self(Inner::Broken(Some(error)))
    }
}

impl<R> Body for TranslatedBody<R>
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
            Inner::Passed(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Inner::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Inner::Stream(stream) => stream.poll(cx),
            Inner::Broken(error) => Poll::Ready(error.take().map(Err)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Passed(body) => body.is_end_stream(),
            Inner::Whole(bytes) => bytes.is_empty(),
            Inner::Stream(stream) => stream.rest.is_none(),
            Inner::Broken(error) => error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Passed(body) => body.size_hint(),
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(stream) if stream.rest.is_none() => SizeHint::with_exact(0),
            Inner::Stream(_) | Inner::Broken(_) => SizeHint::default(),
        }
    }
}

impl<R> Stream<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let Some(rest) = &mut self.rest else {
                return Poll::Ready(None);
            };
            let said = match ready!(Pin::new(&mut *rest).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.translator.push(data),
                    // the trailers of these dialects say nothing
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    self.rest = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {
                    self.rest = None;
                    self.translator.finish()
                }
            };
            if self.translator.is_over() {
                self.let_go(cx);
            }
            if !said.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(said))));
            }
        }
    }

    /// Reads what is there after the end, and waits for nothing.
    fn let_go(&mut self, cx: &mut Context<'_>) {
        let Some(mut rest) = self.rest.take() else {
            return;
        };
        for _ in 0..MOST_AFTER {
            match Pin::new(&mut rest).poll_frame(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                _ => return,
            }
        }
    }
}

/// Shows no content.
impl<R> fmt::Debug for TranslatedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Inner::Passed(_) => "TranslatedBody(passed)",
            Inner::Whole(_) => "TranslatedBody(whole)",
            Inner::Stream(_) => "TranslatedBody(stream)",
            Inner::Broken(_) => "TranslatedBody(broken)",
        })
    }
}
