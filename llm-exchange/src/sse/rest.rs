use std::fmt;

use bytes::Bytes;

/// What stood after the last whole block when the body ended; not an event.
///
/// Returned by [`Decoder::finish`](super::Decoder::finish).
#[derive(Clone)]
pub struct Rest {
    raw: Bytes,
    truncated: bool,
}

impl Rest {
    /// `lead` bytes at the front belong to no line; `discarded` says that the start of an
    /// oversized block, now gone, came before `raw`.
    pub(super) fn new(raw: Bytes, lead: usize, discarded: bool) -> Self {
        let begun = |line: &[u8]| !matches!(line.first(), None | Some(b':'));
        let lines = raw.get(lead..).unwrap_or_default();
        let truncated = discarded || lines.split(|b| matches!(b, b'\n' | b'\r')).any(begun);
        Self { raw, truncated }
    }

    /// The exact bytes, often none. A relay sends them on.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Whether a field had begun, so that an event was lost.
    ///
    /// False where the rest is nothing, only comments, or the LF of a CRLF whose CR ended the last
    /// block.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("raw_len", &self.raw.len())
            .field("truncated", &self.truncated)
            .finish()
    }
}
