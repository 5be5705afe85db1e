//! What was read of a body before it is handed on.

use std::{borrow::Cow, collections::VecDeque};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use crate::BoxError;

/// What was read ahead. One frame of data is the usual case.
#[derive(Default)]
pub(super) struct Front {
    first: Option<Bytes>,
    /// Boxed, as most answers have no more and all are moved often. Gone when it is used up.
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    frames: VecDeque<Frame<Bytes>>,
    /// of the frames' data
    bytes: u64,
    /// What comes after them, and after it nothing.
    error: Option<BoxError>,
}

impl Front {
    pub(super) fn push(&mut self, frame: Frame<Bytes>) {
        let frame = if self.is_empty() {
            match frame.into_data() {
                Ok(data) => {
                    self.first = Some(data);
                    return;
                }
                Err(frame) => frame,
            }
        } else {
            frame
        };
        let more = self.more.get_or_insert_default();
        more.bytes += length(&frame);
        more.frames.push_back(frame);
    }

    pub(super) fn fail(&mut self, error: BoxError) {
        self.more.get_or_insert_default().error = Some(error);
    }

    pub(super) fn len(&self) -> u64 {
        let first = self.first.as_ref().map_or(0, |data| data.len() as u64);
        first + self.more.as_ref().map_or(0, |more| more.bytes)
    }

    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.more.as_ref()?.frames.back()?.trailers_ref()
    }

    pub(super) fn concat(&self) -> Cow<'_, [u8]> {
        let first = self.first.as_deref().unwrap_or_default();
        let Some(more) = &self.more else {
            return Cow::Borrowed(first);
        };
        let mut all = Vec::with_capacity(usize::try_from(self.len()).unwrap_or(0));
        all.extend_from_slice(first);
        for data in more.frames.iter().filter_map(Frame::data_ref) {
            all.extend_from_slice(data);
        }
        Cow::Owned(all)
    }

    pub(super) fn pop(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        if let Some(data) = self.first.take() {
            return Some(Ok(Frame::data(data)));
        }
        let more = self.more.as_mut()?;
        let next = match more.frames.pop_front() {
            Some(frame) => {
                more.bytes -= length(&frame);
                Some(Ok(frame))
            }
            None => more.error.take().map(Err),
        };
        if more.frames.is_empty() && more.error.is_none() {
            self.more = None;
        }
        next
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none() && self.more.is_none()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.error.is_some())
    }
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}
