use std::{fmt, time::Duration};

use bytes::Bytes;
use memchr::memchr2;

use super::{Event, scan::Scan};

/// Writes one [`Event`], line by line, in the order of the calls.
///
/// ```
/// use llm_exchange::sse::{Encoder, Event};
///
/// let event = Encoder::new().name("delta").id("7").data("two\nlines").event();
/// assert_eq!(event.raw(), "event: delta\nid: 7\ndata: two\ndata: lines\n\n");
///
/// assert_eq!(Event::new("[DONE]").raw(), "data: [DONE]\n\n");
/// assert_eq!(Encoder::new().comment("keep-alive").event().raw(), ": keep-alive\n\n");
/// ```
///
/// Whatever it is given, the result is exactly one block: a line end within data or a comment starts
/// another line of the same field, and from a name or an id, which have only one, it is left out.
#[derive(Default)]
#[must_use = "an encoder does nothing until its event is taken"]
pub struct Encoder {
    lines: Vec<u8>,
}

impl Encoder {
    /// An event without a line.
    pub const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// The name of the event. CR and LF are left out, as a name cannot have them.
    pub fn name(mut self, name: impl AsRef<str>) -> Self {
        self.single(b"event", name.as_ref(), &['\n', '\r']);
        self
    }

    /// The last event id. CR, LF and NUL are left out, as an id cannot have them.
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.single(b"id", id.as_ref(), &['\n', '\r', '\0']);
        self
    }

    /// The time to wait before a reconnection; the wire counts whole milliseconds.
    pub fn retry(mut self, wait: Duration) -> Self {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.line(b"retry", millis.to_string().as_bytes());
        self
    }

    /// Data, not necessarily UTF-8. A reader gets its lines joined with LF, so a CR or CRLF arrives
    /// as LF; JSON has none in it that matters.
    pub fn data(mut self, data: impl AsRef<[u8]>) -> Self {
        let data = data.as_ref();
        self.lines.reserve(data.len() + b"data: \n\n".len());
        self.multiple(b"data", data);
        self
    }

    /// A comment, which no reader is handed.
    pub fn comment(mut self, text: impl AsRef<str>) -> Self {
        self.multiple(b"", text.as_ref().as_bytes());
        self
    }

    /// The event.
    #[must_use]
    pub fn event(mut self) -> Event {
        self.lines.push(b'\n');
        let layout = Scan::new().layout_of(&self.lines);
        let mut event = Event {
            raw: Bytes::from(self.lines),
            layout,
            id: None,
        };
        event.id = event
            .own_id()
            .filter(|id| !id.is_empty())
            .map(|id| id.as_ref().into());
        event
    }

    fn single(&mut self, field: &[u8], value: &str, without: &[char]) {
        let clean: String = value.split(without).collect();
        self.line(field, clean.as_bytes());
    }

    fn multiple(&mut self, field: &[u8], mut text: &[u8]) {
        while let Some(at) = memchr2(b'\n', b'\r', text) {
            let (line, rest) = text.split_at(at);
            self.line(field, line);
            let end = if rest.starts_with(b"\r\n") { 2 } else { 1 };
            text = &rest[end..];
        }
        self.line(field, text);
    }

    fn line(&mut self, field: &[u8], value: &[u8]) {
        self.lines.extend_from_slice(field);
        self.lines.push(b':');
        if !value.is_empty() {
            self.lines.push(b' ');
            self.lines.extend_from_slice(value);
        }
        self.lines.push(b'\n');
    }
}

impl Event {
    /// An event with this data and no name.
    #[must_use]
    pub fn new(data: impl AsRef<[u8]>) -> Self {
        Encoder::new().data(data).event()
    }

    /// An event with this name and data.
    #[must_use]
    pub fn named(name: impl AsRef<str>, data: impl AsRef<[u8]>) -> Self {
        Encoder::new().name(name).data(data).event()
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("bytes", &self.lines.len())
            .finish()
    }
}
