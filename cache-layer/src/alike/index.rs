//! Where vectors are kept.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::Key;

/// Where the vectors of questions are kept: in this process ([`MemoryIndex`](crate::MemoryIndex)), or
/// in a database of the app's.
///
/// An index never fails: what it can't find, reach or read is not there. Vectors of different spaces
/// never meet: a space is a call but for its question, of one tenant.
pub trait VectorIndex: Send + Sync + 'static {
    /// The questions of this space that are most alike, the most alike first: at most `most`, none
    /// less alike than `least` (the cosine, up to 1).
    fn nearest(&self, space: Key, vector: Arc<[f32]>, least: f32, most: usize) -> Nearest;

    /// Keeps a question whose answer was stored, or has it kept; it replaces one of the same space
    /// and key. Does not wait: what goes to a server goes through a bounded queue.
    fn insert(&self, space: Key, question: Indexed);

    /// Removes a question, as its answer is gone. Does not wait.
    fn remove(&self, space: Key, key: Key);
}

/// The future of [`VectorIndex::nearest`].
pub type Nearest = Pin<Box<dyn Future<Output = Vec<Near>> + Send>>;

/// A question whose answer was stored.
#[derive(Clone)]
pub struct Indexed {
    /// The key of the answer.
    pub key: Key,
    /// The question's vector, as the app's embedding function made it.
    pub vector: Arc<[f32]>,
    /// The question, as numbers are compared and the verification hook is shown it.
    pub question: Arc<str>,
}

/// A question that is alike.
#[derive(Clone)]
pub struct Near {
    /// The key of its answer.
    pub key: Key,
    /// The cosine of the two vectors, up to 1.
    pub similarity: f32,
    /// The question, as it was inserted.
    pub question: Arc<str>,
}

/// Shows no question.
impl fmt::Debug for Indexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexed")
            .field("key", &self.key)
            .field("dimensions", &self.vector.len())
            .finish_non_exhaustive()
    }
}

/// Shows no question.
impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near")
            .field("key", &self.key)
            .field("similarity", &self.similarity)
            .finish_non_exhaustive()
    }
}
