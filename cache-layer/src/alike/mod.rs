//! Questions that mean the same: a lookup by meaning, where the exact one found nothing.

mod index;
mod lookup;
mod memory;
mod numbers;
mod question;
mod semantic;

pub use self::{
    index::{Indexed, Near, Nearest, VectorIndex},
    memory::MemoryIndex,
    semantic::{Candidate, Semantic},
};
pub(crate) use self::{
    lookup::{Alike, Looked, look_up},
    question::Question,
    semantic::Indexing,
};
