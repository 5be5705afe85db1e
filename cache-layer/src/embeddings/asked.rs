//! A call for embeddings, from the store to the answer.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Call, Meter, Payload, Verdict};
use tower_service::Service;

use super::{
    answer::Embeddings,
    came::{Came, Stopped, came, unmerged},
    merge::Text,
    round::Round,
    texts::Batch,
};
use crate::{
    CacheBody, CacheStatus, Entry, Store,
    control::Control,
    flight::{Flight, Outcome},
    freshness::Use,
    land::{answered, failed, not_cached},
    revalidate,
    settings::Settings,
    takeoff::MOST_FOLLOWED,
    together::all,
};

/// A call for embeddings that is answered text by text.
pub(crate) struct Asked<S, St: Store> {
    pub(crate) settings: Arc<Settings<St>>,
    /// Of which each call that is made gets a clone.
    pub(crate) service: S,
    pub(crate) request: Request<Payload>,
    pub(crate) call: Arc<Call>,
    pub(crate) control: Control,
    pub(crate) batch: Arc<Batch>,
    /// By the clock of the entries.
    pub(crate) now: u64,
}

type Answer<S, R> = Result<Response<CacheBody<R>>, <S as Service<Request<Payload>>>::Error>;

impl<S, R, St> Asked<S, St>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
    St: Store,
{
    /// Looks for each text, asks for those that are not known, and puts the answer together.
    pub(crate) async fn answer(mut self) -> Answer<S, R> {
        let mut texts = self.look_up().await;
        let writes = self.settings.writes;
        if texts.iter().all(|text| text.is_served_at_once(writes))
            && let Some(answer) = self.known(&mut texts)
        {
            return Ok(answer);
        }
        if self.control.only_if_cached {
            return Ok(not_cached(&self.settings, &self.call));
        }
        // what this call itself asked for
        let mut paid = Vec::new();
        for followed in 0.. {
            if texts.iter().all(Text::is_there) {
                break;
            }
            let round = self.join(&mut texts, followed >= MOST_FOLLOWED);
            if let Some((flight, leads)) = round.straight(&self.batch) {
                match self.pass(&flight, leads, &texts).await {
                    Some(answer) => return answer,
                    None => continue,
                }
            }
            match self.fly(round, &mut texts, &mut paid).await {
                Ok(()) => {}
                Err(Stopped::Failed(failure)) => {
                    self.settings.counters.status(CacheStatus::Miss);
                    self.leave_behind(paid.iter().map(|came| &came.meter));
                    return failed(failure, || self.stale(&texts), None);
                }
                Err(Stopped::TooLarge(meter)) => {
                    let before = paid.iter().map(|came| &came.meter);
                    self.leave_behind(before.chain([&meter]));
                    return self.as_it_came(&texts).await;
                }
            }
        }
        match self.merged(&texts, &paid) {
            Some(answer) => Ok(answer),
            None => {
                self.leave_behind(paid.iter().map(|came| &came.meter));
                self.as_it_came(&texts).await
            }
        }
    }

    /// What was paid for is not in the answer, and not lost to whoever keeps books further out.
    fn leave_behind<'m>(&self, paid: impl Iterator<Item = &'m Meter>) {
        for meter in paid {
            let meter = meter.clone();
            let attempts = self.call.attempts();
            attempts.leave_behind(&self.call, Verdict::Ok, Some(meter));
        }
    }

    /// The provider's answers can't be taken apart, or are too large to be held: the call is made as it would be without a cache.
    async fn as_it_came(&mut self, texts: &[Text<St::Ticket>]) -> Answer<S, R> {
        let flight = self.unkept();
        match self.pass(&flight, true, texts).await {
            Some(answer) => answer,
            None => failed(unmerged(), || None, self.key()),
        }
    }

    // What waits borrows the call mutably, as services need not be `Sync`.

    /// What the store has of each text.
    async fn look_up(&mut self) -> Vec<Text<St::Ticket>> {
        let wanted: Vec<_> = self.batch.wanted(self.now).collect();
        let mut found = self.settings.store.get_all(&wanted).await.into_iter();
        let reads = self.settings.reads && !self.control.no_cache;
        let texts = wanted.into_iter().map(|wanted| {
            let found = found.next().unwrap_or_default();
            let mut text = Text::new(wanted, found.ticket);
            if let Some(entry) = found.entry.filter(|_| reads) {
                self.judge(&mut text, entry);
            }
            text
        });
        texts.collect()
    }

    fn judge(&self, text: &mut Text<St::Ticket>, entry: Arc<Entry>) {
        // whatever a store says
        if Embeddings::read(&entry.body, 1).is_none() {
            return;
        }
        match self.good_for(&entry) {
            Use::Fresh => text.known = Some(entry),
            Use::Nothing => {}
            good_for => text.stale = Some((entry, good_for)),
        }
    }

    fn good_for(&self, entry: &Entry) -> Use {
        let age = entry.age(self.now);
        let freshness = &self.settings.freshness;
        freshness.judge(age, entry.ttl(), self.control.max_age)
    }

    pub(super) fn is_fresh(&self, entry: &Entry) -> bool {
        self.good_for(entry) == Use::Fresh && Embeddings::read(&entry.body, 1).is_some()
    }

    /// All of it is known, some of it perhaps past its time.
    fn known(&mut self, texts: &mut [Text<St::Ticket>]) -> Option<Response<CacheBody<R>>> {
        let is_fresh = texts.iter().all(|text| text.known.is_some());
        if is_fresh {
            return self.merged(texts, &[]);
        }
        let answer = self.stale(texts);
        if self.control.only_if_cached {
            return answer;
        }
        let aside = Call::set_aside(&mut self.request);
        let round = self.join(texts, false);
        if let Some(own) = round.own {
            revalidate::spawn(own.flight, aside);
        }
        answer
    }

    /// Where an answer past its time will do for each text that is not there.
    fn stale(&self, texts: &[Text<St::Ticket>]) -> Option<Response<CacheBody<R>>> {
        let texts: Option<Vec<_>> = texts.iter().map(Text::or_stale).collect();
        self.served(&texts?, CacheStatus::Stale)
    }

    /// Hands on the answer of one flight that is all of this call's. `None`: it failed, and was
    /// another's.
    async fn pass(
        &mut self,
        flight: &Arc<Flight<S, R>>,
        leads: bool,
        texts: &[Text<St::Ticket>],
    ) -> Option<Answer<S, R>> {
        let seat = flight.join(leads);
        let (number, leads) = seat.place();
        let outcome = poll_fn(|cx| flight.poll_head(number, leads, cx)).await;
        let status = if leads {
            CacheStatus::Miss
        } else {
            CacheStatus::Coalesced
        };
        Some(match outcome {
            Outcome::OnesOwn { .. } => return None,
            Outcome::Answer(head, meter) => {
                self.settings.counters.status(status);
                self.settings
                    .counters
                    .texts(0, if leads { texts.len() } else { 0 });
                Ok(answered(head, meter, seat, false, self.key()))
            }
            Outcome::Failed(failure) => {
                self.settings.counters.status(status);
                failed(failure, || self.stale(texts), self.key())
            }
        })
    }

    /// Reads the flights of a round to their ends. What failed and was another's is missing after it.
    async fn fly(
        &mut self,
        round: Round<Flight<S, R>>,
        texts: &mut [Text<St::Ticket>],
        paid: &mut Vec<Arc<Came>>,
    ) -> Result<(), Stopped<S::Error, R>> {
        let own = round.own.is_some();
        let is_own = |number| own && number == 0;
        let parts: Vec<_> = round.parts().collect();
        let calls = parts.iter().enumerate().map(|(number, part)| {
            Box::pin(came(Arc::clone(&part.flight), is_own(number), part.of))
        });
        // a failure of its own is this call's answer, whatever comes of the others
        let ended = all(calls.collect(), |number, ended| {
            is_own(number) && ended.is_err()
        })
        .await;
        for (number, (ended, part)) in ended.into_iter().zip(parts).enumerate() {
            match ended {
                Some(Ok(came)) => {
                    let came = Arc::new(came);
                    if is_own(number) {
                        paid.push(Arc::clone(&came));
                    } else if came.read().is_none() {
                        continue;
                    }
                    for (text, place) in part.places {
                        texts[text].came = Some((Arc::clone(&came), place));
                    }
                }
                Some(Err(Some(stopped))) if is_own(number) => return Err(stopped),
                _ => {}
            }
        }
        Ok(())
    }
}
