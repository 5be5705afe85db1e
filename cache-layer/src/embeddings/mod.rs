//! Embeddings, text by text: a batch asks only for what is not known.
//!
//! Each text of a call has a key of its own, made of the call without its texts and of the text, so that
//! it is known again in any batch and alone. What is known comes from the store, what another call asks
//! for just now from that call's flight, and the rest from one flight of this call, for others to join.

mod answer;
mod asked;
mod came;
mod keep;
mod merge;
mod round;
mod texts;

#[cfg(fuzzing)]
pub(crate) use self::answer::{Embeddings, Used};
pub(crate) use self::{answer::is_answer, asked::Asked, texts::Batch};

/// The most bytes of a batch's answer that are held; a larger one passes where it can.
const LARGEST: usize = 64 << 20;
