//! The SSE decoder and encoder: case by case, over a transcript, and against two other decoders.

mod differential;
mod encoder;
mod fields;
mod framing;
mod limits;
mod oracles;
mod support;
mod transcript;
