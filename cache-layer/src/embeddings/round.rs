//! Who asks for which texts.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{
    BoxError, Call, Dialect, ErrorAnswer, Meter, Payload, Verdict, ask_for_plain_text,
};
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
    flight::{
        Each, Failure, Flight, FlightSettings, Outcome, Place, Reader, Registration, Sending,
    },
    takeoff::model_asked,
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

/// The whole answer of one flight.
pub(super) struct Came {
    pub(super) headers: HeaderMap,
    pub(super) meter: Meter,
    pub(super) body: Bytes,
    /// How many texts it answers.
    pub(super) texts: usize,
}

/// Reads a flight to its end. With a failure: that of its own call, for who began it.
pub(super) async fn came<S, R>(
    flight: Arc<Flight<S, R>>,
    leads: bool,
    texts: usize,
) -> Result<Came, Option<Failure<S::Error, R>>>
where
    S: Service<Request<Payload>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
{
    let seat = flight.join(leads);
    let (number, leads) = seat.place();
    let (head, meter) = match poll_fn(|cx| flight.poll_head(number, leads, cx)).await {
        Outcome::Answer(head, meter) => (head, meter),
        Outcome::Failed(failure) => return Err(Some(failure)),
        Outcome::OnesOwn => return Err(None),
    };
    let mut reader = Reader::new(seat, meter.clone(), head.headers());
    let mut body = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut reader).poll_frame(cx)).await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) if body.len() + data.len() <= LARGEST => body.extend_from_slice(&data),
            // trailers
            Ok(Err(_)) => {}
            _ => return Err(leads.then(unmerged)),
        }
    }
    let headers = head.into_parts().0.headers;
    Ok(Came {
        headers,
        meter,
        body: body.freeze(),
        texts,
    })
}

/// What was asked for did not come to its end, or is too large to be put together with the rest.
pub(super) fn unmerged<E, R>() -> Failure<E, R> {
    let message =
        "the provider's answer broke off or is too large to be put together with what is known";
    let answer = ErrorAnswer::new(StatusCode::BAD_GATEWAY, "embeddings_incomplete", message);
    let answer = answer.into_response(Some(Dialect::OpenAiEmbeddings));
    Failure::Answer(answer, Verdict::Failed)
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
            let flight = self.begin(texts, &missing, Vec::new());
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
                let rest: Vec<_> = rest.iter().map(|number| missing[*number]).collect();
                self.begin(texts, &rest, registrations)
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
        texts: &[Text<St::Ticket>],
        rest: &[usize],
        registrations: Vec<Registration>,
    ) -> Arc<Flight<S, R>> {
        let settings = &self.settings;
        let keeping = Keeping {
            settings: Arc::clone(settings),
            texts: rest
                .iter()
                .map(|text| self.kept(&texts[*text], *text))
                .collect(),
            call: Arc::clone(&self.call),
            asked_model: model_asked(&self.request, &self.call),
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
            self.service.clone(),
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

    fn kept(&self, text: &Text<St::Ticket>, number: usize) -> Kept<St::Ticket> {
        Kept {
            wanted: text.wanted,
            ticket: text.ticket.clone(),
            weight: self.batch.texts[number].at.len() as u64,
        }
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
