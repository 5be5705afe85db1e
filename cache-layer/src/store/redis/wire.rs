//! An entry as it is on the server: sealed, then compressed.

use bytes::Bytes;
use lz4_flex::block::{compress_prepend_size, decompress, uncompressed_size};

use crate::{Entry, Key, key::Secret};

/// The removals that a lookup knew: of all, and of its model, credential and user. Each is a random
/// number of the last removal, 0 if there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generations([u64; 4]);

/// More than any layer stores in one entry.
const LARGEST: usize = 64 << 20;
const SEAL: usize = 16;
const GENERATIONS: usize = 32;

impl Generations {
    /// From the server's answer, one value for each.
    pub(super) fn read(values: &mut impl Iterator<Item = Option<Vec<u8>>>) -> Self {
        Self([(); 4].map(|()| {
            let value = values.next().flatten();
            let bytes = value.and_then(|value| value.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        }))
    }

    fn bytes(self) -> [u8; GENERATIONS] {
        let mut bytes = [0; GENERATIONS];
        for (place, number) in bytes.chunks_exact_mut(8).zip(self.0) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

pub(super) fn pack(secret: &Secret, key: &Key, entry: &Entry, generations: Generations) -> Vec<u8> {
    let mut content = Vec::with_capacity(SEAL + GENERATIONS + entry.size());
    content.extend_from_slice(&[0; SEAL]);
    content.extend_from_slice(&generations.bytes());
    content.extend_from_slice(&entry.to_bytes());
    let seal = secret.seal(key, &content[SEAL..]);
    content[..SEAL].copy_from_slice(&seal);
    compress_prepend_size(&content)
}

/// `None`: it is no entry, is sealed by somebody else or for another key, or was removed.
pub(super) fn unpack(
    secret: &Secret,
    key: &Key,
    packed: &[u8],
    generations: Generations,
) -> Option<Entry> {
    let (size, compressed) = uncompressed_size(packed).ok()?;
    if size > LARGEST {
        return None;
    }
    let content = Bytes::from(decompress(compressed, size).ok()?);
    let seal = content.get(..SEAL)?;
    // a seal is no secret of its own, so comparing it may take its time
    if seal != secret.seal(key, &content[SEAL..]) {
        return None;
    }
    if content.get(SEAL..SEAL + GENERATIONS)? != generations.bytes() {
        return None;
    }
    Entry::from_bytes(&content.slice(SEAL + GENERATIONS..))
}

/// See [`fuzzing::packed`](crate::fuzzing::packed).
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let (secret, key) = (Secret::of(b"fuzzed"), Key([1; 32]));
    let none = Generations::default();
    assert!(
        unpack(&secret, &key, bytes, none).is_none(),
        "nobody sealed it"
    );
    let mut content = vec![0; SEAL];
    content.extend_from_slice(bytes);
    let seal = secret.seal(&key, &content[SEAL..]);
    content[..SEAL].copy_from_slice(&seal);
    let read = unpack(&secret, &key, &compress_prepend_size(&content), none);
    let entry = bytes.strip_prefix(&none.bytes());
    let entry = entry.and_then(|entry| Entry::from_bytes(&Bytes::copy_from_slice(entry)));
    assert_eq!(read.map(|read| read.body), entry.map(|entry| entry.body));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::tests::entry;

    const NOTHING: Generations = Generations([0; 4]);

    proptest! {
        #[test]
        fn what_was_changed_is_not_there(
            body in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<proptest::sample::Index>(),
            bit in 0u32..8,
        ) {
            let (secret, key) = (Secret::of(b"a"), Key([1; 32]));
            let entry = entry(body);
            let mut packed = pack(&secret, &key, &entry, NOTHING);
            let read = unpack(&secret, &key, &packed, NOTHING).unwrap();
            prop_assert_eq!(&read.body, &entry.body);
            let at = at.index(packed.len());
            packed[at] ^= 1 << bit;
            if let Some(read) = unpack(&secret, &key, &packed, NOTHING) {
                // LZ4 may write the same content in two ways
                prop_assert_eq!(&read.body, &entry.body);
            }
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(unpack(&Secret::of(b"a"), &Key([1; 32]), &bytes, NOTHING).is_none());
        }
    }

    #[test]
    fn anothers_entry_and_a_removed_one_are_not_there() {
        let (secret, key) = (Secret::of(b"a"), Key([1; 32]));
        let packed = pack(&secret, &key, &entry("x"), NOTHING);
        assert!(unpack(&secret, &Key([2; 32]), &packed, NOTHING).is_none());
        assert!(unpack(&Secret::of(b"b"), &key, &packed, NOTHING).is_none());
        assert!(unpack(&secret, &key, &packed, Generations([0, 0, 7, 0])).is_none());
        assert!(unpack(&secret, &key, &packed, NOTHING).is_some());
    }

    #[test]
    fn an_answer_takes_less_room_than_it_has() {
        let body = r#"{"choices":[{"message":{"content":"lemon lemon lemon"}}]}"#.repeat(50);
        let length = body.len();
        let packed = pack(&Secret::of(b"a"), &Key([1; 32]), &entry(body), NOTHING);
        assert!(packed.len() < length / 5, "{} of {length}", packed.len());
    }
}
