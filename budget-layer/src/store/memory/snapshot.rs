//! Accounts in a file, written by a thread.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use llm_exchange::WallClock;

use super::{millis, saved, shards::Shards};

/// How often the accounts are written while they change.
const EVERY: Duration = Duration::from_millis(400);

/// Why a store has no snapshot.
#[non_exhaustive]
#[derive(Debug)]
pub enum SnapshotError {
    /// The file can't be read or written.
    Io(io::Error),
    /// The file is no snapshot, or of a newer version.
    Unreadable,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io(_) => "the snapshot can't be read or written",
            Self::Unreadable => "the file is no snapshot of a budget store",
        })
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Unreadable => None,
        }
    }
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The running thread. Dropping this lets it write once more, and waits for that.
pub(super) struct Snapshot {
    stop: Option<Sender<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Snapshot {
    pub(super) fn start(
        path: &Path,
        shards: Arc<Shards>,
        clock: WallClock,
    ) -> Result<Self, SnapshotError> {
        match fs::read(path) {
            Ok(bytes) => {
                let text = str::from_utf8(&bytes).map_err(|_| SnapshotError::Unreadable)?;
                for (scope, account) in saved::read(text).ok_or(SnapshotError::Unreadable)? {
                    shards.restore(scope, account);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let file = Target::new(path);
        // what can't be written is told now, not by a later loss
        file.write(&shards, &clock)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("budget-snapshot".into())
            .spawn(move || {
                let mut failing = false;
                loop {
                    let last = stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
                    if shards.is_dirty() || failing {
                        let written = file.write(&shards, &clock);
                        if let Err(error) = &written {
                            tracing::error!(%error, "the snapshot of the budgets can't be written");
                        }
                        failing = written.is_err();
                    }
                    if last {
                        return;
                    }
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        drop(self.stop.take());
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // it has told what went wrong
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}

struct Target {
    path: PathBuf,
    /// Beside it, as only within one file system a file is put in another's place at once.
    draft: PathBuf,
}

impl Target {
    fn new(path: &Path) -> Self {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        Self {
            path: path.to_owned(),
            draft: draft.into(),
        }
    }

    fn write(&self, shards: &Shards, clock: &WallClock) -> io::Result<()> {
        let now = millis(clock.now());
        let mut writer = saved::Writer::new();
        shards.each(now, |scope, account| {
            writer.account(scope, account, now);
        });
        let mut file = File::create(&self.draft)?;
        file.write_all(writer.finish().as_bytes())?;
        file.sync_data()?;
        fs::rename(&self.draft, &self.path)
    }
}
