//! What an answer has said so far, read once for all layers.

mod answer_scan;
mod asked;
mod end;
mod offsets;
mod reached;
mod reading;
mod repeats;
mod said;
mod scan;
mod spent;
mod sse_scan;
mod stream_scan;
mod template;
mod usage_hidden;

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use http::{Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use self::asked::Asked;
pub use self::{
    end::{Cut, End, FinishReason},
    reached::Reached,
    said::Said,
    usage_hidden::UsageHidden,
};
pub(crate) use self::{
    offsets::Hidden,
    reached::{Mark, Marks, Open},
    reading::{Reading, StreamEvent, UsageParts},
    scan::{Format, Scan, is_error, is_grpc},
    template::Holes,
};
use crate::{
    AnswerBody, BodyEnd, BoxError, Call, Classify, Dialect, Framing, ProviderError, Standard,
    Tokens, Usage, Verdict,
};

/// What an answer has said so far, and in the end how it ended: a handle, cheap to clone, that any
/// number of layers share.
///
/// The answer is read **once**, by the [`AnswerBody`] of the layer furthest in that needs it, as it
/// passes; the meter travels in the response's extensions, where layers further out find it with
/// [`Meter::attach`]. Of a stream every event is looked at: one that differs from the one before only
/// in its text costs a comparison, another one typed pass over its JSON. An unstreamed answer is
/// parsed at its end; of one over 1 MiB the last 64 KiB are searched for the usage.
///
/// What is known is of the bytes that came from upstream. A layer that holds bytes back knows more
/// than its caller has seen.
#[derive(Clone)]
pub struct Meter(Arc<Shared>, Option<Arc<Ending>>);

/// An end of its own, of one of several readers of one answer.
#[derive(Default)]
struct Ending {
    cut: OnceLock<Cut>,
    end: OnceLock<End>,
}

/// Written by one scan, read by every layer. Each value stands alone, so relaxed order is enough.
struct Shared {
    dialect: Dialect,
    asked: Asked,
    status: StatusCode,
    is_stream: bool,
    framing: Option<Framing>,
    began: Instant,
    first_content: OnceLock<Instant>,
    /// content events so far
    contents: AtomicU64,
    output: AtomicU64,
    /// bytes scanned, and up to where they are whole events
    scanned: AtomicU64,
    boundary: AtomicU64,
    events: AtomicU64,
    repeats: AtomicU64,
    /// an end that the provider wrote: a finish reason for each choice, the terminator, an error
    over: AtomicBool,
    reading: Mutex<Reading>,
    ending: Ending,
}

impl Meter {
    fn new(
        status: StatusCode,
        is_stream: bool,
        framing: Option<Framing>,
        call: &Call,
        began: Instant,
    ) -> Self {
        let shared = Shared {
            dialect: call.dialect(),
            asked: Asked::of(call),
            status,
            is_stream,
            framing,
            began,
            first_content: OnceLock::new(),
            contents: AtomicU64::new(0),
            output: AtomicU64::new(0),
            scanned: AtomicU64::new(0),
            boundary: AtomicU64::new(0),
            events: AtomicU64::new(0),
            repeats: AtomicU64::new(0),
            over: AtomicBool::new(false),
            reading: Mutex::default(),
            ending: Ending::default(),
        };
        Self(Arc::new(shared), None)
    }

    /// The same readings for one of several readers that share one answer: its end and its cut are
    /// this reader's alone, so that one who leaves ends nothing for the others.
    #[must_use]
    pub fn for_reader(&self) -> Self {
        Self(Arc::clone(&self.0), Some(Arc::default()))
    }

    /// Whether both read the same answer.
    #[must_use]
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The meter of an answer that a layer further in reads already.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<&Self> {
        response.extensions().get()
    }

    /// The meter of an answer: the one that reads it already, or a new one that reads it from here.
    ///
    /// The head is to be as it came from upstream. Nothing is waited for.
    pub fn attach<R>(response: Response<R>, call: &Call) -> (Self, Response<AnswerBody<R>>)
    where
        R: Body,
    {
        if let Some(meter) = Self::of(&response) {
            return (meter.clone(), response.map(AnswerBody::inner));
        }
        Self::read(response, call, Instant::now())
    }

    fn read<R>(
        response: Response<R>,
        call: &Call,
        began: Instant,
    ) -> (Self, Response<AnswerBody<R>>)
    where
        R: Body,
    {
        let (mut parts, body) = response.into_parts();
        let scan = Scan::new(&parts, call, began);
        let meter = scan.meter().clone();
        parts.extensions.insert(meter.clone());
        let body = AnswerBody::scanned(body, scan);
        (meter, Response::from_parts(parts, body))
    }

    /// The wire format of the answer.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// The model that was asked for in the call that this is the answer to, which is not the caller's
    /// where a layer further in asked another one.
    #[must_use]
    pub fn asked_model(&self) -> Option<&str> {
        self.0.asked.last().model.as_deref()
    }

    /// The status of the answer's head.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Whether the answer is a stream of events.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.0.is_stream
    }

    /// How its events are told apart, if it is read event by event. A gRPC answer is, streamed or not.
    #[must_use]
    pub fn framing(&self) -> Option<Framing> {
        self.0.framing
    }

    /// When the answer's head came.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.0.began
    }

    /// When the first content came: text, reasoning or a tool call; of an unstreamed answer its
    /// first bytes. Keep-alives, roles and protocol frames are no content.
    #[must_use]
    pub fn first_content(&self) -> Option<Instant> {
        self.0.first_content.get().copied()
    }

    /// How many pieces of content came so far, for a layer that wants to know whether there was
    /// progress.
    #[must_use]
    pub fn contents(&self) -> u64 {
        self.0.contents.load(Relaxed)
    }

    /// The tokens so far: the provider's numbers where it gave them, else estimates.
    ///
    /// Before the provider's final usage `output` is never less than the estimate of the text that
    /// passed, nor than the provider's running count.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.reading().tokens(self.0.asked.last().estimated_input)
    }

    /// [`tokens`](Self::tokens)`().output`, without a lock: for every frame. Where the stream
    /// [went on](Self::goes_on) with another attempt, of all of it.
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.0.output.load(Relaxed)
    }

    /// An estimate of the tokens of the text that passed, whatever the provider says: by the two of
    /// many answers it is learnt how far estimates of a model's answers are off.
    #[must_use]
    pub fn text_tokens(&self) -> u64 {
        self.reading().text_tokens()
    }

    /// The provider's own usage, as far as it gave it. `None`: none so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.reading().usage()
    }

    /// The usage apart, for each part of the work where there was more than one: a compaction, an
    /// adviser, another model that took over (Anthropic's `iterations`). Each has the model that it
    /// was of, `None` where that is the answer's own; all together are [`usage`](Self::usage).
    /// Empty: it was one piece of work. At most 64 parts are told apart.
    #[must_use]
    pub fn usage_parts(&self) -> Vec<(Option<String>, Usage)> {
        let reading = self.reading();
        let parts = reading.usage_parts();
        parts
            .map(|(model, usage)| (model.as_deref().map(str::to_owned), *usage))
            .collect()
    }

    /// What the answer has said of itself so far, for who wants to know several things: read at once
    /// and without a copy.
    #[must_use]
    pub fn said(&self) -> Said<'_> {
        Said(self.reading())
    }

    /// The model as the answer names it, which may be a snapshot of the one that was asked for.
    #[must_use]
    pub fn model(&self) -> Option<String> {
        self.reading().model.as_deref().map(str::to_owned)
    }

    /// The provider's id of the answer.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        self.reading().id.as_deref().map(str::to_owned)
    }

    /// The service tier that the answer says was used. It, not the one asked for, sets the price.
    #[must_use]
    pub fn service_tier(&self) -> Option<String> {
        self.reading().tier.as_deref().map(str::to_owned)
    }

    /// The speed at which the answer says it was made (Anthropic: `fast`); it sets the price too.
    #[must_use]
    pub fn speed(&self) -> Option<String> {
        self.reading().speed.as_deref().map(str::to_owned)
    }

    /// Where the answer says it was made (Anthropic's `inference_geo`: `us`); it sets the price too.
    #[must_use]
    pub fn geo(&self) -> Option<String> {
        self.reading().geo.as_deref().map(str::to_owned)
    }

    /// Why the answer ended, as the provider writes it, for each choice in the order of their
    /// indexes. Empty: no choice has ended yet.
    #[must_use]
    pub fn finish_reasons(&self) -> Vec<String> {
        self.reading().finishes().map(str::to_owned).collect()
    }

    /// What the finish reasons mean together: the worst of them. `None`: no choice has ended yet.
    #[must_use]
    pub fn finish(&self) -> Option<FinishReason> {
        self.reading().finishes().map(FinishReason::of).max()
    }

    /// The provider's error: in the stream, or the body of an error answer.
    #[must_use]
    pub fn error(&self) -> Option<Arc<ProviderError>> {
        self.reading().error.clone()
    }

    /// Whether the provider said that the answer is over: a finish reason for each choice, the
    /// terminator, or an error. Bytes may still follow.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.over.load(Relaxed)
    }

    /// Whether all the proof came that the protocol gives of a whole answer. The body may still go on,
    /// or break: the answer is whole all the same.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let reading = self.reading();
        reading.whole(self.0.dialect, self.0.is_stream) == End::Complete
    }

    /// How many events of a stream came so far; comments are none.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.0.events.load(Relaxed)
    }

    /// How many of a stream's last pieces of content were the same text, one after the other: a model
    /// in a loop says the same for ever. A text over 1 KiB counts as none.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.0.repeats.load(Relaxed)
    }

    /// How many bytes of the answer's body were read so far.
    #[must_use]
    pub fn scanned(&self) -> u64 {
        self.0.scanned.load(Relaxed)
    }

    /// Up to which byte of the body [`scanned`](Self::scanned) is whole events. Behind it lies the
    /// beginning of one.
    #[must_use]
    pub fn boundary(&self) -> u64 {
        self.0.boundary.load(Relaxed)
    }

    /// Where in the bytes [`scanned`](Self::scanned) events stand that are nothing but the usage, as
    /// OpenAI sends it to who asks for it: what [`UsageHidden`] takes out.
    #[must_use]
    pub fn usage_events(&self) -> Vec<Range<u64>> {
        self.reading().usage_only.ranges().to_vec()
    }

    /// How the answer ended. `None`: it has not.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.ending().end.get().copied()
    }

    /// What the answer came to; before its end, what it has come to so far.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let error = self.error();
        let verdict = Verdict::of(self.0.status, error.as_deref());
        match self.end() {
            _ if verdict != Verdict::Ok => verdict,
            None | Some(End::Complete | End::Unreadable | End::Cut(Cut::Limit)) => Verdict::Ok,
            Some(End::Truncated | End::Broken) => Verdict::Failed,
            Some(End::TimedOut | End::Cut(Cut::Clock)) => Verdict::TimedOut,
            Some(End::Dropped) => Verdict::CallerGone,
            Some(End::Cut(Cut::Outrun)) => Verdict::Outrun,
            Some(End::Errored | End::Cut(Cut::Repeating)) => Verdict::Failed,
        }
    }

    /// Says that a layer of ours ends the answer here; to be called before it drops the body. What
    /// comes later is not the caller's doing.
    pub fn cut(&self, why: Cut) {
        let _ = self.ending().cut.set(why);
    }

    /// Notes the end that a body further out saw. The first end stays.
    pub(crate) fn note(&self, end: &BodyEnd<'_>) {
        if self.end().is_some() {
            return;
        }
        let end = match end {
            BodyEnd::Whole => self.whole(),
            BodyEnd::Failed(error) => broken(error),
            BodyEnd::Dropped => self.dropped(),
        };
        self.set_end(end);
    }

    fn whole(&self) -> End {
        if let Some(cut) = self.ending().cut.get() {
            return End::Cut(*cut);
        }
        self.reading().whole(self.0.dialect, self.0.is_stream)
    }

    fn dropped(&self) -> End {
        let cut = self.ending().cut.get();
        cut.map_or(End::Dropped, |cut| End::Cut(*cut))
    }

    fn set_end(&self, end: End) {
        let _ = self.ending().end.set(end);
    }

    fn ending(&self) -> &Ending {
        self.1.as_deref().unwrap_or(&self.0.ending)
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0
            .reading
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken(error: &BoxError) -> End {
    match Standard.error(error) {
        Verdict::TimedOut => End::TimedOut,
        _ => End::Broken,
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("dialect", &self.0.dialect)
            .field("tokens", &self.tokens())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
