//! The messages of a gRPC body: each after five bytes that say whether it is compressed and how long.

use bytes::{Buf, Bytes};

use crate::cut::{Cutter, Frames, Uncut};

pub(crate) const PREFIX: usize = 5;

/// Cuts a body into messages. Bounded as [`Cutter`] is.
#[derive(Debug)]
pub(crate) struct Messages(Cutter<Frames<PREFIX>>);

/// One message, without its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// With the encoding that the head names; then its fields can't be read.
    pub(crate) compressed: bool,
    pub(crate) bytes: Bytes,
}

pub(crate) fn length(prefix: &[u8; PREFIX]) -> Option<usize> {
    let [flag, length @ ..] = *prefix;
    if flag > 1 {
        return None;
    }
    usize::try_from(u32::from_be_bytes(length))
        .ok()?
        .checked_add(PREFIX)
}

/// A message as a body has it.
pub(crate) fn prefixed(message: &[u8]) -> Vec<u8> {
    // no message of ours comes near to 4 GiB
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

impl Messages {
    /// Messages of at most `max_bytes`, the prefix not counted.
    pub(crate) const fn new(max_bytes: usize) -> Self {
        let max = max_bytes.saturating_add(PREFIX);
        Self(Cutter::new(Frames::new(length), max))
    }

    /// The message of a body that is exactly one, and whether it is compressed.
    pub(crate) fn only(body: &[u8]) -> Option<(bool, &[u8])> {
        let (prefix, message) = body.split_first_chunk::<PREFIX>()?;
        (length(prefix)? == body.len()).then_some((prefix[0] == 1, message))
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.0.push(chunk);
    }

    /// The next message; `None`: more bytes are needed.
    pub(crate) fn next_message(&mut self) -> Option<Result<Message, Uncut>> {
        Some(self.0.next_piece()?.map(|mut frame| {
            let compressed = frame.first() == Some(&1);
            frame.advance(PREFIX);
            Message {
                compressed,
                bytes: frame,
            }
        }))
    }

    /// Bytes that were pushed and belong to no message that was taken.
    pub(crate) fn unread_len(&self) -> usize {
        self.0.unread_len()
    }

    /// Whether the body ended in the middle of a message.
    pub(crate) fn is_within(&self) -> bool {
        self.0.is_within()
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) fn check(body: &[u8], cuts: &[usize], max: usize) {
    let new = || Cutter::new(Frames::new(length), max.max(PREFIX));
    crate::cut::oracle::cuts_do_not_matter(new, body, cuts);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(messages: &[(bool, Vec<u8>)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (compressed, message) in messages {
            body.push(u8::from(*compressed));
            body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            body.extend_from_slice(message);
        }
        body
    }

    #[test]
    fn an_unknown_flag_is_no_message() {
        let mut messages = Messages::new(100);
        messages.push(Bytes::from_static(&[2, 0, 0, 0, 0]));
        assert_eq!(messages.next_message(), Some(Err(Uncut::Broken)));
        messages.push(Bytes::from_static(&[0, 0, 0, 0, 0]));
        assert_eq!(messages.next_message(), None, "nothing more can be told");
    }

    #[test]
    fn a_length_over_the_limit_keeps_no_more_than_the_limit() {
        let mut messages = Messages::new(3);
        messages.push(Bytes::from(encode(&[
            (false, vec![7; 4]),
            (false, vec![8; 3]),
        ])));
        assert_eq!(messages.next_message(), Some(Err(Uncut::TooLarge)));
        let next = messages.next_message().unwrap().unwrap();
        assert_eq!(next.bytes, [8; 3].as_slice());
    }

    proptest! {
        #[test]
        fn messages_are_those_that_were_written_however_they_are_cut(
            written in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..20)), 0..6),
            lost in 0usize..4,
            cuts in prop::collection::vec(0usize..9, 0..30),
        ) {
            let body = encode(&written);
            let body = &body[..body.len().saturating_sub(lost)];
            check(body, &cuts, 1000);
            let mut messages = Messages::new(1000);
            messages.push(Bytes::copy_from_slice(body));
            let read: Vec<_> = std::iter::from_fn(|| messages.next_message())
                .map(|message| message.map(|one| (one.compressed, one.bytes.to_vec())).unwrap())
                .collect();
            prop_assert!(written.starts_with(&read));
            let whole: usize = read.iter().map(|(_, message)| message.len() + PREFIX).sum();
            prop_assert_eq!(messages.is_within(), whole < body.len());
        }

        #[test]
        fn any_bytes_are_read_alike_however_they_are_cut(
            body in prop::collection::vec(prop_oneof![0u8..3, any::<u8>()], 0..80),
            cuts in prop::collection::vec(0usize..9, 0..30),
            max in 0usize..40,
        ) {
            check(&body, &cuts, max);
        }
    }
}
