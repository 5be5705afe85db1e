//! What is booked of a call.

use std::{
    borrow::Cow,
    cell::Cell,
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    str::FromStr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use llm_exchange::{End, FromCache, Money, Usage, User, Verdict};

use crate::{Charge, Tags};

/// What tells records apart: over processes and machines, so that a record that is sent to a ledger
/// twice is booked once. It is written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(u128);

impl RecordId {
    /// A new one: 64 bits of this process, chosen at random, and a count.
    #[must_use]
    pub fn new() -> Self {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        // the standard library's keys are random for each process
        let process = *PROCESS.get_or_init(|| RandomState::new().hash_one("record ids"));
        Self(u128::from(process) << 64 | u128::from(count()))
    }
}

/// A number that no other call of this process gets. A thread takes many at once, as all count together.
fn count() -> u64 {
    const BLOCK: u64 = 1_024;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static MINE: Cell<u64> = const { Cell::new(0) };
    }
    let mine = MINE.try_with(|mine| {
        let next = match mine.get() {
            used_up if used_up % BLOCK == 0 => NEXT.fetch_add(BLOCK, Relaxed),
            next => next,
        };
        mine.set(next + 1);
        next
    });
    // a thread that ends has none any more
    mine.unwrap_or_else(|_| NEXT.fetch_add(BLOCK, Relaxed))
}

impl Default for RecordId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is no record's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRecordId(());

impl fmt::Display for InvalidRecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record's id is 32 hexadecimal digits")
    }
}

impl std::error::Error for InvalidRecordId {}

impl FromStr for RecordId {
    type Err = InvalidRecordId;

    fn from_str(text: &str) -> Result<Self, InvalidRecordId> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = digits
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten();
        value.map(Self).ok_or(InvalidRecordId(()))
    }
}

/// One call, booked once at its end, and the attempts of it that were given up for another.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The call, with what its last attempt used.
    pub call: Entry,
    /// Attempts that were left behind, with what they used.
    pub left_behind: Vec<Entry>,
}

impl Record {
    /// A call, and the attempts of it that were left behind.
    #[must_use]
    pub const fn new(call: Entry, left_behind: Vec<Entry>) -> Self {
        Self { call, left_behind }
    }

    /// The call, and each attempt left behind.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.call).chain(&self.left_behind)
    }

    /// What all of it cost, as far as the prices are known.
    #[must_use]
    pub fn cost(&self) -> Money {
        self.entries()
            .filter_map(Entry::cost)
            .fold(Money::ZERO, Money::saturating_add)
    }

    /// Whether the price of a part is not known, so that it cost more than [`cost`](Self::cost) says.
    #[must_use]
    pub fn is_unpriced(&self) -> bool {
        self.entries().any(|entry| entry.charge.is_none())
    }
}

/// One line of a ledger: a call (part 0), or an attempt of it that was left behind (part 1, 2, …).
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The record's id, the same in all its parts.
    pub id: RecordId,
    /// 0 is the call; attempts left behind are counted from 1.
    pub part: u32,
    /// When the call began, to the microsecond.
    pub at: SystemTime,
    /// Who is spending, as the app says.
    pub user: Option<User>,
    /// The host that answered, or was asked last: not the caller's after a fallback to another. Empty: it was not in the request.
    pub provider: Arc<str>,
    /// The model that was asked of whoever answered: what costs are summed by.
    pub model: Arc<str>,
    /// The model that the caller asked for.
    pub model_asked: Option<Arc<str>>,
    /// The model that the answer names.
    pub model_served: Option<Arc<str>>,
    /// The wire format.
    pub dialect: Arc<str>,
    /// Whether the answer was asked for as a stream.
    pub is_stream: bool,
    /// Whether nobody waited for it: a layer further in made the call by itself, as a cache that gets a new
    /// answer while it serves an old one.
    pub is_background: bool,
    /// The status of the answer's head. 0: there was none.
    pub status: u16,
    /// What it came to.
    pub verdict: Verdict,
    /// How the answer ended. `None`: there was none.
    pub end: Option<End>,
    /// Why, in the provider's words; of several choices the worst.
    pub finish: Option<Arc<str>>,
    /// The service tier that the answer names.
    pub service_tier: Option<Arc<str>>,
    /// Whether no call was made for it.
    pub from_cache: Option<FromCache>,
    /// What was used; of an answer from a cache, what would have been.
    pub usage: Usage,
    /// Whether the provider did not say so, and a part of the usage is an estimate.
    pub is_estimated: bool,
    /// What it cost. `None`: the price is not known.
    pub charge: Option<Charge>,
    /// What an answer from a cache would have cost, as far as the price is known.
    pub saved: Money,
    /// From the call to its end.
    pub total: Duration,
    /// From the call to the first content.
    pub first_content: Option<Duration>,
    /// From one generated token of a stream to the next, on average.
    pub per_token: Option<Duration>,
    /// How often the call was sent in all.
    pub attempts: u32,
    /// The `x-request-id` of the request.
    pub request_id: Option<Box<str>>,
    /// The provider's id of the request, from the answer's head.
    pub provider_request_id: Option<Box<str>>,
    /// The provider's id of the answer.
    pub answer_id: Option<Box<str>>,
    /// The app's tags.
    pub tags: Tags,
}

impl Entry {
    /// An entry of which nothing is known yet but its model and the time.
    #[must_use]
    pub fn new(id: RecordId, at: SystemTime, model: &str) -> Self {
        Self::of(id, at, bounded(model).into())
    }

    /// The same, of a model whose name is bounded.
    pub(crate) fn of(id: RecordId, at: SystemTime, model: Arc<str>) -> Self {
        Self {
            id,
            part: 0,
            at: to_the_microsecond(at),
            user: None,
            provider: Arc::default(),
            model,
            model_asked: None,
            model_served: None,
            dialect: Arc::default(),
            is_stream: false,
            is_background: false,
            status: 0,
            verdict: Verdict::Ok,
            end: None,
            finish: None,
            service_tier: None,
            from_cache: None,
            usage: Usage::default(),
            is_estimated: false,
            charge: None,
            saved: Money::ZERO,
            total: Duration::ZERO,
            first_content: None,
            per_token: None,
            attempts: 1,
            request_id: None,
            provider_request_id: None,
            answer_id: None,
            tags: Tags::new(),
        }
    }

    /// What it cost. `None`: the price is not known.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        self.charge.map(|charge| charge.total())
    }
}

/// The longest name that is kept, in bytes.
const LONGEST: usize = 256;

/// A name, cut where it is too long: names come from callers and providers. NUL, which Postgres takes
/// in no text, is taken out.
pub(crate) fn bounded(name: &str) -> Cow<'_, str> {
    let mut end = name.len().min(LONGEST);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = &name[..end];
    if name.contains('\0') {
        name.replace('\0', "").into()
    } else {
        name.into()
    }
}

/// What ledgers keep of a time.
pub(crate) fn to_the_microsecond(time: SystemTime) -> SystemTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH
        + Duration::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_are_read_as_they_are_written() {
        let some = || (0..5_000).map(|_| RecordId::new()).collect::<Vec<_>>();
        let all = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(some)).collect();
            let all = threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            all.collect::<Vec<_>>()
        });
        let ids: HashSet<_> = all.into_iter().chain(some()).collect();
        assert_eq!(ids.len(), 25_000);
        for id in ids {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "0", "+0000000000000000000000000000000", &"g".repeat(32)] {
            assert_eq!(text.parse::<RecordId>(), Err(InvalidRecordId(())));
        }
    }

    #[test]
    fn names_are_cut_at_a_character() {
        assert_eq!(bounded(&"é".repeat(300)).len(), 256);
        assert_eq!(bounded(&format!("x{}", "é".repeat(300))).len(), 255);
        assert_eq!(&*bounded("a\0b"), "ab");
    }
}
