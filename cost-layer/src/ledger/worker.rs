//! A thread that has a SQLite connection to itself.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use llm_exchange::BoxError;
use rusqlite::{Connection, InterruptHandle};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{LedgerError, LedgerFuture};

/// It ends when the ledger is gone, and its jobs are done.
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    numbers: AtomicU64,
    turn: Arc<Turn>,
}

struct Job {
    number: u64,
    run: Box<dyn FnOnce(&mut Connection) + Send>,
}

/// Which job runs.
struct Turn {
    running: Mutex<Option<u64>>,
    interrupt: InterruptHandle,
}

/// More jobs than the layer and a few reports have at a time.
const MOST_JOBS: usize = 16;

impl Worker {
    pub(super) fn start(name: &str, mut connection: Connection) -> Result<Self, LedgerError> {
        let (jobs, mut coming) = mpsc::channel::<Job>(MOST_JOBS);
        let turn = Arc::new(Turn {
            running: Mutex::default(),
            interrupt: connection.get_interrupt_handle(),
        });
        let mine = Arc::clone(&turn);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while let Some(job) = coming.blocking_recv() {
                    mine.is(Some(job.number));
                    // a job that panics has no answer; those after it have
                    let run = AssertUnwindSafe(|| (job.run)(&mut connection));
                    if catch_unwind(run).is_err() {
                        tracing::error!("a job of the ledger's thread panicked");
                    }
                    mine.is(None);
                }
            })
            .map_err(LedgerError::temporary)?;
        Ok(Self {
            jobs,
            numbers: AtomicU64::new(0),
            turn,
        })
    }

    /// Runs a job to its end, also if nobody waits for it any more.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> LedgerFuture<'_, T> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.send(move |connection| {
                // who asked may be gone
                let _ = answer.send(job(connection));
            })
            .await?;
            answered.await.map_err(|_| panicked())?
        })
    }

    /// Runs a job for as long as somebody waits for it, and at most so long, with the wait for its turn.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        longest: Duration,
        job: impl FnOnce(&mut Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> LedgerFuture<'_, T> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let asked = async {
                let number = self
                    .send(move |connection| {
                        if !answer.is_closed() {
                            let _ = answer.send(job(connection));
                        }
                    })
                    .await?;
                let _stopped = StoppedWhenDropped(&self.turn, number);
                answered.await.map_err(|_| panicked())?
            };
            match timeout(longest, asked).await {
                Ok(answer) => answer,
                Err(late) => Err(LedgerError::timed_out(late)),
            }
        })
    }

    async fn send(
        &self,
        run: impl FnOnce(&mut Connection) + Send + 'static,
    ) -> Result<u64, LedgerError> {
        let number = self.numbers.fetch_add(1, Relaxed);
        let run = Box::new(run);
        self.jobs
            .send(Job { number, run })
            .await
            .map_err(|_| gone())?;
        Ok(number)
    }
}

fn gone() -> LedgerError {
    LedgerError::temporary(BoxError::from("the ledger's thread is gone"))
}

/// It would do so again.
fn panicked() -> LedgerError {
    LedgerError::permanent(BoxError::from("the ledger's thread panicked at this"))
}

impl Turn {
    fn is(&self, job: Option<u64>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = job;
    }
}

/// A job that is answered is over before this is dropped.
struct StoppedWhenDropped<'t>(&'t Turn, u64);

impl Drop for StoppedWhenDropped<'_> {
    fn drop(&mut self) {
        // held, so that the next job does not begin meanwhile and is interrupted in its place
        let running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *running == Some(self.1) {
            self.0.interrupt.interrupt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_fails_for_good_and_the_next_one_runs() {
        let worker = Worker::start("test", Connection::open_in_memory().unwrap()).unwrap();
        let run = worker.run(|_| -> Result<(), _> { panic!("on purpose") });
        assert!(run.await.unwrap_err().is_permanent());
        let longest = Duration::from_secs(60);
        let ask = worker.ask(longest, |_| -> Result<(), _> { panic!("on purpose") });
        assert!(ask.await.unwrap_err().is_permanent());
        assert_eq!(worker.run(|_| Ok(1)).await.unwrap(), 1);
        assert_eq!(worker.ask(longest, |_| Ok(2)).await.unwrap(), 2);
    }
}
