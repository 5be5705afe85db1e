//! When the record of a call is booked: at the end of its answer's body, or of one that nobody waits for.

use std::sync::Arc;

use http::{Request, Response};
use llm_exchange::{BodyEnd, Bookkeeper, Meter, Observe, OpenCall, Payload, Verdict};
use tokio::time::Instant;

use crate::{books::Books, open::Open};

/// Books a call at the end of its answer's body.
pub struct Settle(Option<Box<Open>>);

impl Settle {
    pub(crate) const fn new(open: Box<Open>) -> Self {
        Self(Some(open))
    }
}

impl Observe for Settle {
    fn meter(&self) -> Option<&Meter> {
        self.0.as_ref()?.meter()
    }

    fn end(&mut self, _: BodyEnd<'_>) {
        let Some(mut open) = self.0.take() else {
            return;
        };
        open.ended();
        let meter = open.meter().cloned();
        let book = move || drop(open);
        match meter {
            // others may read on what this caller asked for, however it ended for him: its record has all of it
            Some(meter) => meter.after_others(book).unwrap_or_else(|book| book()),
            None => book(),
        }
    }
}

impl std::fmt::Debug for Settle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settle").finish_non_exhaustive()
    }
}

impl Bookkeeper for Books {
    fn open(self: Arc<Self>, request: &Request<Payload>) -> Option<Box<dyn OpenCall>> {
        let open = Open::new(&self, request, Instant::now())?;
        Some(open.in_background())
    }
}

impl OpenCall for Open {
    fn sent(&mut self) {
        let place = self.place_now();
        Self::sent(self, place);
    }

    fn answered(&mut self, head: &Response<()>, meter: &Meter) {
        self.head(head);
        Self::answered(self, meter.clone());
    }

    fn failed(&mut self, head: Option<&Response<()>>, verdict: Verdict) {
        if let Some(head) = head {
            self.head(head);
        }
        self.came_to(verdict);
    }
}
