use memchr::memchr2;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Where the next byte stands. This is all that has to be known of the bytes before it, so no byte
/// is ever looked at twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The start of the stream, so many bytes of a byte order mark seen.
    Stream(u8),
    /// The first byte of a line.
    Line,
    /// The same, after a line that ended in CR: an LF here belongs to that line end.
    LineAfterCr,
    /// The same, where the CR was that of the blank line, so that the LF is the front of a new block.
    BlockAfterCr,
    /// Within a line.
    Within,
}

/// Finds the ends of blocks.
#[derive(Debug)]
pub(super) struct Scan {
    at: At,
    layout: Layout,
}

/// What the scan learned in passing about a block; offsets are from the block's first byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Bytes at the front that belong to none of its lines: the byte order mark, or the LF of a
    /// CRLF whose CR ended the block before.
    pub(super) lead: u8,
    /// Where its last line that is not blank starts.
    pub(super) last_line: usize,
    /// Where that line ends, without its line end.
    pub(super) last_line_end: usize,
    /// Where the first line starts that may be a `data` field, if `maybe_data`.
    pub(super) first_data: usize,
    /// Whether a line starts with the first letter of this field. Most blocks lack most fields,
    /// and then need not be searched for them.
    pub(super) maybe_data: bool,
    pub(super) maybe_event: bool,
    pub(super) maybe_id: bool,
}

impl Layout {
    fn set_lead(&mut self, lead: u8) {
        self.lead = lead;
        self.last_line = usize::from(lead);
        self.last_line_end = usize::from(lead);
    }

    #[inline]
    fn begin_line(&mut self, first: u8, offset: usize) {
        self.last_line = offset;
        match first {
            b'd' if !self.maybe_data => {
                self.maybe_data = true;
                self.first_data = offset;
            }
            b'e' => self.maybe_event = true,
            b'i' => self.maybe_id = true,
            _ => {}
        }
    }

    const EMPTY: Self = Self {
        lead: 0,
        last_line: 0,
        last_line_end: 0,
        first_data: 0,
        maybe_data: false,
        maybe_event: false,
        maybe_id: false,
    };
}

pub(super) struct Found {
    /// One past the block, in the chunk.
    pub(super) end: usize,
    /// The same without the LF of the blank line's CRLF, which is taken only if it is already here.
    pub(super) end_of_lines: usize,
    pub(super) layout: Layout,
}

impl Scan {
    pub(super) const fn new() -> Self {
        Self {
            at: At::Stream(0),
            layout: Layout::EMPTY,
        }
    }

    /// At the first byte of a block, given that none of it came.
    #[inline]
    pub(super) fn is_at_block(&self) -> bool {
        self.at == At::Line
    }

    pub(super) fn lead(&self) -> usize {
        usize::from(self.layout.lead)
    }

    /// The layout of one whole block.
    pub(super) fn layout_of(mut self, block: &[u8]) -> Layout {
        match self.find_end(block, 0) {
            Some(found) => found.layout,
            None => self.layout,
        }
    }

    /// Scans all of `chunk`, or up to the end of the block in it. `begun` is the number of bytes of
    /// the block that came in earlier chunks.
    #[inline]
    pub(super) fn find_end(&mut self, chunk: &[u8], begun: usize) -> Option<Found> {
        // Worked on in registers, and put back where the scan stops.
        let Self { mut at, mut layout } = *self;
        let mut i = 0;
        loop {
            if at != At::Within {
                let Some(&byte) = chunk.get(i) else { break };
                match (at, byte) {
                    (At::LineAfterCr, b'\n') => {
                        at = At::Line;
                        i += 1;
                        continue;
                    }
                    (At::BlockAfterCr, b'\n') => {
                        layout.set_lead(1);
                        at = At::Line;
                        i += 1;
                        continue;
                    }
                    (At::Stream(seen), _) if byte == BOM[usize::from(seen)] => {
                        layout.set_lead(seen + 1);
                        at = if seen == 2 {
                            At::Line
                        } else {
                            At::Stream(seen + 1)
                        };
                        i += 1;
                        continue;
                    }
                    // Half a byte order mark is the start of an unknown field's name.
                    (At::Stream(1..), _) => {
                        layout = Layout::EMPTY;
                        at = At::Within;
                        continue;
                    }
                    (_, b'\n' | b'\r') => {
                        // The LF of a CRLF is taken along if it is here, and not waited for.
                        let cr = byte == b'\r';
                        let crlf = cr && chunk.get(i + 1) == Some(&b'\n');
                        let at = if cr && !crlf {
                            At::BlockAfterCr
                        } else {
                            At::Line
                        };
                        *self = Self {
                            at,
                            layout: Layout::EMPTY,
                        };
                        let end_of_lines = i + 1;
                        return Some(Found {
                            end: end_of_lines + usize::from(crlf),
                            end_of_lines,
                            layout,
                        });
                    }
                    _ => {
                        layout.begin_line(byte, begun + i);
                    }
                }
            }
            let Some(len) = memchr2(b'\n', b'\r', &chunk[i..]) else {
                at = At::Within;
                break;
            };
            i += len;
            layout.last_line_end = begun + i;
            at = if chunk[i] == b'\r' {
                At::LineAfterCr
            } else {
                At::Line
            };
            i += 1;
        }
        *self = Self { at, layout };
        None
    }
}
