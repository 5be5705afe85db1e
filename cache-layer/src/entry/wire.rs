//! An entry as bytes.

use std::str::from_utf8;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::{Entry, Head, KEPT};

impl Entry {
    /// The entry as bytes, for a store outside of this process.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // names and numbers always serialise
        let headers = self
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), from_utf8(value.as_bytes()).ok()?)));
        let headers = headers.collect();
        let head = serde_json::to_vec(&WireHead {
            head: &self.head,
            headers,
        })
        .unwrap_or_default();
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(5 + head.len() + self.body.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. `None`: these bytes are no entry, or one of
    /// another version.
    #[must_use]
    pub fn from_bytes(bytes: &Bytes) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let WireHead { head, headers } =
            serde_json::from_slice::<WireHead<'_, Head>>(rest.get(..length)?).ok()?;
        let headers = headers.into_iter().filter_map(|(name, value)| {
            let name = KEPT.into_iter().find(|kept| kept.as_str() == name)?;
            Some((name, HeaderValue::from_str(value).ok()?))
        });
        let headers = headers.collect();
        let body = bytes.slice(5 + length..);
        let size = body.len() as u64;
        let in_order = head.usage_events.iter().try_fold(0, |end, event| {
            (end <= event.start && event.start <= event.end && event.end <= size)
                .then_some(event.end)
        });
        (*version == VERSION && in_order.is_some()).then_some(Self {
            head,
            headers,
            body,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct WireHead<'h, H> {
    head: H,
    #[serde(borrow)]
    headers: Vec<(&'h str, &'h str)>,
}

/// Of the bytes of an entry.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::{Tokens, tests::entry};

    proptest! {
        #[test]
        fn what_was_written_is_read_again_and_nothing_else_is(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            tokens in any::<[u32; 3]>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut entry = entry(body);
            entry.head.usage = Some(Tokens {
                uncached: tokens[0].into(),
                visible: tokens[1].into(),
                ..Tokens::default()
            });
            entry.head.tags = [Some(u64::from(tokens[2])), None, Some(u64::MAX)];
            let bytes = Bytes::from(entry.to_bytes());
            let read = Entry::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&read.head, &entry.head);
            prop_assert_eq!(&read.headers, &entry.headers);
            prop_assert_eq!(&read.body, &entry.body);
            // cut short within the head
            let head = bytes.len() - entry.body.len();
            prop_assert!(Entry::from_bytes(&bytes.slice(..cut.index(head))).is_none());
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Entry::from_bytes(&Bytes::from(bytes));
        }
    }

    #[test]
    fn a_header_of_other_letters_is_there_again() {
        let mut entry = entry("x");
        let value = HeaderValue::from_bytes("req-é".as_bytes()).unwrap();
        entry.headers = vec![(KEPT[4].clone(), value)];
        let read = Entry::from_bytes(&entry.to_bytes().into()).unwrap();
        assert_eq!(read.headers, entry.headers);
    }

    #[test]
    #[allow(
        clippy::single_range_in_vec_init,
        clippy::reversed_empty_ranges,
        reason = "lists of places, right and wrong"
    )]
    fn events_that_stand_outside_of_the_body_are_no_entry() {
        for events in [vec![0..9], vec![3..2], vec![2..3, 0..1]] {
            let mut entry = entry("12345");
            entry.head.usage_events = events;
            assert!(Entry::from_bytes(&entry.to_bytes().into()).is_none());
        }
    }
}
