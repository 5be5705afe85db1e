//! Lines, as NDJSON has them: one JSON text each.

use memchr::memchr;

use super::{FindEnd, Found};

/// Each piece is a line with its LF. A CR before that is part of the line, and blank for JSON.
#[derive(Debug, Default)]
pub(crate) struct Lines;

impl FindEnd for Lines {
    fn find_end(&mut self, chunk: &[u8]) -> Found {
        memchr(b'\n', chunk).map_or(Found::More, |at| Found::End(at + 1))
    }
}
