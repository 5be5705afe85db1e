//! What the services of one layer share.

use std::{fmt, num::NonZeroU64, sync::Arc};

use http::Request;
use llm_exchange::{Call, Payload};
use tokio::time::Instant;

use crate::{
    credential,
    entry::Entry,
    hub::Hub,
    keys::Keys,
    name,
    rules::{Kind, Nanos, Rules},
    settings::{Settings, nanos},
};

pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) keys: Keys,
}

/// The part that a circuit needs.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) credential_rules: Rules,
    pub(crate) hub: Hub,
    epoch: Instant,
}

impl Core {
    pub(crate) fn now(&self) -> Nanos {
        nanos(Instant::now().saturating_duration_since(self.epoch))
    }
}

/// The key of the circuit of a call's credential: a hash of it and the call's own key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CredentialKey(NonZeroU64);

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            keys: Keys::new(settings.max_keys),
            core: Arc::new(Core {
                credential_rules: settings.credential_rules(),
                settings,
                hub: Hub::new(),
                epoch: Instant::now(),
            }),
        }
    }

    /// The circuit of a call.
    #[inline]
    pub(crate) fn circuit(self: &Arc<Self>, request: &Request<Payload>, call: &Call) -> Arc<Entry> {
        let (own, host);
        let (hash, host, model) = match &self.core.settings.key {
            Some(key) => {
                own = key(request);
                let text = name::bounded(&own);
                (self.keys.hash(text), "", Some(text))
            }
            None => {
                host = name::host(request);
                let model = call.model();
                let model = model.filter(|model| model.len() <= name::MOST_BYTES);
                (self.keys.hash((&*host, model)), &*host, model)
            }
        };
        self.keys.find_or_insert(hash, || {
            Entry::new(self, hash, &name::of(host, model), Kind::Key)
        })
    }

    /// The key of the circuit of a call's credential, if it has one; `of` is the circuit of its own key.
    pub(crate) fn credential_key(
        &self,
        request: &Request<Payload>,
        of: &Entry,
    ) -> Option<CredentialKey> {
        let credential = credential::of(request)?;
        NonZeroU64::new(self.keys.hash((of.hash(), credential))).map(CredentialKey)
    }

    /// The circuit of a call's credential, if it was ever of no use.
    pub(crate) fn credential(&self, key: CredentialKey) -> Option<Arc<Entry>> {
        let any = self.core.hub.known.has_credentials();
        any.then(|| self.keys.find(key.0.get())).flatten()
    }

    /// The same, made if there is none.
    pub(crate) fn make_credential(self: &Arc<Self>, key: CredentialKey, of: &Entry) -> Arc<Entry> {
        self.keys.find_or_insert(key.0.get(), || {
            let name = name::with_credential(of.name(), key.0.get());
            Entry::new(self, key.0.get(), &name, Kind::Credential)
        })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}
