//! JSON of which only the parts that change are opened.
//!
//! What is not looked at stays as the provider wrote it: the order of fields, numbers of any length,
//! fields that nobody here knows.

mod json;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::json::Items;

/// An object with more fields is not opened: to find a field is a search.
const MOST_FIELDS: usize = 1024;
/// A list with more items is not opened, nor grown beyond: one item a token is the most that comes.
const MOST_ITEMS: usize = 1 << 18;
/// More things of one answer that are numbered (tool calls, blocks) than any answer has.
const MOST_NUMBERED: usize = 1024;
/// Pieces are put together down to here; deeper ones replace each other.
const DEEPEST: u32 = 16;

/// A JSON value, opened level by level.
#[derive(Clone)]
pub(crate) enum Tree {
    /// As it was written.
    Raw(Box<RawValue>),
    Text(String),
    List(Vec<Tree>),
    Object(Object),
}

/// The fields of an object in their order.
#[derive(Clone, Default)]
pub(crate) struct Object(Vec<(String, Tree)>);

/// A value was not what the protocol says it is.
#[derive(Debug)]
pub(crate) struct Unexpected;

impl Tree {
    pub(crate) fn null() -> Self {
        Self::Raw(RawValue::NULL.to_owned())
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn number(number: u64) -> Self {
        Self::raw(&number.to_string()).unwrap_or_else(|_| Self::null())
    }

    pub(crate) fn raw(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    pub(crate) fn to_json(&self) -> String {
        // what was read of JSON always serialises
        serde_json::to_string(self).unwrap_or_default()
    }

    fn first_byte(&self) -> u8 {
        match self {
            Self::Raw(raw) => raw.get().as_bytes().first().copied().unwrap_or(b'n'),
            Self::Text(_) => b'"',
            Self::List(_) => b'[',
            Self::Object(_) => b'{',
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.first_byte() == b'n'
    }

    pub(crate) fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Raw(raw) if self.first_byte() == b'"' => {
                #[derive(Deserialize)]
                struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

                let text: Text<'_> = serde_json::from_str(raw.get()).ok()?;
                Some(text.0)
            }
            _ => None,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Self::Raw(raw) if raw.get() == "true")
    }

    pub(crate) fn no() -> Self {
        Self::Raw(RawValue::FALSE.to_owned())
    }

    pub(crate) fn as_number(&self) -> Option<u64> {
        match self {
            Self::Raw(raw) => serde_json::from_str(raw.get()).ok(),
            _ => None,
        }
    }

    /// The value as an object. Of a value that is none, nothing.
    pub(crate) fn object(self) -> Result<Object, Unexpected> {
        match self {
            Self::Object(object) => Ok(object),
            Self::Raw(raw) => Object::parse(raw.get().as_bytes()),
            _ => Err(Unexpected),
        }
    }

    pub(crate) fn list(self) -> Result<Vec<Self>, Unexpected> {
        match self {
            Self::List(list) => Ok(list),
            Self::Raw(raw) => {
                let items: Items = serde_json::from_str(raw.get()).map_err(|_| Unexpected)?;
                Ok(items.0)
            }
            _ => Err(Unexpected),
        }
    }

    /// Opens one level, where there is one, and the objects of a list.
    fn open(&mut self) -> Result<(), Unexpected> {
        *self = match (self.first_byte(), &*self) {
            (b'"', Self::Raw(_)) => {
                let text = self.as_text().ok_or(Unexpected)?;
                Self::Text(text.into_owned())
            }
            (b'[', Self::Raw(_)) => {
                let mut list = std::mem::replace(self, Self::null()).list()?;
                list.iter_mut().try_for_each(Self::open_object)?;
                Self::List(list)
            }
            _ => return self.open_object(),
        };
        Ok(())
    }

    /// Opens an object, whose number has to be seen. Nothing else, so that depth is no recursion.
    fn open_object(&mut self) -> Result<(), Unexpected> {
        if let (b'{', Self::Raw(_)) = (self.first_byte(), &*self) {
            *self = Self::Object(std::mem::replace(self, Self::null()).object()?);
        }
        Ok(())
    }

    /// Puts the next piece of a value to what came of it so far, as the pieces of a delta are meant:
    /// texts grow, objects are filled, lists grow by items or within numbered ones, anything else is
    /// replaced, and `null` says nothing.
    pub(crate) fn grow(&mut self, piece: Self) -> Result<(), Unexpected> {
        self.grow_at(piece, 0)
    }

    fn grow_at(&mut self, mut piece: Self, depth: u32) -> Result<(), Unexpected> {
        if piece.is_null() {
            return Ok(());
        }
        if depth >= DEEPEST || self.first_byte() != piece.first_byte() {
            *self = piece;
            return Ok(());
        }
        self.open()?;
        piece.open()?;
        match (self, piece) {
            (Self::Text(text), Self::Text(piece)) => text.push_str(&piece),
            (Self::Object(object), Self::Object(piece)) => object.grow_at(piece, depth + 1)?,
            (Self::List(list), Self::List(piece)) => grow_list(list, piece, depth + 1)?,
            (all, piece) => *all = piece,
        }
        Ok(())
    }
}

fn grow_list(list: &mut Vec<Tree>, piece: Vec<Tree>, depth: u32) -> Result<(), Unexpected> {
    for mut item in piece {
        item.open_object()?;
        let number = number_of(&item);
        let known = number.and_then(|number| {
            let same = |known: &Tree| number_of(known) == Some(number);
            list.iter().rposition(same)
        });
        match known {
            Some(known) => list[known].grow_at(item, depth)?,
            None if number.is_some() && list.len() >= MOST_NUMBERED => return Err(Unexpected),
            None if list.len() >= MOST_ITEMS => return Err(Unexpected),
            None => list.push(item),
        }
    }
    Ok(())
}

fn number_of(item: &Tree) -> Option<u64> {
    match item {
        Tree::Object(object) => object.get("index").and_then(Tree::as_number),
        _ => None,
    }
}

/// Names whose text is said whole each time it is said.
fn is_said_whole(name: &str) -> bool {
    matches!(
        name,
        "role" | "type" | "id" | "name" | "format" | "signature" | "status" | "model"
    )
}

impl Object {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Unexpected> {
        serde_json::from_slice(json).map_err(|_| Unexpected)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Tree> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Tree> {
        self.0
            .iter_mut()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name)?.as_text()
    }

    /// Sets a field where it stands, or at the end.
    pub(crate) fn set(&mut self, name: &str, value: Tree) {
        match self.get_mut(name) {
            Some(known) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The same object with this field.
    pub(crate) fn with(mut self, name: &str, value: Tree) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a field that is not `null`; one that is says nothing about what is known already.
    pub(crate) fn set_known(&mut self, name: &str, value: Tree) {
        if !value.is_null() || self.get(name).is_none() {
            self.set(name, value);
        }
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Tree> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn into_fields(self) -> impl Iterator<Item = (String, Tree)> {
        self.0.into_iter()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fills the object with the fields of the next piece; see [`Tree::grow`].
    pub(crate) fn grow(&mut self, piece: Self) -> Result<(), Unexpected> {
        self.grow_at(piece, 0)
    }

    fn grow_at(&mut self, piece: Self, depth: u32) -> Result<(), Unexpected> {
        for (name, value) in piece.0 {
            let full = self.0.len() >= MOST_FIELDS;
            match self.get_mut(&name) {
                None if full => return Err(Unexpected),
                None => self.0.push((name, value)),
                Some(_) if value.as_text().is_some_and(|text| text.is_empty()) => {}
                Some(known) if name == "index" || is_said_whole(&name) => {
                    if !value.is_null() {
                        *known = value;
                    }
                }
                Some(known) => known.grow_at(value, depth)?,
            }
        }
        Ok(())
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // names and raw values always serialise
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl From<Object> for Tree {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}
