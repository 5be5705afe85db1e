//! A stream without the usage that only a layer of ours asked for.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::Meter;
use crate::BoxError;

/// A body that takes out the events that are nothing but the usage, where
/// [`Call::ask_usage`](crate::Call::ask_usage) asked for them and the caller did not.
///
/// Everything else passes byte for byte. The beginning of an event is held back until it is known
/// whether all of it stays: at most one event (4 MiB). Where nothing is to be hidden the body is
/// the inner one.
pub struct UsageHidden<B> {
    body: B,
    /// `None`: nothing is hidden.
    meter: Option<Meter>,
    /// bytes of the body that were taken in so far
    taken: u64,
    /// the beginning of an event
    held: BytesMut,
    /// what comes after the held bytes: an error, trailers, or the end
    last: Option<Option<Result<Frame<Bytes>, BoxError>>>,
}

impl<B> UsageHidden<B> {
    /// Hides usage in the body that `meter` reads, which is a stream; `None` hides nothing.
    pub fn new(body: B, meter: Option<Meter>) -> Self {
        Self {
            body,
            meter: meter.filter(Meter::is_stream),
            taken: 0,
            held: BytesMut::new(),
            last: None,
        }
    }

    /// What of the data goes on; the rest is held, or gone.
    fn pass(&mut self, meter: &Meter, data: Bytes) -> Bytes {
        let start = self.taken - self.held.len() as u64;
        self.taken += data.len() as u64;
        let data = if self.held.is_empty() {
            data
        } else {
            let mut held = mem::take(&mut self.held);
            held.extend_from_slice(&data);
            held.freeze()
        };
        let end = start + data.len() as u64;
        // where more was read ahead than has come to here, the event's end is near
        let whole = meter.boundary().clamp(start, end);
        let at = |place: u64| usize::try_from(place - start).unwrap_or(data.len());
        if whole < end {
            self.held.extend_from_slice(&data[at(whole)..]);
        }
        let reading = meter.reading();
        if reading.usage_only.is_empty() {
            return data.slice(..at(whole));
        }
        let mut parts = reading.usage_only.without(start..whole);
        match (parts.next(), parts.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => data.slice(at(only.start)..at(only.end)),
            (Some(first), Some(second)) => {
                let mut joined = BytesMut::with_capacity(data.len());
                for part in [first, second].into_iter().chain(parts) {
                    joined.extend_from_slice(&data[at(part.start)..at(part.end)]);
                }
                joined.freeze()
            }
        }
    }
}

impl<B> Body for UsageHidden<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.meter.is_none() {
            return Pin::new(&mut this.body).poll_frame(cx).map_err(Into::into);
        }
        if let Some(last) = this.last.take() {
            return Poll::Ready(last);
        }
        loop {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
            let frame = frame.map(|frame| frame.map_err(Into::into));
            let Some(meter) = this.meter.clone() else {
                return Poll::Ready(frame);
            };
            let last = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let data = this.pass(&meter, data);
                        if data.is_empty() {
                            continue;
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Err(trailers) => Some(Ok(trailers)),
                },
                last => last,
            };
            // an event that was begun and will not be whole
            let mut rest = BytesMut::from(this.pass(&meter, Bytes::new()));
            rest.unsplit(mem::take(&mut this.held));
            if rest.is_empty() {
                return Poll::Ready(last);
            }
            this.last = Some(last);
            return Poll::Ready(Some(Ok(Frame::data(rest.freeze()))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty()
            && match &self.last {
                None => self.body.is_end_stream(),
                Some(last) => last.is_none(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        if self.meter.is_none() {
            return self.body.size_hint();
        }
        let mut hint = SizeHint::new();
        if let Some(upper) = self.body.size_hint().upper() {
            hint.set_upper(upper.saturating_add(self.held.len() as u64));
        }
        hint
    }
}

impl<B> fmt::Debug for UsageHidden<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageHidden")
            .field("held", &self.held.len())
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}
