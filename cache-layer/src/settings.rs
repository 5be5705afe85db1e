//! What the services of one layer share.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use llm_exchange::{Call, Dialect, Meter, PeekLimits, WallClock};
use tokio::time::Instant;

use crate::{
    Entry, Mode, NotKept, Put, Semantic, Store, Tags, Wanted,
    alike::Indexing,
    embeddings,
    entry::{Head, kept, millis, whole_millis},
    flight::{FlightSettings, Flights},
    freshness::Freshness,
    key::KeySettings,
    rules::{Whom, may_be_kept},
    stats::{Counters, Prices},
};

pub(crate) struct Settings<St> {
    pub(crate) store: St,
    pub(crate) key: KeySettings,
    pub(crate) mode: Mode,
    pub(crate) freshness: Freshness,
    /// The most bytes of an answer that is kept.
    pub(crate) largest: usize,
    /// How many answers there may be to a call that wants variety.
    pub(crate) answers: u32,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) pace: Option<Duration>,
    pub(crate) max_payload_bytes: usize,
    pub(crate) peek: PeekLimits,
    pub(crate) clock: WallClock,
    pub(crate) prices: Prices,
    pub(crate) semantic: Option<Arc<Semantic>>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) counters: Arc<Counters>,
}

impl<St: Clone> Clone for Settings<St> {
    fn clone(&self) -> Self {
        self.with_store(self.store.clone())
    }
}

impl<St> Settings<St> {
    /// The same with another store.
    pub(crate) fn with_store<T>(&self, store: T) -> Settings<T> {
        Settings {
            store,
            key: self.key.clone(),
            mode: self.mode,
            freshness: self.freshness,
            largest: self.largest,
            answers: self.answers,
            reads: self.reads,
            writes: self.writes,
            pace: self.pace,
            max_payload_bytes: self.max_payload_bytes,
            peek: self.peek,
            clock: self.clock.clone(),
            prices: self.prices.clone(),
            semantic: self.semantic.clone(),
            flights: Arc::clone(&self.flights),
            counters: Arc::clone(&self.counters),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        millis(self.clock.now())
    }

    /// What is known of an answer that ends now, but for its form and its usage.
    pub(crate) fn head(&self, meter: &Meter, whom: &Whom, began: Instant, tags: Tags) -> Head {
        let ttl = self.freshness.ttl(fastrand::f64());
        Head {
            stored_at: self.now(),
            ttl: whole_millis(ttl),
            keep: whole_millis(self.freshness.keep(ttl)),
            took: whole_millis(began.elapsed()),
            model: meter.model(),
            tier: meter.service_tier(),
            host: whom.host().map(Into::into),
            tags: [tags.model, tags.credential, tags.user].map(|tag| tag.map(|tag| tag.0)),
            ..Head::default()
        }
    }

    pub(crate) fn of_flights(&self) -> FlightSettings {
        FlightSettings {
            limits: self.peek,
            clock: self.clock.clone(),
            largest: self.largest,
        }
    }
}

/// What is known of a call that is made, for the answer that may be kept of it.
pub(crate) struct Keeping<St: Store> {
    pub(crate) settings: Arc<Settings<St>>,
    pub(crate) wanted: Wanted,
    pub(crate) ticket: St::Ticket,
    pub(crate) call: Arc<Call>,
    pub(crate) whom: Whom,
    pub(crate) wants_stream: bool,
    /// The answer has its usage because it was asked for.
    pub(crate) asked_usage: bool,
    /// To be told that it is kept.
    pub(crate) indexing: Option<Indexing>,
    pub(crate) began: Instant,
}

impl<St: Store> Keeping<St> {
    /// The answer came to its end.
    pub(crate) fn end(self, headers: &HeaderMap, meter: &Meter, body: Result<Bytes, NotKept>) {
        let counters = Arc::clone(&self.settings.counters);
        counters.kept(self.keep(headers, meter, body));
    }

    fn keep(
        self,
        headers: &HeaderMap,
        meter: &Meter,
        body: Result<Bytes, NotKept>,
    ) -> Result<(), NotKept> {
        let body = body?;
        may_be_kept(
            meter,
            self.call.model(),
            &self.whom,
            self.wants_stream,
            &body,
        )?;
        if meter.dialect() == Dialect::OpenAiEmbeddings && !embeddings::is_answer(&body) {
            return Err(NotKept::Incomplete);
        }
        let settings = &self.settings;
        let head = Head {
            is_stream: meter.is_stream(),
            usage: meter.usage().map(Into::into),
            usage_events: if self.asked_usage {
                meter.usage_events()
            } else {
                Vec::new()
            },
            ..settings.head(meter, &self.whom, self.began, self.wanted.tags)
        };
        let entry = Entry {
            head,
            headers: kept(headers, meter.is_stream(), body.len()),
            body,
        };
        settings.put(&self.wanted, Arc::new(entry), self.ticket)?;
        if let Some(indexing) = self.indexing {
            indexing.stored(self.wanted.key);
        }
        Ok(())
    }
}

impl<St: Store> Settings<St> {
    pub(crate) fn put(
        &self,
        wanted: &Wanted,
        entry: Arc<Entry>,
        ticket: St::Ticket,
    ) -> Result<(), NotKept> {
        match self.store.put(wanted, entry, ticket) {
            Put::Kept => Ok(()),
            Put::TooLarge => Err(NotKept::TooLarge),
            Put::Removed | Put::Busy => Err(NotKept::Store),
        }
    }
}

impl<St: fmt::Debug> fmt::Debug for Settings<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("store", &self.store)
            .field("mode", &self.mode)
            .field("freshness", &self.freshness)
            .field("flights", &self.flights)
            .finish_non_exhaustive()
    }
}
