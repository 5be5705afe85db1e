use std::{collections::VecDeque, fmt, mem, sync::Arc};

use bytes::{Buf, Bytes};

use super::{
    Event, Rest, TooLarge,
    scan::{Layout, Scan},
};

const DEFAULT_MAX_EVENT_BYTES: usize = 4 << 20;

/// The buffer for blocks that span chunks is used again, and the blocks are copied out of it to fit
/// exactly, up to this size. A longer block is handed out in the buffer itself.
const SMALL: usize = 16 << 10;

/// Cuts a stream of bytes into [`Event`]s.
///
/// [`push`](Self::push) a chunk, take events until [`next_event`](Self::next_event) answers `None`,
/// and so on; at the end of the body, [`finish`](Self::finish). Where the chunks are cut changes
/// neither the events nor their fields. See the [module](super) for an example and for what is kept
/// in memory.
pub struct Decoder {
    max_event_bytes: usize,
    /// Not scanned yet.
    chunk: Bytes,
    /// Pushed while `chunk` was not yet used up.
    waiting: VecDeque<Bytes>,
    /// The start of a block whose end did not come with its chunk; empty while discarding.
    begun: Vec<u8>,
    scan: Scan,
    /// Within a block that was too large.
    discarding: bool,
    /// Of that block, so many bytes came and went.
    gone: usize,
    last_id: Option<Arc<str>>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new() -> Self {
        Self {
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            chunk: Bytes::new(),
            waiting: VecDeque::new(),
            begun: Vec::new(),
            scan: Scan::new(),
            discarding: false,
            gone: 0,
            last_id: None,
        }
    }

    /// The longest block that is yielded, in bytes; 4 MiB by default.
    ///
    /// Its lines, their line ends and its blank line count; a byte order mark before it and an LF
    /// that completes a CRLF after its end do not.
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes;
        self
    }

    /// Gives the next bytes of the stream. Never copies them; an empty chunk is nothing.
    ///
    /// Chunks may be pushed before the events of earlier ones were taken; they wait, whole.
    #[inline]
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() && self.waiting.is_empty() {
            self.chunk = chunk;
        } else {
            self.waiting.push_back(chunk);
        }
    }

    /// The next block, as soon as its last byte is here; `None`: more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] once for a block over [`max_event_bytes`](Self::max_event_bytes), as soon as
    /// that is known. Its bytes are dropped as they come, with any `id` among them; the block after
    /// it is decoded as usual.
    #[inline]
    pub fn next_event(&mut self) -> Option<Result<Event, TooLarge>> {
        loop {
            while self.chunk.is_empty() {
                self.chunk = self.waiting.pop_front()?;
            }
            let Some(found) = self.scan.find_end(&self.chunk, self.begun.len()) else {
                if self.set_aside() {
                    continue;
                }
                return Some(Err(TooLarge::new(self.max_event_bytes)));
            };
            if mem::take(&mut self.discarding) {
                self.gone = 0;
                self.chunk.advance(found.end);
                continue;
            }
            let lead = usize::from(found.layout.lead);
            if self.begun.len() + found.end_of_lines - lead > self.max_event_bytes {
                self.chunk.advance(found.end);
                self.begun = Vec::new();
                return Some(Err(TooLarge::new(self.max_event_bytes)));
            }
            if !self.begun.is_empty() || found.layout.maybe_id {
                return Some(Ok(self.take_rare(found.end, found.layout)));
            }
            // Mostly a block lies in one chunk and has no id: nothing is copied, and nothing in it
            // is looked at again.
            let id = self.last_id.clone();
            return Some(Ok(Event {
                raw: self.chunk.split_to(found.end),
                layout: found.layout,
                id,
            }));
        }
    }

    /// Whether the next byte that is pushed is the first of a block.
    #[inline]
    pub(crate) fn is_between_blocks(&self) -> bool {
        self.begun.is_empty()
            && self.chunk.is_empty()
            && self.waiting.is_empty()
            && !self.discarding
            && self.scan.is_at_block()
    }

    /// The bytes not yet taken, if they are the start of a block. `None`: they are not, or there are
    /// none.
    #[inline]
    pub(crate) fn ahead(&self) -> Option<&[u8]> {
        let at_block = self.begun.is_empty() && !self.discarding && self.scan.is_at_block();
        (at_block && !self.chunk.is_empty()).then_some(&self.chunk)
    }

    /// Passes over a block without an id that starts [`ahead`](Self::ahead) and ends in LF.
    #[inline]
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.chunk.advance(bytes);
    }

    /// How many bytes were pushed behind the last block. Those of a block that is too large count
    /// until its end, though they are gone.
    pub(crate) fn unread_len(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(Bytes::len).sum();
        self.gone + self.begun.len() + self.chunk.len() + waiting
    }

    /// Ends the stream: what came after the last block's end, and a decoder as new with the same
    /// limit.
    ///
    /// The specification drops an event without its blank line. A caller that would rather have it
    /// pushes `"\n\n"` and takes it before the call. Events that were not taken are part of the
    /// rest.
    pub fn finish(&mut self) -> Rest {
        let fresh = Self::new().max_event_bytes(self.max_event_bytes);
        let ended = mem::replace(self, fresh);
        let raw = if ended.begun.is_empty() && ended.waiting.is_empty() {
            ended.chunk
        } else {
            let mut raw = ended.begun;
            for chunk in std::iter::once(ended.chunk).chain(ended.waiting) {
                raw.extend_from_slice(&chunk);
            }
            Bytes::from(raw)
        };
        Rest::new(raw, ended.scan.lead(), ended.discarding)
    }

    /// The block that ends at `end` of the chunk, where it began in an earlier one or may set the
    /// last event id.
    #[inline(never)]
    fn take_rare(&mut self, end: usize, layout: Layout) -> Event {
        let raw = self.join(end);
        let mut event = Event {
            raw,
            layout,
            id: None,
        };
        if let Some(id) = event.own_id() {
            self.last_id = (!id.is_empty()).then(|| Arc::from(id));
        }
        event.id.clone_from(&self.last_id);
        event
    }

    fn join(&mut self, end: usize) -> Bytes {
        let tail = self.chunk.split_to(end);
        if self.begun.is_empty() {
            return tail;
        }
        let len = self.begun.len() + tail.len();
        if len > SMALL {
            self.begun.extend_from_slice(&tail);
            return Bytes::from(mem::take(&mut self.begun));
        }
        let mut whole = Vec::with_capacity(len);
        whole.extend_from_slice(&self.begun);
        whole.extend_from_slice(&tail);
        self.begun.clear();
        Bytes::from(whole)
    }

    /// Keeps the chunk, in which no block ends. False: the block is now known to be too large.
    fn set_aside(&mut self) -> bool {
        let chunk = mem::take(&mut self.chunk);
        if self.discarding {
            self.gone += chunk.len();
            return true;
        }
        let came = self.begun.len() + chunk.len();
        if came - self.scan.lead() > self.max_event_bytes {
            self.begun = Vec::new();
            self.discarding = true;
            self.gone = came;
            return false;
        }
        self.begun.extend_from_slice(&chunk);
        true
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting: usize = self.waiting.iter().map(Bytes::len).sum();
        f.debug_struct("Decoder")
            .field("max_event_bytes", &self.max_event_bytes)
            .field("begun_len", &self.begun.len())
            .field("unread_len", &(self.chunk.len() + waiting))
            .field("discarding", &self.discarding)
            .finish_non_exhaustive()
    }
}
