//! OpenAI responses: only a caller's dialect, as its answers may depend on what the provider keeps.

mod answer;
mod read;
mod stream;

pub(crate) use self::{
    answer::{Repeated, answer},
    read::read,
    stream::Writer,
};
