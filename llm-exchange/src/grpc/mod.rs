//! gRPC as far as an LLM call needs it: messages cut out of a body, fields found and set by number.

mod frames;
mod proto;

#[cfg(fuzzing)]
pub(crate) use self::frames::check;
pub(crate) use self::{
    frames::{Message, Messages, PREFIX, length, prefixed},
    proto::{Malformed, Value, Writer, fields, set_string, set_varint, text_at},
};
