//! What the services of one layer share.

use std::{fmt, num::NonZeroU64, sync::Arc};

use http::Request;
use llm_exchange::{Call, Payload};
use tokio::time::Instant;

use crate::{
    credential,
    entry::{Entry, Kind},
    hub::Hub,
    keys::Keys,
    name,
    refusal::Bodies,
    rules::{Nanos, Rules},
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
    pub(crate) bodies: Bodies,
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
                bodies: Bodies::default(),
                epoch: Instant::now(),
            }),
        }
    }

    /// The circuit of a call, and that of its credential if there can be one.
    pub(crate) fn circuit(
        self: &Arc<Self>,
        request: &Request<Payload>,
        call: &Call,
    ) -> (Arc<Entry>, Option<CredentialKey>) {
        let own;
        let (hash, authority, model) = match &self.core.settings.key {
            Some(key) => {
                own = key(request);
                let text = name::bounded(&own);
                (self.keys.hash(text), "", Some(text))
            }
            None => {
                let authority = request.uri().authority().map_or("", |it| it.as_str());
                let model = call.model();
                let model = model.filter(|model| model.len() <= name::MOST_BYTES);
                (self.keys.hash((authority, model)), authority, model)
            }
        };
        let entry = self.keys.find_or_insert(hash, || {
            Entry::new(self, &name::of(authority, model), Kind::Key)
        });
        let credential = credential::of(request)
            .and_then(|credential| NonZeroU64::new(self.keys.hash((hash, credential))));
        (entry, credential.map(CredentialKey))
    }

    /// The circuit of a call's credential, if it was ever of no use.
    pub(crate) fn credential(&self, key: CredentialKey) -> Option<Arc<Entry>> {
        if !self.core.hub.has_credentials() {
            return None;
        }
        self.keys.find(key.0.get())
    }

    /// The same, made if there is none.
    pub(crate) fn make_credential(self: &Arc<Self>, key: CredentialKey, of: &Entry) -> Arc<Entry> {
        self.keys.find_or_insert(key.0.get(), || {
            let name = name::with_credential(of.name(), key.0.get());
            Entry::new(self, &name, Kind::Credential)
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
