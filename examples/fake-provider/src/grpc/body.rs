//! The body of a gRPC answer: tonic's own, cut where the script says.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use super::service::CUT;
use crate::{
    behaviour::{At, Behaviour, BodyFault, Fault},
    body::Cut,
    log::{Outcome, Ticket},
};

/// Time that what was written before a cut has to get out.
const SETTLE: Duration = Duration::from_millis(5);

pub(crate) struct GrpcBody {
    inner: tonic::body::Body,
    ticket: Ticket,
    segment: usize,
    /// What goes wrong in an answer of one message, which tonic writes whole.
    fault: Option<(At, BodyFault)>,
    /// Data that is to come in segments.
    left: Bytes,
    state: State,
}

enum State {
    Passing,
    Stalled,
    Breaking(Pin<Box<Sleep>>),
    Ended,
}

impl GrpcBody {
    pub(super) fn new(
        inner: tonic::body::Body,
        mut ticket: Ticket,
        behaviour: &Behaviour,
        unary: bool,
    ) -> Self {
        if inner.is_end_stream() {
            // a status in the head; nobody polls the body
            ticket.settle(Outcome::Whole);
        }
        let fault = match &behaviour.fault {
            Some(Fault::Body(at, fault)) if unary => Some((*at, fault.clone())),
            _ => None,
        };
        let segment = behaviour.shape.segment;
        Self {
            inner,
            ticket,
            segment: segment.map_or(usize::MAX, std::num::NonZeroUsize::get),
            fault,
            left: Bytes::new(),
            state: State::Passing,
        }
    }

    fn happen(&mut self, fault: &BodyFault) {
        self.state = match fault {
            BodyFault::Stall => State::Stalled,
            BodyFault::Break => State::Breaking(Box::pin(sleep(SETTLE))),
            // an error was tonic's to write
            BodyFault::End | BodyFault::Error(_) => State::Ended,
        };
    }

    /// The next piece of data that is here already.
    fn segment(&mut self) -> Option<Frame<Bytes>> {
        let length = self.left.len().min(self.segment);
        (length > 0).then(|| Frame::data(self.left.split_to(length)))
    }

    fn cut_by(&mut self, trailers: &HeaderMap) -> bool {
        let fault = match trailers.get(CUT).map(|value| value.as_bytes()) {
            Some(b"break") => BodyFault::Break,
            Some(_) => BodyFault::End,
            None => return false,
        };
        self.happen(&fault);
        true
    }
}

impl Body for GrpcBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        loop {
            if let Some(piece) = this.segment() {
                return Poll::Ready(Some(Ok(piece)));
            }
            match &mut this.state {
                State::Passing => {}
                State::Stalled => return Poll::Pending,
                State::Breaking(settled) => {
                    ready!(settled.as_mut().poll(cx));
                    this.ticket.settle(Outcome::Broken);
                    return Poll::Ready(Some(Err(Cut)));
                }
                State::Ended => {
                    this.ticket.settle(Outcome::Whole);
                    return Poll::Ready(None);
                }
            }
            if let Some((At::First, fault)) = &this.fault {
                let fault = fault.clone();
                this.happen(&fault);
                continue;
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                // tonic's body does not fail; if it does, the stream is reset
                Some(Err(_)) => {
                    this.ticket.settle(Outcome::Broken);
                    return Poll::Ready(Some(Err(Cut)));
                }
                None => this.state = State::Ended,
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => {
                        if let Some((_, fault)) = this.fault.take() {
                            data.truncate(data.len() / 2);
                            this.happen(&fault);
                        }
                        this.left = data;
                    }
                    Err(frame) => {
                        let trailers = frame.trailers_ref();
                        if trailers.is_some_and(|trailers| this.cut_by(trailers)) {
                            continue;
                        }
                        // hyper does not ask again after trailers
                        this.state = State::Ended;
                        this.ticket.settle(Outcome::Whole);
                        return Poll::Ready(Some(Ok(frame)));
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Passing)
            && self.fault.is_none()
            && self.left.is_empty()
            && self.inner.is_end_stream()
    }
}
