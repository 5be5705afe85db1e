//! What all connections of a server share: scripts, how far each is, and the log.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderMap;

use crate::{
    behaviour::Behaviour,
    grammar::{self, Unreadable},
    log::Log,
    script::Script,
    secret::Secret,
};

/// Scripts of headers and model names that are counted at a time; one more, and all start over.
const MOST_COUNTED: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) log: Arc<Log>,
    pub(crate) key: Option<Secret>,
    answers: AtomicU64,
    scripts: Mutex<Scripts>,
}

#[derive(Debug, Default)]
struct Scripts {
    of_models: HashMap<String, Counted>,
    of_any: Option<Counted>,
    counts: HashMap<Counter, u64>,
}

#[derive(Debug)]
struct Counted {
    script: Script,
    count: u64,
}

/// Who counts for a script that came as text.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Counter {
    model: String,
    text: Option<String>,
    caller: Secret,
}

impl Counted {
    fn next(&mut self) -> Behaviour {
        let behaviour = self.script.nth(self.count);
        self.count += 1;
        behaviour
    }
}

impl State {
    pub(crate) fn new(key: Option<Secret>) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Scripts> {
        // every change is complete before anything could panic
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of an answer, for its ids.
    pub(crate) fn number(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn on(&self, model: &str, script: Script) {
        self.lock()
            .of_models
            .insert(model.to_owned(), Counted { script, count: 0 });
    }

    pub(crate) fn on_any(&self, script: Script) {
        self.lock().of_any = Some(Counted { script, count: 0 });
    }

    /// Every script starts over, and the log is empty.
    pub(crate) fn reset(&self) {
        let mut scripts = self.lock();
        scripts.counts.clear();
        let Scripts {
            of_models, of_any, ..
        } = &mut *scripts;
        of_models
            .values_mut()
            .chain(of_any)
            .for_each(|counted| counted.count = 0);
        drop(scripts);
        self.log.clear();
    }

    /// What the next request to `model` gets. A script set in code is the strongest, then the
    /// header, then the name of the model, then the script for any model.
    pub(crate) fn choose(&self, model: &str, headers: &HeaderMap) -> Result<Behaviour, Unreadable> {
        let mut scripts = self.lock();
        if let Some(counted) = scripts.of_models.get_mut(model) {
            return Ok(counted.next());
        }
        let text = grammar::header(headers)?;
        if let Some(script) = grammar::script(model, text.as_deref())? {
            if scripts.counts.len() >= MOST_COUNTED {
                scripts.counts.clear();
            }
            let counter = Counter {
                model: model.to_owned(),
                text,
                caller: caller(headers),
            };
            let count = scripts.counts.entry(counter).or_default();
            *count += 1;
            return Ok(script.nth(*count - 1));
        }
        Ok(scripts
            .of_any
            .as_mut()
            .map_or_else(Behaviour::ok, Counted::next))
    }
}

/// The credential of a request, however it is sent.
pub(crate) fn credential(headers: &HeaderMap) -> Option<&str> {
    let plain = ["x-api-key", "api-key", "x-goog-api-key"]
        .into_iter()
        .find_map(|name| headers.get(name));
    if let Some(key) = plain {
        return key.to_str().ok();
    }
    let (scheme, key) = headers
        .get("authorization")?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn caller(headers: &HeaderMap) -> Secret {
    let named = headers
        .get("x-fake-key")
        .and_then(|value| value.to_str().ok());
    let caller = named.or_else(|| credential(headers));
    Secret(caller.unwrap_or_default().to_owned())
}
