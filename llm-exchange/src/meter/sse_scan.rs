//! The scan of server-sent events.

use std::ops::Range;

use bytes::Bytes;

use super::{
    Holes, Reading, StreamEvent,
    tally::{Tally, read_json},
    template::Templates,
};
use crate::{Dialect, ProviderError, sse};

/// Decodes events; one of a known shape is not read again.
#[derive(Default)]
pub(super) struct SseScan {
    decoder: sse::Decoder,
    templates: Templates,
    /// The last event is one that may be hidden, and ended in a CR.
    hidden_in_cr: bool,
}

impl SseScan {
    /// Reads the next bytes, which end at `scanned` of the body.
    pub(super) fn push(
        &mut self,
        data: &Bytes,
        scanned: u64,
        dialect: Dialect,
        reading: &mut Reading,
        tally: &mut Tally,
    ) {
        // an event's last LF may come with the next bytes
        if data.first() == Some(&b'\n') && self.hidden_in_cr {
            reading.usage_only.grow(scanned - data.len() as u64);
        }
        self.hidden_in_cr = false;
        // mostly all of it is events that differ from the one before in their text alone: then nothing
        // is decoded
        let mut known = 0;
        if self.decoder.is_between_blocks() {
            while let Some(found) = self.templates.find(&data[known..]) {
                known += found.length;
                let at = || scanned - (data.len() - known) as u64;
                tally.known(&found, at, reading);
            }
            if known == data.len() {
                return;
            }
        }
        self.decoder.push(data.slice(known..));
        loop {
            while let Some(ahead) = self.decoder.ahead()
                && let Some(found) = self.templates.find(ahead)
            {
                let length = found.length;
                let at = || scanned - (self.decoder.unread_len() - length) as u64;
                tally.known(&found, at, reading);
                self.decoder.skip(length);
            }
            let Some(event) = self.decoder.next_event() else {
                break;
            };
            match event {
                Ok(event) => self.event(&event, scanned, dialect, reading, tally),
                Err(sse::TooLarge { .. }) => {
                    tally.too_large(scanned - self.decoder.unread_len() as u64, reading);
                }
            }
        }
    }

    fn event(
        &mut self,
        event: &sse::Event,
        scanned: u64,
        dialect: Dialect,
        reading: &mut Reading,
        tally: &mut Tally,
    ) {
        let raw = event.raw();
        let at = || scanned - self.decoder.unread_len() as u64;
        let Some(data) = event.data() else {
            // Gemini may write an error without `data:`
            if raw.trim_ascii_start().starts_with(b"{")
                && let Some(error) = ProviderError::from_body(raw)
            {
                reading.fail(error);
                tally.event(StreamEvent::Error, &[], at, reading);
            }
            return;
        };
        let seen = read_json(dialect, &data, reading);
        if seen.usage_only {
            // the LF of the line end before it stays
            let length = raw.len() - usize::from(raw.starts_with(b"\n"));
            let at = at();
            reading.usage_only.push(at - length as u64..at);
            self.hidden_in_cr = raw.ends_with(b"\r");
        }
        tally.event(seen.event, seen.text(&data), at, reading);
        if let Some(holes) = seen.holes.and_then(|holes| within(raw, &data, &holes)) {
            self.templates.learn(raw, &holes);
        }
    }

    /// The specification drops an event without its blank line; what it says is believed all the
    /// same.
    pub(super) fn finish(
        &mut self,
        scanned: u64,
        dialect: Dialect,
        reading: &mut Reading,
        tally: &mut Tally,
    ) {
        const BLANK: &[u8] = b"\n\n";
        let blank = Bytes::from_static(BLANK);
        let scanned = scanned + BLANK.len() as u64;
        self.push(&blank, scanned, dialect, reading, tally);
    }

    /// Bytes of an event whose end is not here.
    pub(super) fn unread_len(&self) -> usize {
        self.decoder.unread_len()
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
