#![doc = include_str!("../README.md")]

mod answer;
mod back;
mod beside;
mod chat;
mod conversation;
mod error;
mod forth;
mod future;
mod gemini;
mod json;
mod layer;
mod media;
mod messages;
mod responses;
mod service;
mod translated_answer;
mod translation;
mod write;

pub use self::{
    back::{Back, StreamTranslator},
    error::NotTranslated,
    forth::{ANTHROPIC_VERSION, Asked, Translated, translates},
    future::TranslateFuture,
    layer::TranslateLayer,
    service::Translate,
    translated_answer::TranslatedAnswer,
    translation::Translation,
};
