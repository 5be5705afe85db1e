//! The body of an answer.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{BodyEnd, BoxError, meter::Scan, payload::add};

/// An answer's body: what was read ahead, or written by a layer, and then the rest of the inner
/// service's body.
///
/// The frames read ahead are handed on as they came, byte for byte and frame for frame; an error
/// that was met there follows them.
pub struct AnswerBody<R> {
    front: Front,
    rest: Option<R>,
    /// Reads what comes from `rest`. Boxed: most bodies pass unread, and are moved often.
    scan: Option<Box<Scan>>,
}

/// Frames that were read ahead. One frame, the usual case, needs no allocation.
#[derive(Default)]
pub(crate) struct Front {
    first: Option<Frame<Bytes>>,
    more: VecDeque<Frame<Bytes>>,
    bytes: u64,
    error: Option<BoxError>,
}

impl Front {
    pub(crate) const fn new() -> Self {
        Self {
            first: None,
            more: VecDeque::new(),
            bytes: 0,
            error: None,
        }
    }

    pub(crate) fn push(&mut self, frame: Frame<Bytes>) {
        self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.first.is_none() && self.more.is_empty() {
            self.first = Some(frame);
        } else {
            self.more.push_back(frame);
        }
    }

    pub(crate) fn fail(&mut self, error: BoxError) {
        self.error = Some(error);
    }

    pub(crate) const fn len(&self) -> u64 {
        self.bytes
    }

    /// The data in one piece; copied only where it came in several.
    pub(crate) fn concat(&self) -> Cow<'_, [u8]> {
        let mut parts = self
            .first
            .iter()
            .chain(&self.more)
            .filter_map(Frame::data_ref);
        match (parts.next(), parts.next()) {
            (None, _) => Cow::Borrowed(&[]),
            (Some(only), None) => Cow::Borrowed(only),
            (Some(first), Some(second)) => {
                let mut all = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or(0));
                all.extend_from_slice(first);
                all.extend_from_slice(second);
                parts.for_each(|part| all.extend_from_slice(part));
                Cow::Owned(all)
            }
        }
    }

    fn pop(&mut self) -> Option<Frame<Bytes>> {
        let frame = self.first.take().or_else(|| self.more.pop_front())?;
        self.bytes -= frame.data_ref().map_or(0, |data| data.len() as u64);
        Some(frame)
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.more.is_empty() && self.error.is_none()
    }
}

impl<R> AnswerBody<R> {
    /// The inner service's body, nothing read yet.
    #[must_use]
    pub fn inner(body: R) -> Self {
        Self {
            front: Front::default(),
            rest: Some(body),
            scan: None,
        }
    }

    /// A whole body of our own.
    #[must_use]
    pub fn own(bytes: Bytes) -> Self {
        let mut front = Front::default();
        if !bytes.is_empty() {
            front.push(Frame::data(bytes));
        }
        Self {
            front,
            rest: None,
            scan: None,
        }
    }

    pub(crate) const fn scanned(body: R, scan: Box<Scan>) -> Self {
        Self {
            front: Front::new(),
            rest: Some(body),
            scan: Some(scan),
        }
    }

    /// What was read ahead is scanned already.
    pub(crate) const fn read_ahead(front: Front, rest: Option<R>, scan: Option<Box<Scan>>) -> Self {
        Self { front, rest, scan }
    }

    /// Whether all of it is here already, so that nothing can go wrong with it any more.
    pub fn is_here(&self) -> bool
    where
        R: Body,
    {
        self.front.error.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }
}

impl<R> Body for AnswerBody<R>
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
        if let Some(frame) = self.front.pop() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.front.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let this = &mut *self;
        let Some(rest) = &mut this.rest else {
            return Poll::Ready(None);
        };
        let frame =
            ready!(Pin::new(&mut *rest).poll_frame(cx)).map(|frame| frame.map_err(Into::into));
        if let Some(scan) = &mut this.scan {
            scan.passed(&frame, rest);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Some(rest) => rest.size_hint(),
            None if self.front.error.is_some() => SizeHint::default(),
            None => SizeHint::with_exact(0),
        };
        add(&rest, self.front.len())
    }
}

impl<R> Drop for AnswerBody<R> {
    fn drop(&mut self) {
        if let Some(scan) = &mut self.scan {
            scan.end(&BodyEnd::Dropped);
        }
    }
}

impl<R> fmt::Debug for AnswerBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody")
            .field("bytes_read_ahead", &self.front.len())
            .field("has_rest", &self.rest.is_some())
            .finish()
    }
}
