//! OpenAI chat completions.

mod answer;
mod read;
mod stream;
mod write;

pub(crate) use self::{
    answer::answer,
    read::{function, image, read, schema, word_of_choice},
    stream::Writer,
    write::write,
};
