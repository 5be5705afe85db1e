//! Keeping an answer of embeddings, text by text.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use llm_exchange::{Call, Meter, Usage};
use tokio::time::Instant;

use super::answer::{Embeddings, Used, share};
use crate::{
    Entry, NotKept, Store, Wanted,
    entry::{Head, kept},
    rules::{Whom, may_be_kept},
    settings::Settings,
};

/// What is known of a call, for the embeddings that may be kept of it.
pub(super) struct Keeping<St: Store> {
    pub(super) settings: Arc<Settings<St>>,
    pub(super) texts: Vec<Kept<St::Ticket>>,
    pub(super) call: Arc<Call>,
    pub(super) whom: Whom,
    pub(super) began: Instant,
}

pub(super) struct Kept<T> {
    pub(super) wanted: Wanted,
    pub(super) ticket: T,
    /// Its length, by which the tokens are shared out.
    pub(super) weight: u64,
}

impl<St: Store> Keeping<St> {
    /// The answer came to its end.
    pub(super) fn end(self, headers: &HeaderMap, meter: &Meter, body: Result<Bytes, NotKept>) {
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
        let called = self.call.model();
        may_be_kept(meter, called, &self.whom, false, &body)?;
        let answer = Embeddings::read(&body, self.texts.len()).ok_or(NotKept::Incomplete)?;
        if let [text] = &self.texts[..] {
            let usage = meter.usage();
            return self.put(text, meter, headers, body.clone(), usage);
        }
        let weights: Vec<_> = self.texts.iter().map(|text| text.weight).collect();
        let shares = share(answer.tokens, &weights);
        let mut all = Ok(());
        for ((text, vector), tokens) in self.texts.iter().zip(&answer.vectors).zip(shares) {
            let body = answer.with(&[vector], Used::Tokens(tokens));
            let mut usage = Usage::default();
            usage.uncached = tokens;
            all = all.and(self.put(text, meter, headers, body, Some(usage)));
        }
        all
    }

    fn put(
        &self,
        text: &Kept<St::Ticket>,
        meter: &Meter,
        headers: &HeaderMap,
        body: Bytes,
        usage: Option<Usage>,
    ) -> Result<(), NotKept> {
        let settings = &self.settings;
        if body.len() > settings.largest {
            return Err(NotKept::TooLarge);
        }
        let head = Head {
            usage: usage.map(Into::into),
            ..settings.head(meter, &self.whom, self.began, text.wanted.tags)
        };
        let headers = kept(headers, false, body.len());
        let entry = Arc::new(Entry {
            head,
            headers,
            body,
        });
        settings.put(&text.wanted, entry, text.ticket.clone())
    }
}
