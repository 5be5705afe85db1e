//! Vectors in memory.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::ready,
    sync::{Arc, PoisonError, RwLock},
};

use super::{Indexed, Near, Nearest, VectorIndex};
use crate::{Key, key::BuildAsItIs};

/// A small index in memory, bounded in bytes; the oldest questions go first.
///
/// A lookup compares with every question of its space, one after the other, on the thread that polls the
/// call: 10,000 questions of 1,536 numbers take some milliseconds. For more than that give the layer an
/// index of your own. Vectors of another length than the one asked with, and such that have no direction
/// (all zero, or not finite), are not alike to anything.
///
/// Clones share the vectors.
#[derive(Clone)]
pub struct MemoryIndex(Arc<RwLock<Inner>>);

struct Inner {
    spaces: HashMap<Key, Vec<Item>, BuildAsItIs>,
    /// Whose turn it is to go, the oldest first.
    order: BTreeMap<u64, (Key, Key)>,
    next: u64,
    bytes: usize,
    max_bytes: usize,
}

struct Item {
    number: u64,
    question: Indexed,
    length: f32,
}

/// What a question takes beside its vector and text, roughly.
const OVERHEAD: usize = 256;

impl MemoryIndex {
    /// An index of at most so many bytes. A question takes 4 for each number of its vector, and its
    /// text: 64 MiB hold about 10,000 of 1,536 numbers.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self(Arc::new(RwLock::new(Inner {
            spaces: HashMap::default(),
            order: BTreeMap::new(),
            next: 0,
            bytes: 0,
            max_bytes,
        })))
    }

    /// How many questions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .order
            .len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl VectorIndex for MemoryIndex {
    fn nearest(&self, space: Key, vector: Arc<[f32]>, least: f32, most: usize) -> Nearest {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let length = length(&vector);
        let items = inner.spaces.get(&space).map_or(&[][..], Vec::as_slice);
        let mut near: Vec<Near> = Vec::new();
        for Item {
            question,
            length: other,
            ..
        } in items
        {
            if question.vector.len() != vector.len() {
                continue;
            }
            // what is no number is at least nothing
            let cosine = dot(&vector, &question.vector) / (length * other);
            if cosine >= least {
                near.push(Near {
                    key: question.key,
                    // rounding makes nothing more than equal
                    similarity: cosine.min(1.0),
                    question: Arc::clone(&question.question),
                });
            }
        }
        drop(inner);
        near.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
        near.truncate(most);
        Box::pin(ready(near))
    }

    fn insert(&self, space: Key, question: Indexed) {
        let length = length(&question.vector);
        if !(length.is_finite() && length > 0.0) {
            return;
        }
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.remove(space, question.key);
        let size = size(&question);
        if size > inner.max_bytes {
            return;
        }
        while inner.bytes + size > inner.max_bytes
            && let Some((_, (space, key))) = inner.order.first_key_value()
        {
            let (space, key) = (*space, *key);
            inner.remove(space, key);
        }
        let number = inner.next;
        inner.next += 1;
        inner.bytes += size;
        inner.order.insert(number, (space, question.key));
        let item = Item {
            number,
            question,
            length,
        };
        inner.spaces.entry(space).or_default().push(item);
    }

    fn remove(&self, space: Key, key: Key) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.remove(space, key);
    }
}

impl Inner {
    fn remove(&mut self, space: Key, key: Key) {
        let Some(items) = self.spaces.get_mut(&space) else {
            return;
        };
        if let Some(at) = items.iter().position(|item| item.question.key == key) {
            let item = items.swap_remove(at);
            self.order.remove(&item.number);
            self.bytes -= size(&item.question);
        }
        if items.is_empty() {
            self.spaces.remove(&space);
        }
    }
}

fn size(question: &Indexed) -> usize {
    size_of_val::<[f32]>(&question.vector) + question.question.len() + OVERHEAD
}

fn length(vector: &[f32]) -> f32 {
    dot(vector, vector).sqrt()
}

/// In lanes, so that it is done several at a time.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0_f32; LANES];
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest = ones.remainder().iter().zip(others.remainder());
    let rest: f32 = rest.map(|(one, other)| one * other).sum();
    for (one, other) in ones.zip(others) {
        for lane in 0..LANES {
            sums[lane] += one[lane] * other[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

impl fmt::Debug for MemoryIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryIndex")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> Key {
        Key(*blake3::hash(&[number]).as_bytes())
    }

    fn indexed(number: u8, vector: &[f32]) -> Indexed {
        Indexed {
            key: key(number),
            vector: vector.into(),
            question: "q".into(),
        }
    }

    fn nearest(index: &MemoryIndex, space: u8, vector: &[f32], least: f32) -> Vec<(Key, f32)> {
        let near = index
            .nearest(key(space), vector.into(), least, 4)
            .now_or_never()
            .unwrap();
        near.into_iter()
            .map(|near| (near.key, near.similarity))
            .collect()
    }

    #[test]
    fn what_is_most_alike_comes_first_and_only_of_its_own_space() {
        let index = MemoryIndex::new(1 << 20);
        index.insert(key(0), indexed(1, &[1.0, 0.0]));
        index.insert(key(0), indexed(2, &[3.0, 3.0]));
        index.insert(key(0), indexed(3, &[0.0, 9.0]));
        index.insert(key(7), indexed(4, &[1.0, 0.0]));
        index.insert(key(0), indexed(5, &[1.0, 0.0, 0.0]));
        let near = nearest(&index, 0, &[2.0, 0.1], 0.5);
        let keys: Vec<_> = near.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [key(1), key(2)]);
        assert!(near[0].1 > 0.99 && near[1].1 > 0.7 && near[1].1 < 0.8);
        index.remove(key(0), key(1));
        assert_eq!(nearest(&index, 0, &[2.0, 0.1], 0.5).len(), 1);
        assert_eq!(nearest(&index, 8, &[1.0, 0.0], 0.0), []);
    }

    #[test]
    fn what_has_no_direction_is_alike_to_nothing() {
        let index = MemoryIndex::new(1 << 20);
        for (number, vector) in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]]
            .into_iter()
            .enumerate()
        {
            index.insert(key(0), indexed(number as u8, &vector));
        }
        assert!(index.is_empty());
        index.insert(key(0), indexed(9, &[1.0, 1.0]));
        for vector in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert_eq!(nearest(&index, 0, &vector, 0.0), []);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_inserted_and_removed_the_bytes_are_those_that_are_there_and_bounded(
            steps in proptest::collection::vec((any::<bool>(), 0u8..3, 0u8..20, 1usize..40), 0..200),
        ) {
            let max_bytes = 4_000;
            let index = MemoryIndex::new(max_bytes);
            for (inserts, space, number, dimensions) in steps {
                if inserts {
                    index.insert(key(space), indexed(number, &vec![1.0; dimensions]));
                } else {
                    index.remove(key(space), key(number));
                }
                let inner = index.0.read().unwrap();
                let items = || inner.spaces.values().flatten();
                let bytes: usize = items().map(|item| size(&item.question)).sum();
                prop_assert_eq!((inner.bytes, inner.order.len()), (bytes, items().count()));
                prop_assert!(bytes <= max_bytes);
            }
        }
    }

    #[test]
    fn the_oldest_goes_first() {
        let index = MemoryIndex::new(3 * (OVERHEAD + 9));
        for number in 1..=4 {
            index.insert(key(0), indexed(number, &[1.0, 0.0]));
        }
        let keys: Vec<_> = nearest(&index, 0, &[1.0, 0.0], 0.9)
            .into_iter()
            .map(|near| near.0)
            .collect();
        assert_eq!(keys.len(), 3);
        assert!(!keys.contains(&key(1)));
    }
}
