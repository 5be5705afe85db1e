//! The body of an answer.

mod front;

use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use self::front::Front;
use crate::{BoxError, meter::Scan, payload::add};

/// An answer's body: what was read ahead, or written by a layer, and then the rest of the inner
/// service's body.
///
/// The frames read ahead are handed on as they came, byte for byte and frame for frame; an error
/// that was met there follows them.
pub struct AnswerBody<R> {
    front: Front,
    rest: Option<R>,
    /// Boxed: most bodies pass as they are, and are moved often.
    beside: Option<Box<Beside>>,
}

/// What looks at a body, or changes it.
#[derive(Default)]
struct Beside {
    /// Reads what comes from `rest`.
    scan: Option<Scan>,
    /// Makes other bytes of all that is handed on.
    reshape: Option<Box<dyn Reshape>>,
}

/// Makes other bytes of a body's as they pass: see [`AnswerBody::reshaped`].
pub trait Reshape: Send + Sync {
    /// The next bytes came: what is handed on for them, which may be nothing.
    fn data(&mut self, data: Bytes) -> Bytes;

    /// The body ended in order: what is handed on at last.
    fn end(&mut self) -> Bytes;

    /// Whether all was handed on that there is to be, though bytes may still come.
    fn is_over(&self) -> bool;
}

/// Frames that are let go after the end, so that the connection can be used again.
const MOST_AFTER: usize = 16;

/// What a body gave when it was asked for more than is handed on yet.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// A frame.
    Frame,
    /// Its end, in order.
    End,
    /// An error, which follows the frames before it.
    Broke,
}

impl<R> AnswerBody<R> {
    /// The inner service's body, nothing read yet.
    #[must_use]
    pub fn inner(body: R) -> Self {
        Self {
            front: Front::default(),
            rest: Some(body),
            beside: None,
        }
    }

    /// A whole body of our own.
    #[must_use]
    pub fn own(bytes: Bytes) -> Self {
        let mut front = Front::default();
        if !bytes.is_empty() {
            front.push(Frame::data(bytes));
        }
        Self::of_front(front)
    }

    /// A body of which nothing comes but this error.
    #[must_use]
    pub fn broken(error: BoxError) -> Self {
        let mut front = Front::default();
        front.fail(error);
        Self::of_front(front)
    }

    const fn of_front(front: Front) -> Self {
        Self {
            front,
            rest: None,
            beside: None,
        }
    }

    /// The same body in another form: all that is handed on of it, what was read ahead too, passes
    /// `reshape`. A [`Meter`](crate::Meter) that reads it goes on reading the bytes as they came.
    /// Trailers are left out, and an error ends it.
    #[must_use]
    pub fn reshaped(mut self, reshape: impl Reshape + 'static) -> Self {
        self.beside.get_or_insert_default().reshape = Some(Box::new(reshape));
        self
    }

    fn is_reshaped(&self) -> bool {
        let beside = self.beside.as_ref();
        beside.is_some_and(|beside| beside.reshape.is_some())
    }

    /// The inner service's body, read by a scan as it passes.
    pub(crate) fn scanned(body: R, scan: Scan) -> Self {
        let beside = Beside {
            scan: Some(scan),
            reshape: None,
        };
        Self {
            beside: Some(Box::new(beside)),
            ..Self::inner(body)
        }
    }

    /// How many bytes were read ahead and are not handed on yet.
    #[must_use]
    pub fn bytes_ahead(&self) -> u64 {
        self.front.len()
    }

    /// The data that was read ahead, in one piece; copied only where it came in several.
    pub(crate) fn data_ahead(&self) -> Cow<'_, [u8]> {
        self.front.concat()
    }

    /// The trailers, if they were read ahead.
    pub(crate) fn trailers_ahead(&self) -> Option<&HeaderMap> {
        self.front.trailers()
    }

    /// Whether all of it is here already, so that nothing can go wrong with it any more.
    pub fn is_here(&self) -> bool
    where
        R: Body,
    {
        !self.is_reshaped()
            && !self.front.is_broken()
            && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }
}

impl<R> AnswerBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// Reads one frame more ahead; it is handed on in its turn. For a layer that holds an answer back
    /// until it knows more of it: such a layer bounds what it reads.
    pub fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Ahead> {
        let frame = ready!(self.poll_rest(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                self.front.push(frame);
                Ahead::Frame
            }
            Some(Err(error)) => {
                self.front.fail(error);
                Ahead::Broke
            }
            None => Ahead::End,
        })
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let frame =
            ready!(Pin::new(&mut *rest).poll_frame(cx)).map(|frame| frame.map_err(Into::into));
        if let Some(scan) = self.beside.as_mut().and_then(|beside| beside.scan.as_mut()) {
            scan.passed(&frame, rest);
        }
        Poll::Ready(frame)
    }

    /// The next frame as it came.
    fn poll_plain(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.front.is_empty() {
            return self.poll_rest(cx);
        }
        Poll::Ready(self.front.pop())
    }

    fn poll_reshaped(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let frame = ready!(self.poll_plain(cx));
            let reshape = self
                .beside
                .as_mut()
                .and_then(|beside| beside.reshape.as_mut());
            let Some(reshape) = reshape else {
                return Poll::Ready(None);
            };
            let said = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => reshape.data(data),
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    self.finish();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let last = reshape.end();
                    self.finish();
                    let last = Some(last).filter(|last| !last.is_empty());
                    return Poll::Ready(last.map(|last| Ok(Frame::data(last))));
                }
            };
            if reshape.is_over() {
                self.let_go(cx);
                self.finish();
                let last = Some(said).filter(|said| !said.is_empty());
                return Poll::Ready(last.map(|last| Ok(Frame::data(last))));
            }
            if !said.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(said))));
            }
        }
    }

    /// Reads what is there after the end, and waits for nothing.
    fn let_go(&mut self, cx: &mut Context<'_>) {
        for _ in 0..MOST_AFTER {
            match self.poll_plain(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                _ => return,
            }
        }
    }

    /// Nothing is handed on any more.
    fn finish(&mut self) {
        self.front = Front::default();
        self.rest = None;
        self.beside = None;
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
        if self.is_reshaped() {
            return self.poll_reshaped(cx);
        }
        self.poll_plain(cx)
    }

    fn is_end_stream(&self) -> bool {
        !self.is_reshaped()
            && self.front.is_empty()
            && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_reshaped() {
            return SizeHint::default();
        }
        let rest = match &self.rest {
            Some(rest) => rest.size_hint(),
            None if self.front.is_broken() => SizeHint::default(),
            None => SizeHint::with_exact(0),
        };
        add(&rest, self.front.len())
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
