//! The body of a stream that goes on where it broke.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use llm_exchange::{
    AnswerBody, BoxError, Call, Classify, Meter, Standard, Verdict, Watch,
    sse::{Decoder, Encoder},
};

use super::{
    Failover,
    graft::{Graft, joined},
    heard::Heard,
    onward::{Died, Ending, Next, Onward},
    request::Beginning,
    seam::Seam,
};
use crate::body::Remember;

/// The longest event of a stream that can still be gone on with.
const LONGEST_EVENT: usize = 4 << 20;

/// The events of an answer as they come, and, where it breaks off, those of the attempts that go on.
///
/// An event is handed on when all of it is here. Kept are the text so far and the beginning of one
/// event.
pub(crate) struct Joined<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// `None` while the call is sent again, and at the end.
    part: Option<Watch<AnswerBody<R>, Remember>>,
    /// What the part says of itself.
    inner: Meter,
    decoder: Decoder,
    /// Bytes of an event that is not whole.
    begun: usize,
    heard: Heard,
    graft: Option<Graft>,
    /// What layers further out read.
    meter: Arc<OnceLock<Meter>>,
    /// In a lock that is never locked: it need not be `Sync` so.
    onward: Mutex<Box<dyn Onward<R> + Send>>,
    is_going: bool,
    /// Nothing is read any more: it can't be gone on with, and passes.
    passes: bool,
    queue: VecDeque<Result<Frame<Bytes>, BoxError>>,
    /// How the stream ends if it is not gone on with.
    withheld: Vec<Result<Frame<Bytes>, BoxError>>,
}

impl<R> Joined<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// The answer to this call as one that can go on. Its meter is replaced by one of what passes here.
    pub(super) fn around(
        response: Response<Watch<AnswerBody<R>, Remember>>,
        inner: Meter,
        call: &Call,
        settings: Failover,
        onward: Box<dyn Onward<R> + Send>,
    ) -> Response<AnswerBody<Self>> {
        let outer = Arc::new(OnceLock::new());
        let mut response = response;
        // where it was translated no meter is left of it, and it began with its target's all the same
        response.extensions_mut().insert(inner.clone());
        let response = response.map(|part| Self {
            part: Some(part),
            inner,
            decoder: new_decoder(),
            begun: 0,
            heard: Heard::new(call.dialect(), settings.max_text_bytes),
            graft: None,
            meter: Arc::clone(&outer),
            onward: Mutex::new(onward),
            is_going: false,
            passes: false,
            queue: VecDeque::new(),
            withheld: Vec::new(),
        });
        let (meter, response) = Meter::anew(response, call);
        let _ = outer.set(meter);
        response
    }

    fn data(&mut self, data: Bytes) {
        if self.passes {
            self.queue.push_back(Ok(Frame::data(data)));
            return;
        }
        self.begun += data.len();
        self.decoder.push(data);
        let mut out = Vec::new();
        while let Some(Ok(event)) = self.decoder.next_event() {
            self.begun -= event.raw().len();
            let before = out.len();
            match &mut self.graft {
                None => out.push(event),
                Some(graft) => {
                    if graft.event(event, self.heard.names(), &mut out).is_err() {
                        self.say(&out);
                        self.give_up();
                        return;
                    }
                }
            }
            let mut failed = (before..out.len()).filter_map(|at| {
                let error = self.heard.event(&out[at]).err()?;
                Some((at, Ending::of(&error)))
            });
            if let Some((at, ending)) = failed.next() {
                let error = out.split_off(at);
                self.say(&out);
                let rest = self.decoder.finish();
                self.withheld = vec![Ok(Frame::data(
                    [joined(&error), rest.raw().clone()].concat().into(),
                ))];
                if !self.go_on(ending) {
                    // it ends as it would have
                    self.passes = true;
                    self.queue.extend(mem::take(&mut self.withheld));
                }
                return;
            }
        }
        self.say(&out);
        if self.begun > LONGEST_EVENT {
            if self.graft.is_some() {
                // it is no event of the stream that the caller has
                self.release();
                self.give_up();
                return;
            }
            self.passes = true;
            let begun = self.decoder.finish().raw().clone();
            self.queue.push_back(Ok(Frame::data(begun)));
        }
    }

    fn say(&mut self, events: &[llm_exchange::sse::Event]) {
        if !events.is_empty() {
            self.queue.push_back(Ok(Frame::data(joined(events))));
        }
    }

    /// No more comes of a graft: what it still holds goes out.
    fn release(&mut self) {
        let mut out = Vec::new();
        if let Some(graft) = &mut self.graft {
            graft.release(self.heard.names(), &mut out);
        }
        for event in &out {
            let _ = self.heard.event(event);
        }
        self.say(&out);
    }

    /// The part is over, in order or by an error.
    fn over(&mut self, error: Option<BoxError>) {
        let mut said = None;
        if !self.passes {
            self.release();
            let rest = self.decoder.finish().raw().clone();
            said = self.last_event(&rest);
            self.withheld = Vec::new();
            if !rest.is_empty() {
                self.withheld.push(Ok(Frame::data(rest)));
            }
        }
        let broke = error.as_ref().map(|error| Standard.error(error));
        self.withheld.extend(error.map(Err));
        let ending = said.unwrap_or(Ending::Broke(broke.unwrap_or(Verdict::Failed)));
        if self.passes || !self.go_on(ending) {
            self.part = None;
            self.queue.extend(mem::take(&mut self.withheld));
        }
    }

    /// An event may lack its blank line at the end of a body, and be the end of the answer.
    fn last_event(&mut self, rest: &Bytes) -> Option<Ending> {
        let mut decoder = new_decoder();
        decoder.push(rest.clone());
        decoder.push(Bytes::from_static(b"\n\n"));
        while let Some(Ok(event)) = decoder.next_event() {
            let is_whole = event.data().is_some_and(|data| {
                data.starts_with(b"[DONE]")
                    || serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok()
            });
            if is_whole && let Err(error) = self.heard.event(&event) {
                return Some(Ending::of(&error));
            }
        }
        None
    }

    /// Sends the call on from here, if it can be.
    fn go_on(&mut self, ending: Ending) -> bool {
        if self.heard.is_finished() {
            return false;
        }
        let text = match self.heard.text() {
            Ok(text) => text.to_owned(),
            Err(why) => {
                tracing::debug!(why, "a stream is not gone on with");
                return false;
            }
        };
        let tokens = self.meter.get().map_or(0, Meter::output_tokens);
        let died = Died {
            ending,
            meter: self.inner.clone(),
            beginning: Beginning { text, tokens },
        };
        let onward = self
            .onward
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if !onward.begin(died) {
            return false;
        }
        // with its connection, before anything is sent
        self.part = None;
        self.is_going = true;
        if let Some(meter) = self.meter.get() {
            meter.goes_on(None);
        }
        true
    }

    fn goes_on_with(&mut self, next: Next<R>) {
        self.is_going = false;
        self.part = Some(next.part);
        self.inner = next.meter;
        self.decoder = new_decoder();
        self.begun = 0;
        let seam = Seam::after(self.heard.text().unwrap_or_default(), next.echoes);
        self.graft = Some(Graft::new(self.heard.dialect(), seam));
        self.heard.goes_on();
        if let Some(meter) = self.meter.get() {
            meter.goes_on(Some(&next.call));
        }
        if !self.heard.dialect().reads_comments() {
            return;
        }
        let mut mark = format!("continued by {}", next.target);
        if let Some(left_out) = next.left_out {
            // the answer's head, which tells of it, is the first one's
            mark = mark + ", without " + &left_out;
        }
        let mark = mark.replace(char::is_control, " ");
        self.queue.push_back(Ok(Frame::data(
            Encoder::new().comment(mark).event().raw().clone(),
        )));
    }

    /// It ends as it would have ended before.
    fn give_up(&mut self) {
        self.is_going = false;
        self.part = None;
        self.passes = true;
        self.queue.extend(mem::take(&mut self.withheld));
    }
}

fn new_decoder() -> Decoder {
    // what is too long for it is told by the bytes that were begun, and passes
    Decoder::new().max_event_bytes(usize::MAX)
}

impl<R> Body for Joined<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(frame) = this.queue.pop_front() {
                return Poll::Ready(Some(frame));
            }
            if this.is_going {
                let onward = this
                    .onward
                    .get_mut()
                    .unwrap_or_else(PoisonError::into_inner);
                match ready!(onward.poll(cx)) {
                    Some(next) => this.goes_on_with(next),
                    None => this.give_up(),
                }
                continue;
            }
            let Some(part) = &mut this.part else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(part).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.data(data),
                    Err(trailers) => this.queue.push_back(Ok(trailers)),
                },
                Some(Err(error)) => this.over(Some(error)),
                None => this.over(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.part.is_none() && !self.is_going && self.queue.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl<R> fmt::Debug for Joined<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("part", &self.part)
            .field("is_going_on", &self.is_going)
            .finish_non_exhaustive()
    }
}
