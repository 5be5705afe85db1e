//! Reading an object's fields, each once; what nobody took at the end is an error.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::error::{NotTranslated, Why};

pub(crate) type Raw<'a> = &'a RawValue;

/// The fields of an object that are not `null`. Each is taken, or left over: see [`Fields::done`].
pub(crate) struct Fields<'a>(BTreeMap<Cow<'a, str>, Raw<'a>>);

/// A name and its value.
pub(crate) type Pair<'a> = (Cow<'a, str>, Raw<'a>);

struct Pairs<'a>(Vec<Pair<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap;

        impl<'de> Visitor<'de> for OfMap {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(OfMap)
    }
}

/// A text that is copied only where it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Fields<'a> {
    /// The fields of this JSON text.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, NotTranslated> {
        let raw: Raw<'a> = serde_json::from_slice(json)
            .map_err(|_| NotTranslated::malformed("", "it is no JSON"))?;
        Self::of(raw)
    }

    pub(crate) fn of(raw: Raw<'a>) -> Result<Self, NotTranslated> {
        Self::named(raw, |name| name)
    }

    /// Google's APIs take `snake_case` for `camelCase`.
    pub(crate) fn camel(raw: Raw<'a>) -> Result<Self, NotTranslated> {
        Self::named(raw, |name| match name.contains('_') {
            true => Cow::Owned(camel_case(&name)),
            false => name,
        })
    }

    fn named(
        raw: Raw<'a>,
        rename: impl Fn(Cow<'a, str>) -> Cow<'a, str>,
    ) -> Result<Self, NotTranslated> {
        let mut fields = BTreeMap::new();
        for (name, value) in pairs(raw)? {
            let name = rename(name);
            if fields.contains_key(&name) {
                return Err(NotTranslated::new(&name, Why::Twice));
            }
            fields.insert(name, value);
        }
        fields.retain(|_, value| value.get() != "null");
        Ok(Self(fields))
    }

    /// Takes a field as it is.
    pub(crate) fn raw(&mut self, name: &str) -> Option<Raw<'a>> {
        self.0.remove(name)
    }

    /// Takes a field, and reads it.
    pub(crate) fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Raw<'a>) -> Result<T, NotTranslated>,
    ) -> Result<Option<T>, NotTranslated> {
        let value = self.raw(name).map(read).transpose();
        value.map_err(|error| error.inside(name))
    }

    /// Takes a field that has to be there, and reads it.
    pub(crate) fn must<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Raw<'a>) -> Result<T, NotTranslated>,
    ) -> Result<T, NotTranslated> {
        self.read(name, read)?
            .ok_or_else(|| NotTranslated::new(name, Why::Missing))
    }

    /// Takes a list, and reads each of its items.
    pub(crate) fn each<T>(
        &mut self,
        name: &str,
        read: impl FnMut(Raw<'a>) -> Result<T, NotTranslated>,
    ) -> Result<Option<Vec<T>>, NotTranslated> {
        self.read(name, |raw| items(raw, read))
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, NotTranslated> {
        self.read(name, text)
    }

    pub(crate) fn truth(&mut self, name: &str) -> Result<Option<bool>, NotTranslated> {
        self.read(name, truth)
    }

    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, NotTranslated> {
        self.read(name, count)
    }

    /// Takes a number, and keeps its digits.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<Raw<'a>>, NotTranslated> {
        self.read(name, |raw| number_of(raw).map(|_| raw))
    }

    /// Takes a field that changes nothing of the answer's meaning. Whether it was there.
    pub(crate) fn drop(&mut self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Takes a field that says nothing as long as it is as good as absent.
    pub(crate) fn unless(
        &mut self,
        name: &str,
        is_nothing: impl FnOnce(Raw<'a>) -> bool,
    ) -> Result<(), NotTranslated> {
        match self.raw(name) {
            Some(raw) if !is_nothing(raw) => Err(NotTranslated::nowhere(name)),
            _ => Ok(()),
        }
    }

    /// What was not taken is not known here.
    pub(crate) fn done(self) -> Result<(), NotTranslated> {
        match self.0.first_key_value() {
            Some((name, _)) => Err(NotTranslated::new(name, Why::Unknown)),
            None => Ok(()),
        }
    }
}

/// All fields of an object in their order.
pub(crate) fn pairs(raw: Raw<'_>) -> Result<Vec<Pair<'_>>, NotTranslated> {
    let pairs: Result<Pairs<'_>, _> = serde_json::from_str(raw.get());
    pairs
        .map(|pairs| pairs.0)
        .map_err(|_| NotTranslated::malformed("", "it is no object"))
}

/// Reads each item of a list.
pub(crate) fn items<'a, T>(
    raw: Raw<'a>,
    mut read: impl FnMut(Raw<'a>) -> Result<T, NotTranslated>,
) -> Result<Vec<T>, NotTranslated> {
    let list: Vec<Raw<'a>> = serde_json::from_str(raw.get())
        .map_err(|_| NotTranslated::malformed("", "it is no list"))?;
    let items = list.into_iter().enumerate();
    items
        .map(|(index, raw)| read(raw).map_err(|error| error.item(index)))
        .collect()
}

pub(crate) fn text(raw: Raw<'_>) -> Result<Cow<'_, str>, NotTranslated> {
    let text: Result<Text<'_>, _> = serde_json::from_str(raw.get());
    text.map(|text| text.0)
        .map_err(|_| NotTranslated::malformed("", "it is no text"))
}

pub(crate) fn truth(raw: Raw<'_>) -> Result<bool, NotTranslated> {
    serde_json::from_str(raw.get())
        .map_err(|_| NotTranslated::malformed("", "it is neither true nor false"))
}

/// A whole number from 0 on; `12.0` is one too.
pub(crate) fn count(raw: Raw<'_>) -> Result<u64, NotTranslated> {
    let whole = serde_json::from_str(raw.get()).ok();
    let rounded = || {
        let number = number_of(raw).ok()?;
        let whole = number.trunc() == number && (0.0..=9e15).contains(&number);
        whole.then_some(number as u64)
    };
    whole
        .or_else(rounded)
        .ok_or_else(|| NotTranslated::malformed("", "it is no whole number"))
}

pub(crate) fn number_of(raw: Raw<'_>) -> Result<f64, NotTranslated> {
    serde_json::from_str(raw.get()).map_err(|_| NotTranslated::malformed("", "it is no number"))
}

/// Whether it is an empty list, object or text.
pub(crate) fn is_empty(raw: Raw<'_>) -> bool {
    let inside = raw.get().get(1..raw.get().len().saturating_sub(1));
    !raw.get()
        .starts_with(|first: char| first.is_ascii_alphanumeric() || first == '-')
        && inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

pub(crate) fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
