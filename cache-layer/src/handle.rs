//! A view of a layer, and what can be removed through it.

use std::fmt;

use http::Request;
use llm_exchange::User;

use crate::{CacheStats, Key, NotRemoved, Remove, Store, StoreSize, settings::Settings};

/// A view of a [`CacheLayer`](crate::CacheLayer): its statistics, and the removal of entries. Taken with
/// [`handle`](crate::CacheLayer::handle) before the layer is stacked, after its settings are made.
///
/// It covers every service made from the layer and its clones. What is removed does not come back by
/// answers that are on their way (of one key removed from Redis it may).
#[derive(Clone)]
pub struct CacheHandle<St> {
    pub(crate) settings: Settings<St>,
}

impl<St: Store> CacheHandle<St> {
    /// The counts so far. They are read one after the other while calls go on, so they may differ by
    /// the calls of that instant.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.settings.counters.stats()
    }

    /// How much is stored in this process.
    #[must_use]
    pub fn size(&self) -> StoreSize {
        self.settings.store.size()
    }

    /// How many calls are under way that equal ones can join.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.settings.flights.len()
    }

    /// Removes the answer of this key, as [`Cached`](crate::Cached) tells it.
    ///
    /// # Errors
    ///
    /// [`NotRemoved`], as every removal, if a server did not answer.
    pub async fn remove(&self, key: Key) -> Result<(), NotRemoved> {
        self.settings.store.remove(Remove::Key(key)).await
    }

    /// Removes the answers to all calls that asked for this model, as they wrote it.
    ///
    /// # Errors
    ///
    /// [`NotRemoved`].
    pub async fn remove_model(&self, model: &str) -> Result<(), NotRemoved> {
        let tag = self.settings.key.secret.model(model);
        self.settings.store.remove(Remove::Tag(tag)).await
    }

    /// Removes the answers of this user.
    ///
    /// # Errors
    ///
    /// [`NotRemoved`].
    pub async fn remove_user(&self, user: &User) -> Result<(), NotRemoved> {
        let tag = self.settings.key.secret.user(user);
        self.settings.store.remove(Remove::Tag(tag)).await
    }

    /// Removes the answers of the tenant whose credentials this request carries; nothing if it carries
    /// none.
    ///
    /// # Errors
    ///
    /// [`NotRemoved`].
    pub async fn remove_tenant_of<B>(&self, request: &Request<B>) -> Result<(), NotRemoved> {
        let tag = self.settings.key.secret.credential(request);
        match tag {
            Some(tag) => self.settings.store.remove(Remove::Tag(tag)).await,
            None => Ok(()),
        }
    }

    /// Removes all.
    ///
    /// # Errors
    ///
    /// [`NotRemoved`].
    pub async fn remove_all(&self) -> Result<(), NotRemoved> {
        self.settings.store.remove(Remove::All).await
    }
}

impl<St: Store> fmt::Debug for CacheHandle<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
