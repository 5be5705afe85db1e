//! What the server received, and what became of it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

/// Requests that the log keeps; the oldest go first.
pub const LOG_ENTRIES: usize = 10_000;

/// Bytes of request bodies that the log keeps; the oldest requests go first.
pub const LOG_BODY_BYTES: usize = 64 << 20;

/// One request. `Debug` shows neither body, query nor credentials.
#[derive(Clone)]
#[non_exhaustive]
pub struct Received {
    /// Which request it was since the start or the last [`clear_log`], from 1.
    ///
    /// [`clear_log`]: crate::FakeProvider::clear_log
    pub number: u64,
    /// Which connection it came on, from 1.
    pub connection: u64,
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, without its `?`.
    pub query: Option<String>,
    /// The headers, credentials included.
    pub headers: HeaderMap,
    /// The body; empty if the upload broke off or was too long (over 16 MiB).
    pub body: Bytes,
    /// The body's `model`, where it is a string.
    pub model: Option<String>,
    /// When the request was there as a whole.
    pub at: Instant,
    /// The status that was answered, once there is one.
    pub status: Option<StatusCode>,
    /// How the answer ended.
    pub outcome: Outcome,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has not: it is being written, is waiting, or hangs.
    Open,
    /// All that the script has for it was handed to the connection, up to a regular end of the
    /// body. That is so too for an error, and for a stream that the script ends too early but cleanly.
    Whole,
    /// The script closed, reset or cut the connection.
    Broken,
    /// The client went away before.
    ClientGone,
}

/// Headers that carry a secret.
const SECRET: [&str; 6] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
];

fn shown<'h>(name: &HeaderName, value: &'h http::HeaderValue) -> std::borrow::Cow<'h, str> {
    if SECRET.contains(&name.as_str()) {
        "(redacted)".into()
    } else {
        String::from_utf8_lossy(value.as_bytes())
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), shown(n, v)))
            .collect();
        f.debug_struct("Received")
            .field("number", &self.number)
            .field("connection", &self.connection)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &headers)
            .field("body_bytes", &self.body.len())
            .field("model", &self.model)
            .field("status", &self.status)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl Received {
    /// As `GET /fake/log` shows it.
    pub(crate) fn to_json(&self, with_body: bool) -> Value {
        let mut headers = serde_json::Map::new();
        for (name, value) in &self.headers {
            headers.insert(name.to_string(), shown(name, value).into());
        }
        let mut entry = json!({
            "number": self.number,
            "connection": self.connection,
            "method": self.method.as_str(),
            "path": self.path,
            "headers": headers,
            "body_bytes": self.body.len(),
            "model": self.model,
            "ms_ago": u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX),
            "status": self.status.map(|status| status.as_u16()),
            "outcome": match self.outcome {
                Outcome::Open => "open",
                Outcome::Whole => "whole",
                Outcome::Broken => "broken",
                Outcome::ClientGone => "client gone",
            },
        });
        if with_body {
            entry["body"] = String::from_utf8_lossy(&self.body).into();
        }
        entry
    }
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Received>,
    body_bytes: usize,
    numbered: u64,
    /// Raised by `clear`, so that an answer of before does not settle a request of after.
    era: u64,
    open: usize,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // every change is complete before anything could panic
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a request down, and numbers it.
    pub(crate) fn add(self: &Arc<Self>, mut received: Received) -> Ticket {
        let mut inner = self.lock();
        inner.numbered += 1;
        received.number = inner.numbered;
        let (number, era) = (received.number, inner.era);
        inner.body_bytes += received.body.len();
        inner.entries.push_back(received);
        while inner.entries.len() > LOG_ENTRIES || inner.body_bytes > LOG_BODY_BYTES {
            let Some(old) = inner.entries.pop_front() else {
                break;
            };
            inner.body_bytes -= old.body.len();
        }
        inner.open += 1;
        drop(inner);
        self.changed.notify_waiters();
        Ticket {
            log: self.clone(),
            number,
            era,
            settled: false,
        }
    }

    pub(crate) fn entries(&self) -> Vec<Received> {
        self.lock().entries.iter().cloned().collect()
    }

    pub(crate) fn open(&self) -> usize {
        self.lock().open
    }

    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        inner.entries.clear();
        inner.body_bytes = 0;
        inner.numbered = 0;
        inner.era += 1;
        drop(inner);
        self.changed.notify_waiters();
    }

    pub(crate) async fn until(&self, mut wanted: impl FnMut(&[Received]) -> bool) {
        self.wait(|inner| wanted(inner.entries.make_contiguous()))
            .await;
    }

    pub(crate) async fn idle(&self) {
        self.wait(|inner| inner.open == 0).await;
    }

    async fn wait(&self, mut over: impl FnMut(&mut Inner) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // before the look, so that no change between the two is missed
            changed.as_mut().enable();
            if over(&mut self.lock()) {
                return;
            }
            changed.await;
        }
    }
}

/// Settles one request of the log exactly once; dropped unsettled, the client is gone.
#[derive(Debug)]
pub(crate) struct Ticket {
    log: Arc<Log>,
    number: u64,
    era: u64,
    settled: bool,
}

impl Ticket {
    pub(crate) fn status(&self, status: StatusCode) {
        self.change(|inner, entry| {
            if let Some(entry) = entry.and_then(|at| inner.entries.get_mut(at)) {
                entry.status = Some(status);
            }
        });
    }

    pub(crate) fn settle(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.change(|inner, entry| {
            inner.open -= 1;
            if let Some(entry) = entry.and_then(|at| inner.entries.get_mut(at)) {
                entry.outcome = outcome;
            }
        });
    }

    fn change(&self, with: impl FnOnce(&mut Inner, Option<usize>)) {
        let mut inner = self.log.lock();
        // numbers are consecutive, so the place follows from the first one
        let first = inner.entries.front().map(|entry| entry.number);
        let place = first
            .filter(|_| inner.era == self.era)
            .and_then(|first| self.number.checked_sub(first))
            .and_then(|at| usize::try_from(at).ok());
        with(&mut inner, place);
        drop(inner);
        self.log.changed.notify_waiters();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.settle(Outcome::ClientGone);
    }
}
