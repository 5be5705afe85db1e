//! The body of an answer: written by a future, piece by piece, and told to the log when it ends.

use std::{
    fmt,
    future::Future,
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::log::{Outcome, Ticket};

/// The connection is to be cut here.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut by the script")
    }
}

impl std::error::Error for Cut {}

/// Where the writing future puts its pieces. It runs only while the body is polled, so it is gone
/// as soon as the body is.
pub(crate) struct Writer {
    pieces: mpsc::Sender<Bytes>,
    segment: usize,
    started: bool,
}

impl Writer {
    pub(crate) async fn write(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            if std::mem::replace(&mut self.started, true) {
                // a body that is pending is flushed by hyper: no two pieces in one write
                tokio::task::yield_now().await;
            }
            let piece = bytes.split_to(self.segment.min(bytes.len()));
            // the reader holds this future: it can't be gone
            let _ = self.pieces.send(piece).await;
        }
    }
}

type Writing = Pin<Box<dyn Future<Output = Result<(), Cut>> + Send>>;

pub(crate) struct FakeBody {
    writing: Option<Writing>,
    cut: bool,
    pieces: mpsc::Receiver<Bytes>,
    /// Bytes to come, where the head says how many.
    left: Option<u64>,
    /// `None`: nobody is to be told.
    ticket: Option<Ticket>,
}

impl FakeBody {
    /// A body of `length` bytes (`None`: chunked) that `write` writes.
    pub(crate) fn new<F>(
        ticket: impl Into<Option<Ticket>>,
        length: Option<u64>,
        segment: Option<NonZeroUsize>,
        write: impl FnOnce(Writer) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), Cut>> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(1);
        let segment = segment.map_or(usize::MAX, NonZeroUsize::get);
        let writing = write(Writer {
            pieces: sender,
            segment,
            started: false,
        });
        let writing: Option<Writing> = Some(Box::pin(writing));
        let mut body = Self {
            writing,
            cut: false,
            pieces,
            left: length,
            ticket: ticket.into(),
        };
        if length == Some(0) {
            // nobody polls an empty body
            body.settle(Outcome::Whole);
        }
        body
    }

    /// These bytes.
    pub(crate) fn plain(ticket: impl Into<Option<Ticket>>, bytes: Bytes) -> Self {
        Self::cut_into(ticket, None, bytes)
    }

    /// These bytes, written in pieces.
    pub(crate) fn cut_into(
        ticket: impl Into<Option<Ticket>>,
        segment: Option<NonZeroUsize>,
        bytes: Bytes,
    ) -> Self {
        Self::new(
            ticket,
            Some(bytes.len() as u64),
            segment,
            |mut writer| async move {
                writer.write(bytes).await;
                Ok(())
            },
        )
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(ticket) = &mut self.ticket {
            ticket.settle(outcome);
        }
    }
}

impl Body for FakeBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        if let Some(writing) = &mut this.writing
            && let Poll::Ready(result) = writing.as_mut().poll(cx)
        {
            this.cut = result.is_err();
            // the writer goes with it, so that the channel ends
            this.writing = None;
        }
        let piece = ready!(this.pieces.poll_recv(cx));
        let Some(piece) = piece else {
            let cut = std::mem::take(&mut this.cut);
            this.settle(if cut { Outcome::Broken } else { Outcome::Whole });
            return Poll::Ready(cut.then_some(Err(Cut)));
        };
        this.left = this
            .left
            .map(|left| left.saturating_sub(piece.len() as u64));
        let written = this.writing.is_none() && !this.cut && this.pieces.is_empty();
        // hyper does not poll again after the last byte that the head announced
        if written || this.left == Some(0) {
            this.settle(Outcome::Whole);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
