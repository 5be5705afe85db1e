//! The end of a text that is too large to be held: providers write the usage behind the content.

use memchr::memmem;

use super::Reading;
use crate::Dialect;

/// So much of it is looked at.
pub(super) const LENGTH: usize = 64 << 10;

/// The last bytes of an event, the first of which are gone.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    pub(super) fn push(&mut self, data: &[u8]) {
        let data = &data[data.len().saturating_sub(LENGTH)..];
        let kept = LENGTH - data.len();
        if self.0.len() > kept {
            self.0.drain(..self.0.len() - kept);
        }
        self.0.extend_from_slice(data);
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    pub(super) fn read_last_usage(&self, dialect: Dialect, reading: &mut Reading) {
        read_last_usage(dialect, &self.0, reading);
    }
}

/// The last member that is called like the dialect's usage and is one.
pub(super) fn read_last_usage(dialect: Dialect, tail: &[u8], reading: &mut Reading) {
    let (name, read) = dialect.wire().usage;
    let name = format!("\"{name}\"");
    let before = reading.usages();
    for at in memmem::rfind_iter(tail, name.as_bytes()) {
        let value = tail[at + name.len()..].trim_ascii_start();
        if let Some(value) = value.strip_prefix(b":") {
            read(value, reading);
        }
        if reading.usages() > before {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_however_they_come() {
        let text: Vec<u8> = (0..3 * LENGTH).map(|at| at as u8).collect();
        for size in [1000, LENGTH - 1, LENGTH, LENGTH + 1, text.len()] {
            let mut tail = Tail::default();
            text.chunks(size).for_each(|chunk| tail.push(chunk));
            assert_eq!(tail.0, text[text.len() - LENGTH..]);
        }
    }

    #[test]
    fn what_is_only_called_like_a_usage_hides_none() {
        let tail = br#"x","usage":{"input_tokens":3,"output_tokens":4},"metadata":{"usage":"none","n":1}}}"#;
        let mut reading = Reading::default();
        read_last_usage(Dialect::OpenAiResponses, tail, &mut reading);
        let usage = reading.usage().expect("a usage");
        assert_eq!((usage.input(), usage.output()), (3, 4));
    }
}
