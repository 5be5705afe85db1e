//! Cuts a body into the pieces that its format has, however the network cut it: lines, the elements
//! of a JSON array, frames that say their own length.
//!
//! A piece that lies in one chunk is a slice of it, without a copy; one that spans chunks is copied
//! together once. Kept are at most `max` bytes of a piece that has begun (twice that while the
//! buffer grows), and the chunks that were pushed and not yet taken.

mod elements;
mod frames;
mod lines;

use std::{collections::VecDeque, mem};

use bytes::{Buf, Bytes};

pub(crate) use self::{elements::Elements, frames::Frames, lines::Lines};

/// Where a piece ends. It is given every byte once, in order.
pub(crate) trait FindEnd {
    /// Looks at the bytes that follow those it has seen.
    fn find_end(&mut self, chunk: &[u8]) -> Found;

    /// The piece that was being looked at is over.
    fn begin(&mut self) {}
}

/// What was found in a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many bytes (at least one) that belong to no piece.
    Between(usize),
    /// The piece ends after so many bytes. None only if the piece began in an earlier chunk.
    End(usize),
    /// The chunk lies within the piece.
    More,
    /// This is not the format. Nothing of what follows can be told.
    Broken,
}

/// Why there is no piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uncut {
    /// It is longer than the limit. Its bytes are dropped as they come; the next one is cut as usual.
    TooLarge,
    /// The bytes are not of this format; nothing more comes.
    Broken,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Cutter<F> {
    find: F,
    max: usize,
    /// Not looked at yet.
    chunk: Bytes,
    waiting: VecDeque<Bytes>,
    begun: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Cutting,
    /// Within a piece that was too large, of which so many bytes came and went.
    Discarding(usize),
    Broken,
}

impl<F: FindEnd> Cutter<F> {
    pub(crate) const fn new(find: F, max: usize) -> Self {
        Self {
            find,
            max,
            chunk: Bytes::new(),
            waiting: VecDeque::new(),
            begun: Vec::new(),
            state: State::Cutting,
        }
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        if self.state == State::Broken {
            return;
        }
        if self.chunk.is_empty() && self.waiting.is_empty() {
            self.chunk = chunk;
        } else {
            self.waiting.push_back(chunk);
        }
    }

    /// The next piece; `None`: more bytes are needed.
    pub(crate) fn next_piece(&mut self) -> Option<Result<Bytes, Uncut>> {
        loop {
            while self.chunk.is_empty() {
                self.chunk = self.waiting.pop_front()?;
            }
            match self.find.find_end(&self.chunk) {
                Found::Between(bytes) => self.chunk.advance(bytes),
                Found::End(end) => {
                    self.find.begin();
                    if let Some(piece) = self.take(end) {
                        return Some(piece);
                    }
                }
                Found::More => {
                    if let Some(error) = self.set_aside() {
                        return Some(Err(error));
                    }
                }
                Found::Broken => {
                    self.state = State::Broken;
                    self.begun = Vec::new();
                    self.waiting = VecDeque::new();
                    self.chunk = Bytes::new();
                    return Some(Err(Uncut::Broken));
                }
            }
        }
    }

    /// What came of a piece that did not end. Empty where the body ended between two pieces.
    pub(crate) fn rest(&mut self) -> Bytes {
        let mut rest = mem::take(&mut self.begun);
        rest.extend_from_slice(&mem::take(&mut self.chunk));
        for chunk in mem::take(&mut self.waiting) {
            rest.extend_from_slice(&chunk);
        }
        rest.into()
    }

    /// Bytes that were pushed behind the last piece. Those of a piece that is too large count until
    /// its end, though they are gone.
    pub(crate) fn unread_len(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(Bytes::len).sum();
        let gone = match self.state {
            State::Discarding(gone) => gone,
            State::Cutting | State::Broken => 0,
        };
        gone + self.begun.len() + self.chunk.len() + waiting
    }

    /// Whether a piece has begun that did not end.
    pub(crate) fn is_within(&self) -> bool {
        !self.begun.is_empty() || matches!(self.state, State::Discarding(_))
    }

    pub(crate) const fn finder(&self) -> &F {
        &self.find
    }

    /// `None`: it was too large, which was said before.
    fn take(&mut self, end: usize) -> Option<Result<Bytes, Uncut>> {
        if let State::Discarding(_) = self.state {
            self.state = State::Cutting;
            self.chunk.advance(end);
            return None;
        }
        if self.begun.len() + end > self.max {
            self.chunk.advance(end);
            self.begun = Vec::new();
            return Some(Err(Uncut::TooLarge));
        }
        let tail = self.chunk.split_to(end);
        if self.begun.is_empty() {
            return Some(Ok(tail));
        }
        let mut piece = mem::take(&mut self.begun);
        piece.extend_from_slice(&tail);
        Some(Ok(piece.into()))
    }

    fn set_aside(&mut self) -> Option<Uncut> {
        let chunk = mem::take(&mut self.chunk);
        if let State::Discarding(gone) = &mut self.state {
            *gone += chunk.len();
            return None;
        }
        let came = self.begun.len() + chunk.len();
        if came > self.max {
            self.begun = Vec::new();
            self.state = State::Discarding(came);
            return Some(Uncut::TooLarge);
        }
        self.begun.extend_from_slice(&chunk);
        None
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod oracle;
