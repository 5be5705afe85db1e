//! The scan of an answer that is no stream: one JSON text, parsed at its end.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{StatusCode, response};

use super::{Reading, scan::is_error, tail};
use crate::{Dialect, ProviderError};

/// An answer up to this size is parsed whole. It is held, not copied, until it has passed.
const LARGEST: usize = 1 << 20;
/// Of a larger one, and of an error's body, so much is looked at.
const PART: usize = tail::LENGTH;

/// Holds the frames that passed: all, or the last ones of an answer that is too large.
pub(crate) struct AnswerScan {
    dialect: Dialect,
    status: StatusCode,
    /// Amazon names an error's kind in the head.
    error_kind: Option<Box<str>>,
    frames: VecDeque<Bytes>,
    held: usize,
    /// bytes that passed
    passed: u64,
    too_large: bool,
}

impl AnswerScan {
    pub(crate) fn new(dialect: Dialect, head: &response::Parts) -> Self {
        Self {
            dialect,
            status: head.status,
            error_kind: ProviderError::amazon_kind(&head.headers).map(Into::into),
            frames: VecDeque::new(),
            held: 0,
            passed: 0,
            too_large: false,
        }
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        if is_error(self.status) && self.held >= PART {
            return;
        }
        self.held += data.len();
        self.passed += data.len() as u64;
        self.frames.push_back(data);
        self.too_large |= self.held > LARGEST;
        while self.too_large
            && let Some(first) = self.frames.front()
            && self.held - first.len() >= PART
        {
            self.held -= first.len();
            self.frames.pop_front();
        }
    }

    pub(crate) fn finish(&mut self, reading: &mut Reading) {
        let body = self.take();
        if is_error(self.status) {
            reading.done = true;
            if let Some(error) = ProviderError::of_answer(self.error_kind.as_deref(), &body) {
                reading.fail(error);
            }
        } else if self.too_large {
            // which is never the answer's beginning, but has its end
            reading.done = body.trim_ascii_end().ends_with(b"}");
            tail::read_last_usage(self.dialect, &body, reading);
            // what is generated is most of what is so large; an embedding's numbers are no tokens
            if reading.usage().is_none() && self.dialect.takes_output_cap() {
                reading.unread(self.passed);
            }
        } else {
            let text = String::from_utf8_lossy(&body);
            (self.dialect.wire().read_answer)(text.as_bytes(), reading);
        }
    }

    fn take(&mut self) -> Bytes {
        let mut frames = std::mem::take(&mut self.frames);
        if frames.len() == 1
            && let Some(only) = frames.pop_front()
        {
            return only;
        }
        let mut body = Vec::with_capacity(self.held);
        frames
            .iter()
            .for_each(|frame| body.extend_from_slice(frame));
        body.into()
    }
}
