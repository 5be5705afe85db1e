//! The ids of calls and their results, in the characters that they may have here.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use crate::conversation::{Conversation, Said, is_plain};

/// Ids have only plain characters here; others' may have dots and colons. Call and result are changed
/// alike, and two that differ stay apart.
#[derive(Default)]
pub(super) struct Ids<'c>(HashMap<&'c str, String>);

impl<'c> Ids<'c> {
    pub(super) fn of(from: &'c Conversation<'_>) -> Self {
        let parts = from.turns.iter().flat_map(|turn| &turn.parts);
        let all: Vec<&str> = parts
            .filter_map(|part| match &part.said {
                Said::Call(call) => Some(&*call.id),
                Said::Result(result) => Some(&*result.id),
                _ => None,
            })
            .collect();
        let is_plain = |id: &&&str| is_plain(id, usize::MAX);
        let mut ids = Self::default();
        if all.iter().all(|id| is_plain(&id)) {
            return ids;
        }
        let mut taken: HashSet<String> = all
            .iter()
            .filter(is_plain)
            .map(|id| (*id).to_owned())
            .collect();
        // by what they would become
        let mut numbers: HashMap<String, u32> = HashMap::new();
        for id in all.iter().filter(|id| !is_plain(id)) {
            if ids.0.contains_key(id) {
                continue;
            }
            let plain: String = id.chars().map(plain).collect();
            let number = numbers.entry(plain.clone()).or_insert(1);
            let mut own = plain.clone();
            while !taken.insert(own.clone()) {
                *number += 1;
                own = format!("{plain}_{number}");
            }
            ids.0.insert(id, own);
        }
        ids
    }

    pub(super) fn written(&self, id: &'c str) -> Cow<'c, str> {
        let changed = self.0.get(id).cloned();
        changed.map_or(Cow::Borrowed(id), Cow::Owned)
    }
}

fn plain(letter: char) -> char {
    match letter {
        '_' | '-' => letter,
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '_',
    }
}
