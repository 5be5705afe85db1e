//! Frames that begin with their own length: gRPC messages, AWS event streams.

use super::{FindEnd, Found};

/// Each piece is a whole frame, with what says its length.
///
/// `HEAD` bytes say how long a frame is; `length` reads them, and answers `None` where they can't
/// be the beginning of one.
#[derive(Debug)]
pub(crate) struct Frames<const HEAD: usize> {
    length: fn(&[u8; HEAD]) -> Option<usize>,
    head: [u8; HEAD],
    seen: usize,
    /// Of the whole frame; known once the head is there.
    whole: usize,
}

impl<const HEAD: usize> Frames<HEAD> {
    pub(crate) const fn new(length: fn(&[u8; HEAD]) -> Option<usize>) -> Self {
        Self {
            length,
            head: [0; HEAD],
            seen: 0,
            whole: 0,
        }
    }
}

impl<const HEAD: usize> FindEnd for Frames<HEAD> {
    fn find_end(&mut self, chunk: &[u8]) -> Found {
        let mut at = 0;
        if self.seen < HEAD {
            at = chunk.len().min(HEAD - self.seen);
            self.head[self.seen..self.seen + at].copy_from_slice(&chunk[..at]);
            self.seen += at;
            if self.seen < HEAD {
                return Found::More;
            }
            match (self.length)(&self.head) {
                Some(whole) if whole >= HEAD => self.whole = whole,
                _ => return Found::Broken,
            }
        }
        let missing = self.whole - self.seen;
        let there = chunk.len() - at;
        if there >= missing {
            Found::End(at + missing)
        } else {
            self.seen += there;
            Found::More
        }
    }

    fn begin(&mut self) {
        self.seen = 0;
    }
}
