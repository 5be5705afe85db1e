//! One lookup by meaning.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{Candidate, Indexing, Near, Semantic, numbers};
use crate::{Entry, Key, Store, Wanted};

/// The most candidates that are verified and looked up.
const MOST: usize = 4;

/// What a lookup by meaning came to.
#[derive(Default)]
pub(crate) struct Looked {
    /// The answer to a question that is alike.
    pub(crate) found: Option<Alike>,
    /// To be told when the answer to this question is stored.
    pub(crate) indexing: Option<Indexing>,
}

pub(crate) struct Alike {
    pub(crate) entry: Arc<Entry>,
    pub(crate) key: Key,
    pub(crate) similarity: f32,
}

/// Looks for an answer to a question of this space that means the same and is `good`; only makes the
/// question known if there is nothing to search for.
pub(crate) async fn look_up<St: Store>(
    semantic: Arc<Semantic>,
    store: St,
    space: Key,
    question: String,
    wanted: Wanted,
    searches: bool,
    good: impl Fn(&Entry) -> bool + Send + Sync,
) -> Looked {
    let until = Instant::now() + semantic.within;
    let question: Arc<str> = question.into();
    let embedding = (semantic.embed)(question.as_ref().to_owned());
    let Ok(Some(vector)) = timeout_at(until, embedding).await else {
        tracing::debug!("a question was not embedded");
        return Looked::default();
    };
    let vector: Arc<[f32]> = vector.into();
    let found = if searches {
        let search = async {
            let least = semantic.threshold;
            let near = semantic
                .index
                .nearest(space, Arc::clone(&vector), least, MOST)
                .await;
            for near in near.into_iter().take(MOST) {
                let alike = candidate(&semantic, &store, space, &question, wanted, near, &good);
                if let Some(alike) = alike.await {
                    return Some(alike);
                }
            }
            None
        };
        timeout_at(until, search).await.ok().flatten()
    } else {
        None
    };
    Looked {
        found,
        indexing: Some(Indexing {
            semantic: Arc::clone(&semantic),
            space,
            vector,
            question,
        }),
    }
}

async fn candidate<St: Store>(
    semantic: &Semantic,
    store: &St,
    space: Key,
    asked: &Arc<str>,
    wanted: Wanted,
    near: Near,
    good: &(impl Fn(&Entry) -> bool + Send + Sync),
) -> Option<Alike> {
    let Near {
        key,
        similarity,
        question: known,
    } = near;
    // whatever an index says
    let is_alike = similarity >= semantic.threshold && numbers::are_same(asked, &known);
    if !is_alike {
        return None;
    }
    let found = store.get(&Wanted { key, ..wanted }).await;
    let Some(entry) = found.entry else {
        if store.has_answered(&found.ticket) {
            semantic.index.remove(space, key);
        }
        return None;
    };
    if !good(&entry) {
        return None;
    }
    if let Some(verify) = &semantic.verify {
        let candidate = Candidate {
            asked: Arc::clone(asked),
            known,
            similarity,
        };
        if !verify(candidate).await {
            return None;
        }
    }
    Some(Alike {
        entry,
        key,
        similarity: similarity.min(1.0),
    })
}
