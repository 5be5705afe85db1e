//! The scan of a stream of events.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

use super::{Holes, Marks, Reading, StreamEvent, repeats::Repeats, template::Templates};
use crate::{Call, Dialect, dialect::Seen, sse};

/// Decodes a stream and lets the dialect read its events.
pub(crate) struct StreamScan {
    dialect: Dialect,
    decoder: sse::Decoder,
    templates: Templates,
    marks: Marks,
    repeats: Repeats,
    /// bytes pushed, and up to where they were whole events
    scanned: u64,
    boundary: u64,
    events: u64,
    /// The last event is one that may be hidden, and ended in a CR.
    hidden_in_cr: bool,
}

impl StreamScan {
    pub(crate) fn new(call: &Call) -> Self {
        Self {
            dialect: call.dialect(),
            decoder: sse::Decoder::new(),
            templates: Templates::default(),
            marks: Marks::of(call.attempts()),
            repeats: Repeats::default(),
            scanned: 0,
            boundary: 0,
            events: 0,
            hidden_in_cr: false,
        }
    }

    /// Reads the next bytes. Returns how many events in them were content.
    pub(crate) fn push(&mut self, data: Bytes, reading: &mut Reading) -> u64 {
        // an event's last LF may come with the next bytes
        if data.first() == Some(&b'\n') && self.hidden_in_cr {
            reading.usage_only.grow(self.scanned);
        }
        self.hidden_in_cr = false;
        self.scanned += data.len() as u64;
        self.decoder.push(data);
        self.read(reading)
    }

    fn read(&mut self, reading: &mut Reading) -> u64 {
        let mut contents = 0;
        loop {
            // most events differ from the one before in their text alone
            while let Some(ahead) = self.decoder.ahead()
                && let Some(found) = self.templates.find(ahead)
            {
                self.events += 1;
                if !found.text.is_empty() {
                    contents += 1;
                    found.count(reading);
                    self.repeats.said(found.text);
                }
                self.decoder.skip(found.length);
                self.mark(reading);
            }
            let Some(event) = self.decoder.next_event() else {
                break;
            };
            // one over the size limit was dropped and is nothing to anybody
            if let Ok(event) = event
                && self.event(&event, reading) == StreamEvent::Content
            {
                contents += 1;
            }
            self.mark(reading);
        }
        self.boundary = self.scanned - self.decoder.unread_len() as u64;
        contents
    }

    /// An event was read.
    #[inline]
    fn mark(&mut self, reading: &mut Reading) {
        if self.marks.is_reached(reading) {
            let at = self.scanned - self.decoder.unread_len() as u64;
            self.marks.note(at, reading);
        }
    }

    fn event(&mut self, event: &sse::Event, reading: &mut Reading) -> StreamEvent {
        let Some(data) = event.data() else {
            return StreamEvent::Nothing;
        };
        self.events += 1;
        let seen = match String::from_utf8_lossy(&data) {
            Cow::Borrowed(_) => self.dialect.read_event(&data, reading),
            // one bad byte in its text hides no event
            Cow::Owned(mended) => Seen {
                holes: None,
                ..self.dialect.read_event(mended.as_bytes(), reading)
            },
        };
        let raw = event.raw();
        if seen.event == StreamEvent::Content {
            let text = seen
                .holes
                .as_ref()
                .and_then(|holes| data.get(holes.text.clone()));
            self.repeats.said(text.unwrap_or_default());
        }
        if let Some(holes) = seen.holes.and_then(|holes| within(raw, &data, &holes)) {
            self.templates.learn(raw, &holes);
        }
        if seen.usage_only {
            let end = self.scanned - self.decoder.unread_len() as u64;
            // the LF of the line end before it stays
            let length = raw.len() - usize::from(raw.starts_with(b"\n"));
            reading.usage_only.push(end - length as u64..end);
            self.hidden_in_cr = raw.ends_with(b"\r");
        }
        seen.event
    }

    /// The body ended in order. The specification drops an event without its blank line; what it
    /// says is believed all the same.
    pub(crate) fn finish(&mut self, reading: &mut Reading) {
        const BLANK: &[u8] = b"\n\n";
        if self.boundary < self.scanned {
            self.scanned += BLANK.len() as u64;
            self.decoder.push(Bytes::from_static(BLANK));
            self.read(reading);
            self.scanned -= BLANK.len() as u64;
            self.boundary = self.scanned;
        }
    }

    pub(crate) const fn boundary(&self) -> u64 {
        self.boundary
    }

    pub(crate) const fn repeats(&self) -> u64 {
        self.repeats.count()
    }

    /// Events so far; comments are none.
    pub(crate) const fn events(&self) -> u64 {
        self.events
    }
}

/// The holes as ranges of the whole block. `None`: the data is not a part of it as it stands.
fn within(raw: &[u8], data: &[u8], holes: &Holes) -> Option<Holes> {
    let start = (data.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
    if start.checked_add(data.len())? > raw.len() {
        return None;
    }
    let shift = |range: &Range<usize>| range.start + start..range.end + start;
    Some(Holes {
        text: shift(&holes.text),
        noise: holes.noise.as_ref().map(shift),
    })
}
