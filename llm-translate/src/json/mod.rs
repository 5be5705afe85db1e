//! JSON read field by field, so that none is overlooked, and written in order.

mod fields;
mod node;

pub(crate) use self::{
    fields::{Fields, Pair, Raw, camel_case, count, is_empty, items, number_of, pairs, text},
    node::{Node, Object},
};
