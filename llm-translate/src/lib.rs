#![doc = include_str!("../README.md")]

mod answer;
mod back;
mod chat;
mod conversation;
mod error;
mod forth;
mod json;
mod messages;
mod write;

pub use self::{
    back::{Back, StreamTranslator},
    error::NotTranslated,
    forth::{ANTHROPIC_VERSION, Asked, Translated, translates},
};
