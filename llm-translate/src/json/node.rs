//! JSON that is written, its fields in the order in which they were set.

use std::borrow::Cow;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::value::RawValue;

/// A value to be written.
pub(crate) enum Node<'a> {
    Null,
    Truth(bool),
    Count(u64),
    Text(Cow<'a, str>),
    /// As it stood where it came from.
    Raw(Cow<'a, RawValue>),
    List(Vec<Node<'a>>),
    Object(Object<'a>),
}

/// An object to be written.
#[derive(Default)]
pub(crate) struct Object<'a>(Vec<(&'static str, Node<'a>)>);

impl<'a> Object<'a> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The same with this field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Node<'a>>) -> Self {
        self.set(name, value);
        self
    }

    /// The same with this field, if there is a value for it.
    pub(crate) fn maybe(self, name: &'static str, value: Option<impl Into<Node<'a>>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The same with these fields after its own.
    pub(crate) fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Node<'a>>) {
        self.0.push((name, value.into()));
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object, unless it has no field.
    pub(crate) fn filled(self) -> Option<Self> {
        (!self.is_empty()).then_some(self)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // texts, numbers and what was read of JSON always serialise
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl<'a> Node<'a> {
    pub(crate) fn texts(all: &'a [Cow<'_, str>]) -> Self {
        Self::List(all.iter().map(|text| Node::from(&**text)).collect())
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Truth(truth) => serializer.serialize_bool(*truth),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Raw(raw) => raw.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for item in list {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
        }
    }
}

impl<'a> From<&'a str> for Node<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Node<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Node<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a RawValue> for Node<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self::Raw(Cow::Borrowed(raw))
    }
}

impl<'a> From<Cow<'a, RawValue>> for Node<'a> {
    fn from(raw: Cow<'a, RawValue>) -> Self {
        Self::Raw(raw)
    }
}

impl From<bool> for Node<'_> {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

impl From<u64> for Node<'_> {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl<'a> From<Object<'a>> for Node<'a> {
    fn from(object: Object<'a>) -> Self {
        Self::Object(object)
    }
}

impl<'a> From<Vec<Node<'a>>> for Node<'a> {
    fn from(list: Vec<Node<'a>>) -> Self {
        Self::List(list)
    }
}

impl<'a> FromIterator<Object<'a>> for Node<'a> {
    fn from_iter<I: IntoIterator<Item = Object<'a>>>(objects: I) -> Self {
        Self::List(objects.into_iter().map(Node::Object).collect())
    }
}
