//! What is known of a call at its end, put together.

use std::sync::Arc;

use llm_exchange::{AskedModel, FinishReason, Meter, Said, Verdict};
use tokio::time::Instant;

use super::{Open, boxed};
use crate::{Charge, Entry, Record, RecordId, books::per_token, used::Used};

impl Open {
    pub(super) fn record(&self, verdict: Verdict, used: Used) -> Record {
        let id = RecordId::new();
        let asked = self.call.model();
        let meter = self.meter.as_ref();
        // without an answer it is whoever was asked last
        let last = match meter {
            None => self.call.attempts().last_asked(),
            Some(_) => None,
        };
        let last = last.as_ref();
        let host = meter
            .and_then(Meter::asked_host)
            .or(last.and_then(AskedModel::host));
        let provider = |host: Option<&str>| match host {
            Some(host) => self.books.names.mine().shared(host),
            None => Arc::clone(&self.provider),
        };
        let mut call = {
            let said = meter.map(Meter::said);
            let said = said.as_ref();
            let mut names = self.books.names.mine();
            let served = said.and_then(Said::model);
            let sent = meter.and_then(Meter::asked_model);
            let last = last.map(AskedModel::model);
            let last = last.filter(|model| !model.is_empty());
            let model = sent.or(last).or(asked);
            let model = model.filter(|model| !model.is_empty()).or(served);
            let model = names.shared(model.unwrap_or_default());
            let mut call = Entry::of(id, self.at, model);
            call.model_asked = asked.map(|name| names.shared(name));
            call.model_served = served.map(|name| names.shared(name));
            call.dialect = names.shared(self.call.dialect().as_str());
            let finish = said.and_then(|said| {
                said.finish_reasons()
                    .max_by_key(|one| FinishReason::of(one))
            });
            call.finish = finish.map(|name| names.shared(name));
            let tier = said.and_then(Said::service_tier);
            call.service_tier = tier.map(|name| names.shared(name));
            call.answer_id = said.and_then(Said::id).map(boxed);
            call
        };
        let model = Arc::clone(&call.model);
        call.user = self.user.clone();
        call.provider = provider(host);
        call.is_stream = self.call.is_stream();
        call.is_background = self.is_background;
        call.status = self.status;
        call.verdict = verdict;
        call.from_cache = self.from_cache;
        call.usage = used.usage;
        call.is_estimated = used.is_estimated;
        call.attempts = self.call.attempts().count();
        call.request_id = self.request_id.clone();
        call.provider_request_id = self.provider_request_id.clone();
        call.tags = self.tags.clone().unwrap_or_default();
        let ended = self.ended.as_ref();
        let end = ended.map_or_else(Instant::now, |ended| ended.at);
        call.total = end.saturating_duration_since(self.began);
        if let Some(meter) = meter {
            call.end = meter.end();
            // an error in place of an answer has no content
            let answered = meter.status().is_success();
            let first = meter.first_content().filter(|_| answered);
            call.first_content = first.map(|first| first.saturating_duration_since(self.began));
            if meter.is_stream() {
                let output = ended.and_then(|ended| ended.output);
                let output = output.unwrap_or(used.usage.output());
                call.per_token =
                    first.and_then(|first| per_token(end.saturating_duration_since(first), output));
            }
        }
        let pricing = &self.books.pricing;
        let charge = used.charge(pricing, meter, &model, &call.provider, self.at);
        if self.from_cache.is_some() {
            call.saved = charge.map(|charge| charge.total()).unwrap_or_default();
            call.charge = Some(Charge::default());
        } else {
            call.charge = charge;
        }

        let left_behind = self.call.attempts().left_behind();
        let left_behind = left_behind
            .iter()
            .skip(self.left_before)
            .zip(1..)
            .map(|(left, part)| {
                let used = Used::left_behind(left, &self.call);
                let model = left.model.as_deref().or(asked).unwrap_or_default();
                let meter = left.meter.as_ref();
                let mut attempt = Entry::new(id, self.at, model);
                attempt.part = part;
                attempt.user = call.user.clone();
                attempt.provider = provider(left.host.as_deref());
                attempt.model_asked = call.model_asked.clone();
                let dialect = meter.map_or(self.call.dialect(), Meter::dialect);
                attempt.dialect = self.books.names.mine().shared(dialect.as_str());
                attempt.is_stream = call.is_stream;
                attempt.is_background = call.is_background;
                attempt.status = meter.map_or(0, |meter| meter.status().as_u16());
                attempt.verdict = left.verdict;
                attempt.end = meter.and_then(Meter::end);
                attempt.usage = used.usage;
                attempt.is_estimated = used.is_estimated;
                attempt.charge = used.charge(pricing, meter, model, &attempt.provider, self.at);
                if let Some(meter) = meter {
                    let said = meter.said();
                    let mut names = self.books.names.mine();
                    attempt.model_served = said.model().map(|name| names.shared(name));
                    attempt.answer_id = said.id().map(boxed);
                }
                attempt.tags = call.tags.clone();
                attempt
            });
        let left_behind = left_behind.collect();
        Record::new(call, left_behind)
    }
}
