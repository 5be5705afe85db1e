//! OpenAI responses: events to the whole response, and back.

mod collect;
mod expand;

pub(crate) use self::{collect::Collected, expand::expand};
