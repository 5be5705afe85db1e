//! The one task that writes.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use redis::aio::ConnectionManager;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::timeout,
};

use super::{REMEMBERED, WRITE_TIMEOUT, entry_name, wire, wire::Generations};
use crate::{Entry, Key, entry::whole_millis, key::Secret, store::Put};

/// The most entries that wait to be written, of which a batch of embeddings has 2,048, and the most
/// bytes of them.
const MOST_WAITING: usize = 4096;
const MOST_BYTES: usize = 64 << 20;

/// The queue before the task.
pub(super) struct Writer {
    queue: Sender<Write>,
    waiting: Arc<AtomicUsize>,
}

struct Write {
    key: Key,
    entry: Arc<Entry>,
    generations: Generations,
}

impl Writer {
    /// The queue, and the task that empties it until the queue is dropped.
    pub(super) fn new(
        connection: ConnectionManager,
        secret: Secret,
        prefix: String,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, writes) = channel(MOST_WAITING);
        let waiting = Arc::new(AtomicUsize::new(0));
        let work = work(writes, Arc::clone(&waiting), connection, secret, prefix);
        (Self { queue, waiting }, work)
    }

    pub(super) fn write(&self, key: Key, entry: Arc<Entry>, generations: Generations) -> Put {
        let size = entry.size();
        if self.waiting.fetch_add(size, Relaxed) + size <= MOST_BYTES {
            let write = Write {
                key,
                entry,
                generations,
            };
            if self.queue.try_send(write).is_ok() {
                return Put::Kept;
            }
        }
        self.waiting.fetch_sub(size, Relaxed);
        Put::Busy
    }
}

async fn work(
    mut writes: Receiver<Write>,
    waiting: Arc<AtomicUsize>,
    mut connection: ConnectionManager,
    secret: Secret,
    prefix: String,
) {
    while let Some(Write {
        key,
        entry,
        generations,
    }) = writes.recv().await
    {
        let packed = wire::pack(&secret, &key, &entry, generations);
        waiting.fetch_sub(entry.size(), Relaxed);
        // else it would outlive the removal that it was from before
        let keep = whole_millis(entry.keep().min(REMEMBERED)).max(1);
        let mut command = redis::cmd("SET");
        command
            .arg(entry_name(&prefix, &key))
            .arg(packed)
            .arg("PX")
            .arg(keep);
        // what the server doesn't take is not cached
        let written = timeout(WRITE_TIMEOUT, command.query_async::<()>(&mut connection)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::debug!("an entry was not written to the cache's Redis server");
        }
    }
}
