//! OpenAI chat completions.

mod answer;
mod read;
mod stream;
mod write;

pub(crate) use self::{
    answer::answer,
    read::{image, read},
    stream::Writer,
    write::write,
};
