//! Events that differ from an earlier one in their text alone.
//!
//! Of one stream most events are the same bytes around a few characters of text. What an event says
//! was read once, by a typed pass over its JSON; another of the same bytes says the same, with another
//! text. To compare costs a twentieth of reading.

use std::ops::Range;

use super::Reading;

/// A longer event is not worth remembering.
const LONGEST: usize = 2 << 10;
/// A stream whose events never repeat is not learnt from for ever.
const MOST_FRUITLESS: u32 = 32;

/// The strings of an event that may differ, as ranges of its bytes, quotes left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holes {
    pub(crate) text: Range<usize>,
    /// OpenAI's `obfuscation`: random characters.
    pub(crate) noise: Option<Range<usize>>,
}

/// The last two shapes of content events; two, as choices take turns.
#[derive(Default)]
pub(crate) struct Templates {
    slots: [Template; 2],
    last: usize,
    fruitless: u32,
}

/// The bytes around the holes. Its buffers are used again.
#[derive(Default)]
struct Template {
    parts: [Vec<u8>; 3],
    holes: usize,
    /// Which of the holes is the text.
    text: usize,
}

/// An event of a known shape.
pub(crate) struct Found<'a> {
    /// Of the whole event.
    pub(crate) length: usize,
    /// As it stands in the JSON.
    pub(crate) text: &'a [u8],
    /// The same, with its quotes.
    quoted: &'a [u8],
    escaped: bool,
}

impl Found<'_> {
    /// Counts the text.
    pub(crate) fn count(&self, reading: &mut Reading) {
        if self.escaped
            && let Ok(text) = serde_json::from_slice::<String>(self.quoted)
        {
            reading.text(text.as_bytes());
        } else {
            reading.text(self.text);
        }
    }
}

impl Templates {
    /// The event at the start of the bytes, if it is whole and of a known shape.
    #[inline]
    pub(crate) fn find<'a>(&mut self, bytes: &'a [u8]) -> Option<Found<'a>> {
        for slot in [self.last, 1 - self.last] {
            if let Some(found) = self.slots[slot].find(bytes) {
                self.last = slot;
                self.fruitless = 0;
                return Some(found);
            }
        }
        None
    }

    /// Remembers the shape of an event.
    pub(crate) fn learn(&mut self, event: &[u8], holes: &Holes) {
        // an event that ends in CR may be followed by an LF of its own
        let whole = event.first().is_some_and(u8::is_ascii_alphabetic) && event.ends_with(b"\n");
        if whole && event.len() <= LONGEST && self.fruitless < MOST_FRUITLESS {
            self.fruitless += 1;
            self.last = 1 - self.last;
            self.slots[self.last].learn(event, holes);
        }
    }
}

impl Template {
    #[inline]
    fn find<'a>(&self, bytes: &'a [u8]) -> Option<Found<'a>> {
        if self.holes == 0 {
            return None;
        }
        let mut at = 0;
        let mut text = (0..0, false);
        for (index, part) in self.parts[..=self.holes].iter().enumerate() {
            if !bytes[at..].starts_with(part) {
                return None;
            }
            at += part.len();
            if index < self.holes {
                let (length, escaped) = string_length(&bytes[at..])?;
                if index == self.text {
                    text = (at..at + length, escaped);
                }
                at += length;
            }
        }
        let (range, escaped) = text;
        Some(Found {
            length: at,
            text: &bytes[range.clone()],
            quoted: &bytes[range.start - 1..=range.end],
            escaped,
        })
    }

    fn learn(&mut self, event: &[u8], holes: &Holes) {
        let text = &holes.text;
        let (first, second) = match &holes.noise {
            None => (text, None),
            Some(noise) if noise.start < text.start => (noise, Some(text)),
            Some(noise) => (text, Some(noise)),
        };
        self.text = usize::from(text != first);
        self.holes = 1 + usize::from(second.is_some());
        let between = second.map_or(event.len(), |hole| hole.start);
        let ranges = [
            0..first.start,
            first.end..between,
            second.map_or(0..0, |hole| hole.end..event.len()),
        ];
        for (part, range) in self.parts.iter_mut().zip(ranges) {
            part.clear();
            // the reader's own ranges; a wrong one makes a shape that fits nothing
            part.extend_from_slice(event.get(range).unwrap_or_default());
        }
        // a hole is a string, with its quote before and after it
        if !self.parts[..self.holes]
            .iter()
            .all(|part| part.ends_with(b"\""))
        {
            self.holes = 0;
        }
    }
}

/// The length of a JSON string whose opening quote is passed, and whether it has escapes. `None`: it
/// does not end here, or is none.
#[inline]
fn string_length(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut escaped, mut ascii) = (false, true);
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => break,
            b'\\' => {
                escaped = true;
                // one that JSON does not have makes an event that is none
                at += match bytes.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                    b'u' if bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
                    _ => return None,
                };
            }
            0..0x20 => return None,
            byte => {
                ascii &= byte.is_ascii();
                at += 1;
            }
        }
    }
    // JSON is UTF-8, and the reader of an event's JSON mends what is not
    let valid = ascii || std::str::from_utf8(&bytes[..at]).is_ok();
    valid.then_some((at, escaped))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str, noise: &str) -> String {
        format!("data: {{\"a\":1,\"t\":\"{text}\",\"o\":\"{noise}\"}}\n\n")
    }

    fn learnt(text: &str, noise: &str) -> Templates {
        let event = event(text, noise);
        let start = event.find("\"t\":\"").unwrap() + 5;
        let other = event.find("\"o\":\"").unwrap() + 5;
        let mut templates = Templates::default();
        let holes = Holes {
            text: start..start + text.len(),
            noise: Some(other..other + noise.len()),
        };
        templates.learn(event.as_bytes(), &holes);
        templates
    }

    #[test]
    fn another_text_between_the_same_bytes_is_found_with_its_end() {
        let mut templates = learnt("Hel", "aZ3k");
        let stream = format!("{}{}", event("lo \\\"you\\\"\\n", ""), "data: next");
        let found = templates.find(stream.as_bytes()).unwrap();
        assert_eq!(found.text, b"lo \\\"you\\\"\\n");
        assert_eq!(&stream[found.length..], "data: next");
        let mut reading = Reading::default();
        found.count(&mut reading);
        assert_eq!(
            reading.output(),
            (crate::TokenEstimate::of(b"lo \"you\"\n"), true)
        );
    }

    #[test]
    fn an_event_that_is_cut_or_differs_elsewhere_is_not() {
        let mut templates = learnt("Hel", "aZ3k");
        let whole = event("lo", "x");
        for end in 0..whole.len() {
            assert!(templates.find(&whole.as_bytes()[..end]).is_none(), "{end}");
        }
        let other = whole.replace("\"a\":1", "\"a\":2");
        assert!(templates.find(other.as_bytes()).is_none());
    }

    #[test]
    fn a_line_end_or_an_escape_that_json_does_not_have_is_no_text() {
        let mut templates = learnt("Hel", "aZ3k");
        for broken in ["l\no", "l\\\no", "l\ro", "\\0", "\\u12g4"] {
            assert!(templates.find(event(broken, "").as_bytes()).is_none());
        }
    }

    #[test]
    fn two_shapes_are_known_at_a_time() {
        let mut templates = learnt("Hel", "");
        let other = "data: {\"b\":\"x\"}\n\n";
        templates.learn(
            other.as_bytes(),
            &Holes {
                text: 12..13,
                noise: None,
            },
        );
        for _ in 0..3 {
            assert!(templates.find(event("a", "b").as_bytes()).is_some());
            assert_eq!(templates.find(other.as_bytes()).unwrap().text, b"x");
        }
    }

    #[test]
    fn a_stream_that_never_repeats_is_given_up_on() {
        let mut templates = Templates::default();
        let holes = Holes {
            text: 9..10,
            noise: None,
        };
        for _ in 0..100 {
            templates.learn(b"data: {\"\"x\"}\n\n", &holes);
        }
        assert_eq!(templates.fruitless, MOST_FRUITLESS);
    }
}
