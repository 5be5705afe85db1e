//! OpenAI chat completions.

mod answer;
mod read;
mod stream;
mod turns;
mod write;

pub(crate) use self::{
    answer::answer,
    read::{HARMLESS, function, read, schema, word_of_choice},
    stream::Writer,
    turns::{image, marked},
    write::write,
};
