//! Amazon's binary event stream, in which Bedrock streams: frames with headers and two checksums.

use std::{borrow::Cow, ops::Range};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes};
use serde::Deserialize;

mod write;

pub(crate) use self::write::{event, exception};
use crate::cut::{Cutter, Frames, Uncut};

/// The lengths of the frame and of its headers, and the checksum over both.
pub(crate) const PRELUDE: usize = 12;

/// The checksum over the whole frame, at its end.
const CHECKSUM: usize = 4;

/// Cuts a body into messages, and checks them. Bounded as [`Cutter`] is.
///
/// After a frame that is damaged nothing more comes, since its length may be what is wrong.
#[derive(Debug)]
pub(crate) struct EventStream {
    frames: Cutter<Frames<PRELUDE>>,
    damaged: bool,
}

/// One message: a frame that was checked, and where in it stands what happened. Nothing of it is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    frame: Bytes,
    kind: Range<usize>,
    name: Range<usize>,
    payload: Range<usize>,
}

impl Message {
    /// An event; else an exception or an error.
    pub(crate) fn is_event(&self) -> bool {
        self.frame.get(self.kind.clone()) == Some(b"event")
    }

    /// `:event-type` or `:exception-type`, or `:error-code`.
    pub(crate) fn name(&self) -> &str {
        let name = self.frame.get(self.name.clone()).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// Mostly JSON.
    pub(crate) fn payload(&self) -> &[u8] {
        self.frame.get(self.payload.clone()).unwrap_or_default()
    }

    pub(crate) fn into_payload(self) -> Bytes {
        self.frame.slice(self.payload)
    }
}

fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

pub(crate) fn length(prelude: &[u8; PRELUDE]) -> Option<usize> {
    let (lengths, checksum) = prelude.split_at(8);
    if word(checksum)? != crc32fast::hash(lengths) {
        return None;
    }
    let whole = usize::try_from(word(lengths)?).ok()?;
    let headers = usize::try_from(word(&lengths[4..])?).ok()?;
    (whole >= headers.checked_add(PRELUDE + CHECKSUM)?).then_some(whole)
}

impl EventStream {
    /// Frames of at most `max_bytes`. Amazon's own limit is 16 MiB.
    pub(crate) const fn new(max_bytes: usize) -> Self {
        Self {
            frames: Cutter::new(Frames::new(length), max_bytes),
            damaged: false,
        }
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        if !self.damaged {
            self.frames.push(chunk);
        }
    }

    /// The next message; `None`: more bytes are needed.
    pub(crate) fn next_message(&mut self) -> Option<Result<Message, Uncut>> {
        if self.damaged {
            return None;
        }
        let message = match self.frames.next_piece()? {
            Ok(frame) => message(frame).ok_or(Uncut::Broken),
            Err(error) => Err(error),
        };
        if message == Err(Uncut::Broken) {
            self.damaged = true;
            self.frames.rest();
        }
        Some(message)
    }

    /// Bytes that were pushed and belong to no message that was taken.
    pub(crate) fn unread_len(&self) -> usize {
        self.frames.unread_len()
    }

    /// Whether the body ended in the middle of a frame, or was damaged.
    pub(crate) fn is_within(&self) -> bool {
        self.damaged || self.frames.is_within()
    }
}

/// The event of an invoked model, which comes as `{"bytes": base64}`. `None`: it is not wrapped.
pub(crate) fn unwrapped(payload: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        bytes: Cow<'a, str>,
    }

    // looked for first, as other payloads are read once more by their dialect
    if !payload.starts_with(b"{\"bytes\"") {
        return None;
    }
    let wrapped: Wrapped<'_> = serde_json::from_slice(payload).ok()?;
    STANDARD.decode(wrapped.bytes.as_bytes()).ok()
}

/// The message of a frame whose prelude was checked.
fn message(frame: Bytes) -> Option<Message> {
    let end = frame.len().checked_sub(CHECKSUM)?;
    let (body, checksum) = frame.split_at_checked(end)?;
    if word(checksum)? != crc32fast::hash(body) {
        return None;
    }
    let length = usize::try_from(word(body.get(4..)?)?).ok()?;
    let headers_end = PRELUDE.checked_add(length)?;
    let mut headers = body.get(PRELUDE..headers_end)?;
    let (mut kind, mut event) = (0..0, 0..0);
    while !headers.is_empty() {
        let (name, value) = header(&mut headers)?;
        let place = match name {
            b":message-type" => &mut kind,
            b":event-type" | b":exception-type" | b":error-code" => &mut event,
            _ => continue,
        };
        if let Some(text) = value.filter(|value| std::str::from_utf8(value).is_ok()) {
            let value_end = headers_end - headers.len();
            *place = value_end - text.len()..value_end;
        }
    }
    Some(Message {
        kind,
        name: event,
        payload: headers_end..end,
        frame,
    })
}

/// One header: its name, and its value if that is a text. The outer `None`: it is cut short, or of
/// an unknown kind.
fn header<'h>(rest: &mut &'h [u8]) -> Option<(&'h [u8], Option<&'h [u8]>)> {
    let length = usize::from(rest.try_get_u8().ok()?);
    let name = rest.split_off(..length)?;
    let fixed = match rest.try_get_u8().ok()? {
        // true, false
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        // a number, a time
        5 | 8 => 8,
        // bytes, a text
        kind @ (6 | 7) => {
            let length = usize::from(rest.try_get_u16().ok()?);
            let value = rest.split_off(..length)?;
            return Some((name, (kind == 7).then_some(value)));
        }
        // a UUID
        9 => 16,
        _ => return None,
    };
    rest.split_off(..fixed)?;
    Some((name, None))
}

/// Where the body is cut changes nothing.
#[cfg(any(test, fuzzing))]
pub(crate) fn check(body: &[u8], cuts: &[usize], max: usize) {
    let read = |cuts: &mut dyn Iterator<Item = usize>| {
        let mut stream = EventStream::new(max);
        let mut left = body;
        let mut read = Vec::new();
        for cut in cuts.chain([usize::MAX]) {
            let (chunk, rest) = left.split_at(cut.min(left.len()));
            left = rest;
            stream.push(Bytes::copy_from_slice(chunk));
            read.extend(std::iter::from_fn(|| stream.next_message()));
        }
        (read, stream.is_within())
    };
    let whole = read(&mut std::iter::empty());
    assert_eq!(whole, read(&mut std::iter::repeat_n(1, body.len())));
    assert_eq!(whole, read(&mut cuts.iter().copied()));
}

#[cfg(test)]
mod tests;
