use std::{fmt, sync::Arc};

use http::{HeaderMap, Request};

use crate::{Call, Payload, Room};

/// An LLM call that was read and still stands where its layer got it: see
/// [`Payload::already_read`].
pub struct InPlace<'a> {
    /// There is one, and its facts were read.
    place: &'a mut Option<Request<Payload>>,
}

const THERE: &str = "a request is there until it is taken";

impl<'a> InPlace<'a> {
    /// The request, if it is an LLM call that was read.
    #[inline]
    pub fn of(place: &'a mut Option<Request<Payload>>) -> Option<Self> {
        Call::of(place.as_ref()?)?;
        Some(Self { place })
    }

    /// The request.
    #[inline]
    #[must_use]
    pub fn request(&self) -> &Request<Payload> {
        self.place.as_ref().expect(THERE)
    }

    /// Its headers, of which no fact of the call is read.
    #[inline]
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.place.as_mut().expect(THERE).headers_mut()
    }

    /// What it asks for.
    #[inline]
    #[must_use]
    pub fn call(&self) -> &Arc<Call> {
        self.request().body().call().expect(THERE)
    }

    /// Takes it out of its place, to send it on.
    #[inline]
    #[must_use]
    pub fn take(self) -> Request<Payload> {
        self.place.take().expect(THERE)
    }

    /// Drops it, as it is not sent; what it leaves is the room for an answer.
    #[must_use]
    pub fn into_room(self) -> Room {
        let room = self.place.as_mut().map_or_else(Room::default, Room::of);
        *self.place = None;
        room
    }
}

impl fmt::Debug for InPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InPlace").field(self.call()).finish()
    }
}
