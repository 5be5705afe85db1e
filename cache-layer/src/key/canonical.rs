//! A request's JSON in one form, whatever order and whitespace it was written with.

use std::ops::Range;

use llm_exchange::Dialect;
use memchr::memchr2;
use smallvec::SmallVec;

use super::place::{Place, is_look_up, is_providers_tool, is_reference, is_stateful};

/// Deeper JSON than any request has is not taken.
const DEEPEST: u32 = 128;

/// What a request's JSON says of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The call says `"temperature": 0`.
    pub(crate) temperature_zero: bool,
    /// The answer depends on what the provider keeps of earlier calls.
    pub(crate) stateful: bool,
    /// The provider looks something up while it answers.
    pub(crate) looks_up: bool,
}

/// Writes a request's JSON without whitespace, with the members of each object in the order of their
/// names and without those that do not change the answer; of the outermost object also without the
/// member of the name `without`. `None`: it is no JSON object that is read here.
///
/// Texts and numbers stay as they are written: `1.0` and `1`, or `é` and `\u00e9`, are different
/// requests here. That costs a miss at most.
pub(crate) fn canonical(
    body: &[u8],
    dialect: Dialect,
    without: Option<&[u8]>,
    written: &mut Vec<u8>,
) -> Option<Seen> {
    let mut walk = Walk {
        text: body,
        at: 0,
        depth: 0,
        dialect,
        without,
        members: SmallVec::new(),
        written,
        seen: Seen::default(),
    };
    walk.blank();
    if walk.peek()? != b'{' {
        return None;
    }
    walk.value(Place::Top)?;
    walk.blank();
    (walk.at == body.len()).then_some(walk.seen)
}

struct Walk<'b> {
    text: &'b [u8],
    at: usize,
    depth: u32,
    dialect: Dialect,
    without: Option<&'b [u8]>,
    /// Of the objects that are open, the outermost first: each member's name in `text`, and where it
    /// stands in `written`.
    members: SmallVec<[(Range<usize>, Range<usize>); 16]>,
    written: &'b mut Vec<u8>,
    seen: Seen,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self, place: Place) -> Option<()> {
        match self.peek()? {
            b'{' => self.nested(|walk| walk.object(place)),
            b'[' => self.nested(|walk| walk.list(place)),
            b'"' => {
                let string = self.string()?;
                self.written.extend_from_slice(&self.text[string]);
                Some(())
            }
            _ => self.scalar(),
        }
    }

    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.at += 1;
        inner(self)?;
        self.depth -= 1;
        Some(())
    }

    /// Where a string stands, with its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.take(b'"')?;
        loop {
            self.at += memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
            if self.peek()? == b'"' {
                self.at += 1;
                return Some(start..self.at);
            }
            // whatever is escaped is not the end
            self.at += 2;
        }
    }

    /// A number or a word.
    fn scalar(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        self.written.extend_from_slice(&rest[..length]);
        self.at += length;
        (length > 0).then_some(())
    }

    fn list(&mut self, place: Place) -> Option<()> {
        self.written.push(b'[');
        self.blank();
        if self.take(b']').is_none() {
            loop {
                self.blank();
                self.value(place.item())?;
                self.blank();
                if self.take(b',').is_none() {
                    break;
                }
                self.written.push(b',');
            }
            self.take(b']')?;
        }
        self.written.push(b']');
        Some(())
    }

    fn object(&mut self, place: Place) -> Option<()> {
        let (first, start) = (self.members.len(), self.written.len());
        self.written.push(b'{');
        self.blank();
        if self.take(b'}').is_none() {
            loop {
                self.blank();
                let quoted = self.string()?;
                let name = quoted.start + 1..quoted.end - 1;
                self.blank();
                self.take(b':')?;
                self.blank();
                let begin = self.written.len();
                self.written.extend_from_slice(&self.text[quoted]);
                self.written.push(b':');
                let value = self.written.len();
                self.value(place.member(self.dialect, &self.text[name.clone()]))?;
                self.note(place, name.clone(), value);
                if self.leaves_out(place, &self.text[name.clone()]) {
                    self.written.truncate(begin);
                } else {
                    self.written.push(b',');
                    let end = self.written.len();
                    self.members.push((name, begin..end));
                }
                self.blank();
                if self.take(b',').is_none() {
                    break;
                }
            }
            self.take(b'}')?;
        }
        self.sort(first, start + 1);
        self.written.push(b'}');
        Some(())
    }

    fn leaves_out(&self, place: Place, name: &[u8]) -> bool {
        place.ignores(self.dialect, name) || (place == Place::Top && self.without == Some(name))
    }

    /// Takes note of what a member says of the call.
    fn note(&mut self, place: Place, name: Range<usize>, value: usize) {
        let (name, value) = (&self.text[name], &self.written[value..]);
        match (place, name) {
            (_, b"temperature") if place.has_settings(self.dialect) => {
                let number = std::str::from_utf8(value).ok();
                let number = number.and_then(|number| number.parse::<f64>().ok());
                self.seen.temperature_zero = number == Some(0.0);
            }
            (Place::Top, _) => {
                // a name that is written with escapes may be any
                self.seen.stateful |= is_stateful(name, value) || name.contains(&b'\\');
                self.seen.looks_up |= is_look_up(name, value);
            }
            (Place::Input, _) => self.seen.stateful |= is_reference(name, value),
            (Place::Tools, _) => self.seen.looks_up |= is_providers_tool(name, value),
            (Place::Settings | Place::Blocks | Place::Other, _) => {}
        }
    }

    /// Puts the members of the object that ends here, which begin at `start`, in the order of their
    /// names. Members of one name keep theirs.
    fn sort(&mut self, first: usize, start: usize) {
        let text = self.text;
        let members = &mut self.members[first..];
        let name = |member: &(Range<usize>, Range<usize>)| &text[member.0.clone()];
        if !members.is_sorted_by_key(name) {
            members.sort_by(|one, other| name(one).cmp(name(other)));
            let end = self.written.len();
            for (_, at) in members {
                self.written.extend_from_within(at.clone());
            }
            self.written.copy_within(end.., start);
            self.written.truncate(end);
        }
        self.members.truncate(first);
    }
}
