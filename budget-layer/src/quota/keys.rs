//! The gates of a layer: one for each (authority, model, credential) that was ever closed. Bounded.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use foldhash::quality::RandomState;
use http::{Request, Uri, header, uri::Authority};
use llm_exchange::{Call, Payload, credentials, without_signature};
use tokio::time::Instant;

use super::gate::Gate;

/// Gates are kept by the hash of their key, which is seeded anew in each process.
pub(crate) struct Keys {
    hasher: RandomState,
    gates: RwLock<HashMap<u64, Arc<Gate>>>,
    /// Most calls find that no gate was ever closed.
    many: AtomicUsize,
    most: usize,
}

/// Of which gate a call is. It has no credential in it.
pub(crate) struct Key {
    hash: u64,
    authority: Option<Authority>,
}

impl Keys {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            hasher: RandomState::default(),
            gates: RwLock::default(),
            many: AtomicUsize::new(0),
            most,
        }
    }

    pub(crate) fn key(&self, request: &Request<Payload>, call: &Call) -> Key {
        let authority = authority(request);
        let mut state = self.hasher.build_hasher();
        authority.as_ref().map(Authority::as_str).hash(&mut state);
        call.model().hash(&mut state);
        for (name, value) in credentials(request) {
            // AWS signs each call anew
            if !name.starts_with("x-amz-") {
                (name, without_signature(value)).hash(&mut state);
            }
        }
        Key {
            hash: state.finish(),
            authority,
        }
    }

    pub(crate) fn find(&self, key: &Key) -> Option<Arc<Gate>> {
        if self.many.load(Relaxed) == 0 {
            return None;
        }
        let gates = self.gates.read().unwrap_or_else(PoisonError::into_inner);
        gates.get(&key.hash).cloned()
    }

    /// The key's gate, made if there is none. `None`: there is no room, as calls wait at all the others.
    pub(crate) fn find_or_make(&self, key: &Key, call: &Call) -> Option<Arc<Gate>> {
        if let Some(gate) = self.find(key) {
            return Some(gate);
        }
        let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
        if !gates.contains_key(&key.hash) && gates.len() >= self.most {
            make_room(&mut gates)?;
        }
        let gate = gates.entry(key.hash).or_insert_with(|| {
            let authority = key.authority.as_ref().map_or_else(Box::default, named);
            Arc::new(Gate::new(authority, call.model().map(Into::into)))
        });
        let gate = Arc::clone(gate);
        self.many.store(gates.len(), Relaxed);
        Some(gate)
    }

    pub(crate) fn each(&self, mut look: impl FnMut(&Gate)) {
        let gates = self.gates.read().unwrap_or_else(PoisonError::into_inner);
        gates.values().for_each(|gate| look(gate));
    }

    /// Forgets all that nobody waits at.
    pub(crate) fn clear(&self) {
        let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| {
            gate.open();
            gate.has_waiters()
        });
        self.many.store(gates.len(), Relaxed);
    }
}

/// Idle gates go; where there are none, one at which nobody waits.
fn make_room(gates: &mut HashMap<u64, Arc<Gate>>) -> Option<()> {
    let (before, now) = (gates.len(), Instant::now());
    gates.retain(|_, gate| !gate.is_idle(now));
    if gates.len() == before {
        let free = gates.iter().find(|(_, gate)| !gate.has_waiters());
        let hash = *free?.0;
        gates.remove(&hash);
    }
    Some(())
}

fn authority(request: &Request<Payload>) -> Option<Authority> {
    let of = |uri: &Uri| uri.authority().cloned();
    of(request.uri()).or_else(|| {
        let host = request.headers().get(header::HOST)?;
        host.to_str().ok()?.parse().ok()
    })
}

/// Without a name and password.
fn named(authority: &Authority) -> Box<str> {
    let text = authority.as_str();
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    host.into()
}
