//! Calls that a layer makes by itself, and nobody waits for.

use std::{fmt, sync::Arc};

use http::{Request, Response};

use crate::{Attempts, BodyEnd, Call, Meter, Observe, Payload, Verdict};

/// Keeps books of the calls that pass it, and is told of those that a layer further in makes by itself, such
/// as a cache that gets a new answer while it serves an old one: so nothing that is spent is in no book.
///
/// Who keeps books says so for each call ([`Attempts::keep_books`]).
pub trait Bookkeeper: Send + Sync {
    /// A layer is about to send this request by itself, on behalf of the call that passed here.
    /// `None`: it is not of interest.
    fn open(self: Arc<Self>, request: &Request<Payload>) -> Option<Box<dyn OpenCall>>;
}

/// A call that nobody waits for, as whoever keeps books hears of it. Dropped, it is over.
pub trait OpenCall: Send {
    /// It is sent. Without this no call was made.
    fn sent(&mut self);

    /// The answer's head came; the rest is in the meter.
    fn answered(&mut self, head: &Response<()>, meter: &Meter);

    /// It came to nothing, with the head of the answer if there is one.
    fn failed(&mut self, head: Option<&Response<()>>, verdict: Verdict);
}

/// A call that a layer makes by itself, told to whoever keeps books. It is over when this is dropped, or
/// when the body ends that it observes, for [all who read it](Meter::after_others).
pub struct Aside {
    open: Option<Box<dyn OpenCall>>,
    meter: Option<Meter>,
}

impl Call {
    /// Makes of a request one that is sent by a layer itself, whatever becomes of the caller: with an
    /// allowance of its own, so that neither is told of the other's attempts, and the caller's deadline
    /// does not end it. To be called before it is sent.
    pub fn set_aside(request: &mut Request<Payload>) -> Aside {
        let mut aside = Aside {
            open: None,
            meter: None,
        };
        let Some(call) = Self::of(request) else {
            return aside;
        };
        let keeper = call.attempts().bookkeeper().cloned();
        let attempts = Attempts::default();
        if let Some(keeper) = &keeper {
            attempts.keep_books(Arc::clone(keeper));
        }
        let call = Self::clone(call).with(attempts);
        request.body_mut().call_is(call);
        aside.open = keeper.and_then(|keeper| keeper.open(request));
        aside
    }
}

impl Aside {
    /// It is sent.
    pub fn sent(&mut self) {
        if let Some(open) = &mut self.open {
            open.sent();
        }
    }

    /// The answer's head came. The body is to be watched to its end with this as its observer.
    pub fn answered(&mut self, head: &Response<()>, meter: &Meter) {
        if let Some(open) = &mut self.open {
            open.answered(head, meter);
            self.meter = Some(meter.clone());
        }
    }

    /// It came to nothing.
    pub fn failed(mut self, head: Option<&Response<()>>, verdict: Verdict) {
        if let Some(mut open) = self.open.take() {
            open.failed(head, verdict);
        }
    }
}

impl Observe for Aside {
    fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    fn end(&mut self, _: BodyEnd<'_>) {
        let Some(open) = self.open.take() else {
            return;
        };
        let over = move || drop(open);
        match &self.meter {
            // others may read on what it asked for
            Some(meter) => meter.after_others(over).unwrap_or_else(|over| over()),
            None => over(),
        }
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside")
            .field("kept", &self.open.is_some())
            .finish_non_exhaustive()
    }
}
