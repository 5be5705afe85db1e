//! The SSE decoder: case by case, over a transcript, and against two other decoders.

mod differential;
mod fields;
mod framing;
mod limits;
mod oracles;
mod support;
mod transcript;
