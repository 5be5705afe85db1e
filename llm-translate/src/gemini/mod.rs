//! Gemini's `generateContent`.

mod answer;
mod contents;
mod read;
mod schema;
mod stream;
mod write;

pub(crate) use self::{
    answer::answer,
    read::read,
    stream::Writer,
    write::{path, write},
};
