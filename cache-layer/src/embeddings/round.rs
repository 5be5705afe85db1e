//! Who asks for which texts.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Call, Payload, ask_for_plain_text};
use tokio::time::Instant;
use tower_service::Service;

use super::{
    LARGEST,
    asked::Asked,
    keep::{Keeping, Kept},
    merge::Text,
    texts::Batch,
};
use crate::{
    Store,
    flight::{Each, Flight, FlightSettings, Place, Registration, Sending},
    rules::Whom,
};

/// The flights that one round of a call takes part in.
pub(super) struct Round<F> {
    /// The one that it began.
    pub(super) own: Option<Part<F>>,
    others: Vec<Part<F>>,
}

impl<F> Round<F> {
    /// The one flight whose answer is that of the whole call as it is, and whether this call began it.
    pub(super) fn straight(&self, batch: &Batch) -> Option<(Arc<F>, bool)> {
        let (part, leads) = match (&self.own, &self.others[..]) {
            (Some(own), []) => (own, true),
            (None, [other]) => (other, false),
            _ => return None,
        };
        let all = batch.texts.len();
        let is_all = part.of == all && part.places.len() == all;
        let in_order = part.places.iter().all(|(text, at)| text == at);
        (batch.is_distinct() && is_all && in_order).then(|| (Arc::clone(&part.flight), leads))
    }

    /// All of them, its own first.
    pub(super) fn parts(self) -> impl Iterator<Item = Part<F>> {
        self.own.into_iter().chain(self.others)
    }
}

/// What a flight answers of a call.
pub(super) struct Part<F> {
    pub(super) flight: Arc<F>,
    /// How many texts the flight asks for.
    pub(super) of: usize,
    /// Texts of the call, and where in the flight's answer each stands.
    pub(super) places: Vec<(usize, usize)>,
}

impl<F> Part<F> {
    /// A flight that asks for these texts.
    fn own(flight: Arc<F>, texts: Vec<usize>) -> Self {
        Self {
            flight,
            of: texts.len(),
            places: texts
                .into_iter()
                .enumerate()
                .map(|(at, text)| (text, at))
                .collect(),
        }
    }
}

impl<S, R, St> Asked<S, St>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
    St: Store,
{
    /// Joins the flights that ask for texts which are not there, and begins one for the rest.
    pub(super) fn join(
        &self,
        texts: &mut [Text<St::Ticket>],
        followed_enough: bool,
    ) -> Round<Flight<S, R>> {
        let missing: Vec<_> = (0..texts.len())
            .filter(|text| !texts[*text].is_there())
            .collect();
        let settings = &self.settings;
        let shares = settings.reads && settings.writes && !self.control.no_cache;
        if !shares || followed_enough {
            let kept = self.kept(texts, &missing);
            let flight = self.begin(self.service.clone(), kept, &missing, Vec::new());
            return Round {
                own: Some(Part::own(flight, missing)),
                others: Vec::new(),
            };
        }
        let keys: Vec<_> = missing
            .iter()
            .map(|text| (texts[*text].wanted.key, false))
            .collect();
        let mut known = Vec::new();
        // the app's code, which is not run with the flights locked
        let service = self.service.clone();
        let mut kept: Vec<_> = self.kept(texts, &missing).into_iter().map(Some).collect();
        let (each, own) = settings.flights.join_each(
            &keys,
            Flight::admits,
            |number| {
                // an equal one may have ended between the lookup and this
                let text = &texts[missing[number]];
                let entry = settings.store.get_now(&text.wanted);
                let entry = entry.filter(|entry| self.is_fresh(entry));
                let is_known = entry.is_some();
                known.extend(entry.map(|entry| (missing[number], entry)));
                is_known
            },
            |rest, registrations| {
                let kept = rest.iter().filter_map(|number| kept[*number].take());
                let kept = kept.collect();
                let rest: Vec<_> = rest.iter().map(|number| missing[*number]).collect();
                self.begin(service, kept, &rest, registrations)
            },
        );
        let (mut rest, mut others) = (Vec::new(), Vec::<Part<Flight<S, R>>>::new());
        for (each, text) in each.into_iter().zip(missing.iter().copied()) {
            match each {
                Each::Begun => rest.push(text),
                Each::Known => {}
                Each::There(flight, Place { at, of }) => {
                    let mut parts = others.iter_mut();
                    match parts.find(|part| Arc::ptr_eq(&part.flight, &flight)) {
                        Some(part) => part.places.push((text, at)),
                        None => others.push(Part {
                            flight,
                            of,
                            places: vec![(text, at)],
                        }),
                    }
                }
            }
        }
        for (text, entry) in known {
            texts[text].known = Some(entry);
        }
        Round {
            own: own.map(|flight| Part::own(flight, rest)),
            others,
        }
    }

    /// A flight that asks for these texts; nothing is sent yet.
    fn begin(
        &self,
        service: S,
        kept: Vec<Kept<St::Ticket>>,
        rest: &[usize],
        registrations: Vec<Registration>,
    ) -> Arc<Flight<S, R>> {
        let settings = &self.settings;
        let keeping = Keeping {
            settings: Arc::clone(settings),
            texts: kept,
            call: Arc::clone(&self.call),
            whom: Whom::asked(&self.request, &self.call),
            began: Instant::now(),
        };
        let on_end = settings.writes.then(|| {
            Box::new(move |headers: &_, meter: &_, body| keeping.end(headers, meter, body)) as _
        });
        let of_flights = FlightSettings {
            largest: LARGEST,
            ..settings.of_flights()
        };
        Flight::new(
            service,
            self.sending(rest),
            Arc::clone(&self.call),
            false,
            of_flights,
            Arc::clone(&settings.flights),
            registrations,
            on_end,
        )
    }

    /// A flight of the call as it came, of which nothing is kept.
    pub(super) fn unkept(&self) -> Arc<Flight<S, R>> {
        let request = copy(&self.request);
        Flight::new(
            self.service.clone(),
            Sending::Made(Box::new(|| request)),
            Arc::clone(&self.call),
            false,
            self.settings.of_flights(),
            Arc::clone(&self.settings.flights),
            Vec::new(),
            None,
        )
    }

    fn kept(&self, texts: &[Text<St::Ticket>], some: &[usize]) -> Vec<Kept<St::Ticket>> {
        let kept = some.iter().map(|number| Kept {
            wanted: texts[*number].wanted,
            ticket: texts[*number].ticket.clone(),
            weight: self.batch.texts[*number].at.len() as u64,
        });
        kept.collect()
    }

    fn sending(&self, rest: &[usize]) -> Sending {
        let is_whole = self.batch.is_distinct() && rest.len() == self.batch.texts.len();
        match (copy(&self.request), is_whole) {
            (Some(request), true) => Sending::This(request),
            (request, _) => {
                let (batch, rest) = (Arc::clone(&self.batch), rest.to_vec());
                Sending::Made(Box::new(move || {
                    let mut request = request?;
                    let list = batch.list(request.body().whole()?, &rest)?;
                    Call::set_parameter(&mut request, "input", &list).ok()?;
                    Some(request)
                }))
            }
        }
    }
}

/// The request once more, to be sent.
fn copy(request: &Request<Payload>) -> Option<Request<Payload>> {
    let mut copy = Request::new(request.body().try_clone()?);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    ask_for_plain_text(copy.headers_mut());
    Some(copy)
}
