use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use memchr::memchr2;

use super::scan::Layout;

/// One block of a stream, up to and including its blank line.
///
/// Not every block is an event to a reader: one without a `data` line (a comment, a blank line kept
/// for liveness) is here too, since a relay must pass it on; its [`data`](Self::data) is `None`.
///
/// Fields are read from [`raw`](Self::raw) at each call; keep the answer if it is needed twice.
/// A clone shares the bytes. `Debug` shows lengths and the name, never data.
#[derive(Clone)]
pub struct Event {
    pub(super) raw: Bytes,
    pub(super) layout: Layout,
    /// The last event id after this block; `None` is the empty one.
    pub(super) id: Option<Arc<str>>,
}

impl Event {
    /// The exact bytes.
    ///
    /// The `raw` of all blocks and of [`Rest`](super::Rest), one after the other, are the stream,
    /// unless a block was [`TooLarge`](super::TooLarge). Where a blank line ends in CRLF and the
    /// chunk in its CR, the block comes without the LF, at once; the LF is the front of the next.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The data: borrowed if it is one line, else the lines joined with LF. Not necessarily UTF-8.
    ///
    /// `None` if there is no `data` line; the specification hands no such block to a reader. An
    /// empty `data` line is `Some` of nothing.
    #[inline]
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        let Layout {
            maybe_data,
            first_data,
            last_line,
            ..
        } = self.layout;
        if !maybe_data {
            return None;
        }
        if first_data == last_line {
            return value_of(self.last_line(), b"data").map(Cow::Borrowed);
        }
        self.data_of_lines()
    }

    fn data_of_lines(&self) -> Option<Cow<'_, [u8]>> {
        let mut values = self.values_from(self.layout.first_data, b"data");
        let first = values.next()?;
        let Some(second) = values.next() else {
            return Some(Cow::Borrowed(first));
        };
        let mut joined = Vec::with_capacity(self.raw.len());
        joined.extend_from_slice(first);
        for value in std::iter::once(second).chain(values) {
            joined.push(b'\n');
            joined.extend_from_slice(value);
        }
        Some(Cow::Owned(joined))
    }

    /// The name of the event: the last `event` line, `message` if there is none or it is empty.
    #[inline]
    pub fn name(&self) -> Cow<'_, str> {
        if !self.layout.maybe_event {
            return Cow::Borrowed("message");
        }
        match self.values(b"event").last() {
            None | Some(b"") => Cow::Borrowed("message"),
            Some(name) => String::from_utf8_lossy(name),
        }
    }

    /// The last event id as it stands after this block: that of the latest block which had an `id`
    /// line without a NUL, at first empty.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// The time to wait before a reconnection, if this block sets it: the last `retry` line that is
    /// digits only. The wire counts milliseconds; what passes 64 bits is ignored.
    pub fn retry(&self) -> Option<Duration> {
        let millis = self.values(b"retry").filter_map(digits).last();
        millis.map(Duration::from_millis)
    }

    /// The value of the last `id` line without a NUL.
    pub(super) fn own_id(&self) -> Option<Cow<'_, str>> {
        let id = self
            .values(b"id")
            .filter(|value| !value.contains(&0))
            .last()?;
        Some(String::from_utf8_lossy(id))
    }

    fn values<'e>(&'e self, field: &'static [u8]) -> impl Iterator<Item = &'e [u8]> {
        self.values_from(usize::from(self.layout.lead), field)
    }

    #[inline]
    fn last_line(&self) -> &[u8] {
        &self.raw[self.layout.last_line..self.layout.last_line_end]
    }

    /// The values of a field in the lines from `start` on, which is the start of a line.
    #[inline]
    fn values_from<'e>(
        &'e self,
        start: usize,
        field: &'static [u8],
    ) -> impl Iterator<Item = &'e [u8]> {
        let before = &self.raw[start..self.layout.last_line];
        let lines = Lines {
            before,
            last: Some(self.last_line()),
        };
        lines.filter_map(move |line| value_of(line, field))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name())
            .field("raw_len", &self.raw.len())
            .field("data_len", &self.data().map(|data| data.len()))
            .finish_non_exhaustive()
    }
}

/// The lines of a block. Between CR and LF it sees a blank line, which has no field.
struct Lines<'e> {
    before: &'e [u8],
    /// The last line that is not blank.
    last: Option<&'e [u8]>,
}

impl<'e> Iterator for Lines<'e> {
    type Item = &'e [u8];

    #[inline]
    fn next(&mut self) -> Option<&'e [u8]> {
        if !self.before.is_empty()
            && let Some(end) = memchr2(b'\n', b'\r', self.before)
        {
            let (line, after) = self.before.split_at(end);
            self.before = &after[1..];
            return Some(line);
        }
        self.last.take()
    }
}

/// The value, if the line is of this field. A line without a colon has an empty one.
#[inline]
fn value_of<'e>(line: &'e [u8], field: &[u8]) -> Option<&'e [u8]> {
    match line.strip_prefix(field)? {
        [] => Some(b""),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    // `parse` alone would take a leading plus.
    let all = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| all)?
        .parse()
        .ok()
}
