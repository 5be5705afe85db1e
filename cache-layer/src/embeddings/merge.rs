//! Putting an answer together of what is known and what came.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Body;
use llm_exchange::{BoxError, FromCache, Payload};
use tower_service::Service;

use super::{
    answer::{Embeddings, Used},
    asked::Asked,
    came::Came,
};
use crate::{
    CacheBody, CacheStatus, Cached, Entry, Key, Store, Wanted, freshness::Use, replay::Replay,
    serve,
};

/// What there is to one text of a call.
pub(super) struct Text<T> {
    pub(super) wanted: Wanted,
    pub(super) ticket: T,
    pub(super) known: Option<Arc<Entry>>,
    /// Past its time.
    pub(super) stale: Option<(Arc<Entry>, Use)>,
    /// The answer to a call that was made, and where in it this text's stands.
    pub(super) came: Option<(Arc<Came>, usize)>,
}

/// Where the embedding of a text is taken from.
#[derive(Clone)]
pub(super) enum Source {
    Known(Arc<Entry>),
    Came(Arc<Came>, usize),
}

impl<T> Text<T> {
    pub(super) const fn new(wanted: Wanted, ticket: T) -> Self {
        Self {
            wanted,
            ticket,
            known: None,
            stale: None,
            came: None,
        }
    }

    pub(super) const fn is_there(&self) -> bool {
        self.known.is_some() || self.came.is_some()
    }

    /// Whether nothing is waited for; an answer past its time only where a new one can be kept.
    pub(super) fn is_served_at_once(&self, writes: bool) -> bool {
        let stale = self.stale.as_ref();
        self.known.is_some()
            || (writes && stale.is_some_and(|(_, good_for)| *good_for == Use::WhileRevalidate))
    }

    fn source(&self) -> Option<Source> {
        let known = self.known.clone().map(Source::Known);
        known.or_else(|| self.came.clone().map(|(came, at)| Source::Came(came, at)))
    }

    /// What there is, past its time or not.
    pub(super) fn or_stale(&self) -> Option<Source> {
        let stale = || self.stale.clone().map(|(entry, _)| Source::Known(entry));
        self.source().or_else(stale)
    }
}

impl Source {
    fn body(&self) -> (&Bytes, usize) {
        match self {
            Self::Known(entry) => (&entry.body, 1),
            Self::Came(came, _) => (&came.body, came.texts),
        }
    }

    const fn place(&self) -> usize {
        match self {
            Self::Known(_) => 0,
            Self::Came(_, at) => *at,
        }
    }
}

impl<S, R, St> Asked<S, St>
where
    S: Service<Request<Payload>, Response = Response<R>>,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    St: Store,
{
    /// The key of the one text that was asked for; of several there is none.
    pub(super) fn key(&self) -> Option<Key> {
        match &self.batch.texts[..] {
            [text] => Some(text.key),
            _ => None,
        }
    }

    /// The answer to the whole call, of which this was asked for and the rest was there. `None`: what
    /// came can't be put together with the rest.
    pub(super) fn merged(
        &self,
        texts: &[Text<St::Ticket>],
        paid: &[Arc<Came>],
    ) -> Option<Response<CacheBody<R>>> {
        let sources: Vec<_> = texts.iter().filter_map(Text::source).collect();
        let Some(newest) = paid.last() else {
            let all_known = texts.iter().all(|text| text.known.is_some());
            let status = if all_known {
                CacheStatus::Hit
            } else {
                CacheStatus::Coalesced
            };
            return self.served(&sources, status);
        };
        // of several calls that were made the tokens are summed up
        let used = match paid {
            [_] => Used::AsSaid,
            _ => Used::Tokens(
                paid.iter()
                    .filter_map(|came| Some(came.read()?.tokens))
                    .sum(),
            ),
        };
        let template = Source::Came(Arc::clone(newest), 0);
        let body = self.put_together(&sources, &template, |_| used)?;
        self.settings.counters.status(CacheStatus::Miss);
        self.saved(&sources, paid.iter().map(|came| came.texts).sum());
        let mut response = whole(body, newest.headers.clone());
        Cached::new(CacheStatus::Miss, self.key()).mark(&mut response);
        Some(response)
    }

    /// An answer for which this call asked for nothing.
    pub(super) fn served(
        &self,
        sources: &[Source],
        status: CacheStatus,
    ) -> Option<Response<CacheBody<R>>> {
        let as_it_is = match (sources, self.batch.is_distinct()) {
            ([Source::Known(entry)], true) => serve::response(entry, &self.call, None),
            _ => None,
        };
        let put = || {
            let body = self.put_together(sources, sources.first()?, Used::Tokens)?;
            let json = HeaderValue::from_static("application/json");
            Some(whole(
                body,
                HeaderMap::from_iter([(header::CONTENT_TYPE, json)]),
            ))
        };
        let mut response = as_it_is.or_else(put)?;
        self.settings.counters.status(status);
        self.saved(sources, 0);
        let ages = sources.iter().filter_map(|source| match source {
            Source::Known(entry) => Some(entry.age(self.now)),
            Source::Came(..) => None,
        });
        let mut cached = Cached::new(status, self.key());
        cached.age = ages.max();
        cached.mark(&mut response);
        match status {
            CacheStatus::Coalesced => FromCache::Shared.mark(&mut response),
            _ => FromCache::Hit.mark(&mut response),
        }
        Some(response)
    }

    /// The embeddings in the order of the call. `used` is told what these texts had cost: of a part
    /// of another's call, its share by number.
    fn put_together(
        &self,
        sources: &[Source],
        template: &Source,
        used: impl Fn(u64) -> Used,
    ) -> Option<Bytes> {
        let mut read: Vec<(*const u8, Embeddings<'_>)> = Vec::new();
        let mut of = Vec::with_capacity(sources.len());
        let mut cost = 0_u64;
        for source in sources {
            let (body, texts) = source.body();
            let there = match source {
                Source::Known(_) => None,
                Source::Came(..) => read.iter().position(|(start, _)| *start == body.as_ptr()),
            };
            let number = match there {
                Some(number) => number,
                None => {
                    read.push((body.as_ptr(), Embeddings::read(body, texts)?));
                    read.len() - 1
                }
            };
            cost = cost.saturating_add(read[number].1.tokens / texts.max(1) as u64);
            of.push((number, source.place()));
        }
        let vectors = self.batch.places.iter().map(|text| {
            let (number, place) = of.get(*text)?;
            read[*number].1.vectors.get(*place)
        });
        let vectors: Vec<_> = vectors.collect::<Option<_>>()?;
        let (body, texts) = template.body();
        Some(Embeddings::read(body, texts)?.with(&vectors, used(cost)))
    }

    fn saved(&self, sources: &[Source], asked: usize) {
        let mut known = 0;
        for source in sources {
            if let Source::Known(entry) = source {
                self.settings.counters.saved(entry, &self.settings.prices);
                known += 1;
            }
        }
        self.settings.counters.texts(known, asked);
    }
}

impl Came {
    pub(super) fn read(&self) -> Option<Embeddings<'_>> {
        Embeddings::read(&self.body, self.texts)
    }
}

fn whole<R>(body: Bytes, mut headers: HeaderMap) -> Response<CacheBody<R>> {
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    headers.remove(header::TRANSFER_ENCODING);
    let mut response = Response::new(CacheBody::known(Replay::whole(body)));
    *response.headers_mut() = headers;
    response
}
