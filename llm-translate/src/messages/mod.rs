//! Anthropic messages.

mod answer;
mod blocks;
mod ids;
mod read;
mod stream;
mod write;

pub(crate) use self::{
    answer::answer,
    read::read,
    stream::{Writer, ping},
    write::{Version, write},
};
