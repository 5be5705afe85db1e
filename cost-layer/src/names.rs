//! Names that come again with every call: kept once, and shared by the records that have them.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use foldhash::fast::RandomState;

use crate::{entry::bounded, stripes::Stripes};

/// Models, hosts and finish reasons of each stripe. Names are callers' too: beyond that all are let
/// go, and met anew.
const MOST: usize = 512;

/// Shared names, by stripe, so that counting who has one is no meeting of threads either.
#[derive(Default)]
pub(crate) struct Names(Stripes<Known>);

#[derive(Default)]
pub(crate) struct Known(HashSet<Arc<str>, RandomState>);

impl Names {
    /// What this thread knows, for several names.
    pub(crate) fn mine(&self) -> impl std::ops::DerefMut<Target = Known> {
        self.0.mine()
    }
}

impl Known {
    /// The name as it is kept: bounded.
    pub(crate) fn shared(&mut self, name: &str) -> Arc<str> {
        let name: Cow<'_, str> = bounded(name);
        if let Some(known) = self.0.get(&*name) {
            return Arc::clone(known);
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let name: Arc<str> = name.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_all_of_them_are_bounded() {
        let names = Names::default();
        let first = names.mine().shared("gpt-6-sol");
        assert!(Arc::ptr_eq(&first, &names.mine().shared("gpt-6-sol")));
        assert_eq!(names.mine().shared(&"m".repeat(999)).len(), 256);
        for made_up in 0..10_000 {
            names.mine().shared(&made_up.to_string());
            assert!(names.mine().0.len() <= MOST);
        }
        assert_eq!(&*names.mine().shared("gpt-6-sol"), "gpt-6-sol");
    }
}
