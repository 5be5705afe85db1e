//! A JSON object as its members stand, each value as it is written.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of an object in their order. What is not changed is written as it was read, but for
/// the blanks between members.
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Members<'a> {
    /// `None`: it is no object, or has a member twice.
    pub(crate) fn of(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// The JSON of a member; one that is `null` is not there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let member = self.0.iter().find(|(known, _)| known == name);
        member
            .map(|(_, json)| &**json)
            .filter(|json| *json != "null")
    }

    /// A member that has this type.
    pub(crate) fn read<'s, T: Deserialize<'s>>(&'s self, name: &str) -> Option<T> {
        serde_json::from_str(self.get(name)?).ok()
    }

    pub(crate) fn set(&mut self, name: &'static str, json: String) {
        let member = self.0.iter_mut().find(|(known, _)| known == name);
        match member {
            Some((_, value)) => *value = json.into(),
            None => self.0.push((name.into(), json.into())),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    pub(crate) fn to_json(&self) -> String {
        let members = self.0.iter();
        let members = members.map(|(name, json)| format!("{}:{json}", text(name)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// The elements of an array, each as it is written.
pub(crate) fn elements(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

/// A JSON string.
pub(crate) fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, Cow<'de, str>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Self::Value::new();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom("a member stands twice"));
                    }
                    let value: &RawValue = map.next_value()?;
                    members.push((name, value.get().into()));
                }
                Ok(members)
            }
        }

        json.deserialize_map(Object).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_stays_as_it_is_written() {
        let json = br#"{"b": 1.50, "a":{"x" :[1]},"n":null,"t":"\u00e4"}"#;
        let mut members = Members::of(json).unwrap();
        assert_eq!(members.get("n"), None);
        assert_eq!(members.read("t"), Some("ä".to_owned()));
        members.set("a", "2".into());
        members.set("c", text("\n"));
        members.remove("n");
        assert_eq!(
            members.to_json(),
            r#"{"b":1.50,"a":2,"t":"\u00e4","c":"\n"}"#
        );
        assert!(Members::of(b"[]").is_none() && Members::of(br#"{"a":1,"a":2}"#).is_none());
    }
}
