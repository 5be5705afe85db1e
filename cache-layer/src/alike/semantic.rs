//! How questions are compared.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use http::Request;
use llm_exchange::Payload;

use super::{Indexed, MemoryIndex, Question, VectorIndex};
use crate::Key;

type Embedded = Pin<Box<dyn Future<Output = Option<Vec<f32>>> + Send>>;
type Verified = Pin<Box<dyn Future<Output = bool> + Send>>;

/// A lookup by meaning, for calls whose exact answer is not known; for
/// [`CacheLayer::semantic`](crate::CacheLayer::semantic).
///
/// Two calls are compared only if they are equal but for the user's last text: of one tenant, model,
/// system prompt and settings, every field. **Never** compared are calls with tools, images or anything
/// else beside texts, of several turns (unless [`conversations`](Self::conversations)), with a question
/// over 8 KiB, and questions whose numbers differ. All else is up to the embedding, the threshold and the
/// hook: no vector tells reliably "is it safe" from "is it not safe". Use it where a wrong answer costs
/// little, or with a hook that asks a model.
///
/// Each call that may be compared and is not known exactly waits for the embedding function, within
/// [`within`](Self::within).
#[derive(Clone)]
pub struct Semantic {
    pub(super) embed: Arc<dyn Fn(String) -> Embedded + Send + Sync>,
    pub(super) index: Arc<dyn VectorIndex>,
    pub(super) threshold: f32,
    pub(super) verify: Option<Arc<dyn Fn(Candidate) -> Verified + Send + Sync>>,
    pub(super) within: Duration,
    pub(super) conversations: bool,
}

/// Two questions that seem to be the same: what the verification hook decides on.
///
/// `Debug` does not show them.
#[non_exhaustive]
#[derive(Clone)]
pub struct Candidate {
    /// The question that is asked.
    pub asked: Arc<str>,
    /// The one whose answer is known.
    pub known: Arc<str>,
    /// The cosine of their vectors.
    pub similarity: f32,
}

impl Semantic {
    /// Compares by the vectors that this function makes of questions: with the app's own model or
    /// another call. `None`: it has none, which is a miss.
    pub fn new<F, E>(embed: E) -> Self
    where
        E: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Option<Vec<f32>>> + Send + 'static,
    {
        Self {
            embed: Arc::new(move |question| Box::pin(embed(question))),
            index: Arc::new(MemoryIndex::new(64 << 20)),
            threshold: 0.95,
            verify: None,
            within: Duration::from_millis(300),
            conversations: false,
        }
    }

    /// Where the vectors are kept. Default: a [`MemoryIndex`] of 64 MiB.
    #[must_use]
    pub fn index(mut self, index: impl VectorIndex) -> Self {
        self.index = Arc::new(index);
        self
    }

    /// How alike two questions have to be: the cosine of their vectors, from 0 to 1. Default 0.95;
    /// what is right depends on the embedding model. What is no number is 1.
    #[must_use]
    pub fn threshold(mut self, threshold: f32) -> Self {
        self.threshold = if threshold.is_nan() {
            1.0
        } else {
            threshold.clamp(0.0, 1.0)
        };
        self
    }

    /// Has the last word on each pair of questions, the most alike first, 4 at most. Default: alike is
    /// the same.
    #[must_use]
    pub fn verify<F, V>(mut self, verify: V) -> Self
    where
        V: Fn(Candidate) -> F + Send + Sync + 'static,
        F: Future<Output = bool> + Send + 'static,
    {
        self.verify = Some(Arc::new(move |candidate| Box::pin(verify(candidate))));
        self
    }

    /// How long a call waits for embedding, index and hook together; then it is a miss. Default 300 ms.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Compares also calls of several turns, whose turns before the last one are equal. Default: not,
    /// as a last turn ("and why?") means little without them.
    #[must_use]
    pub const fn conversations(mut self) -> Self {
        self.conversations = true;
        self
    }
}

impl Semantic {
    /// The question of a call that may be compared.
    pub(crate) fn question(&self, request: &Request<Payload>) -> Option<Question> {
        Question::read(request.body().whole()?, self.conversations)
    }
}

/// A question whose answer is about to be stored.
#[derive(Clone)]
pub(crate) struct Indexing {
    pub(super) semantic: Arc<Semantic>,
    pub(super) space: Key,
    pub(super) vector: Arc<[f32]>,
    pub(super) question: Arc<str>,
}

impl Indexing {
    /// Its answer is stored under this key.
    pub(crate) fn stored(self, key: Key) {
        let Self {
            semantic,
            space,
            vector,
            question,
        } = self;
        semantic.index.insert(
            space,
            Indexed {
                key,
                vector,
                question,
            },
        );
    }
}

impl fmt::Debug for Semantic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semantic")
            .field("threshold", &self.threshold)
            .field("within", &self.within)
            .field("conversations", &self.conversations)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("similarity", &self.similarity)
            .finish_non_exhaustive()
    }
}
