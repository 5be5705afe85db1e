//! The ledger in a SQLite file.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, ToSql, types::ValueRef};

use super::{
    LONGEST_READ, Ledger, LedgerError, LedgerFuture, Page, Query, Slot, Spend, Timeline,
    row::{self, COLUMNS, Value},
    sql::{self, Statement},
    worker::Worker,
};
use crate::{Entry, Record};

/// Keeps records in a SQLite file, which any SQLite tool opens also while it is written: the tables
/// `cost_entries` (amounts in pico-dollars, times in microseconds) and `cost_tags`.
///
/// Two threads of their own write and read. A batch is one transaction, on the disk when it is done
/// (write-ahead log, `synchronous=FULL`): a crash, or a kill, loses what was not yet written, and nothing
/// of what was. One process writes to a file at a time; for several machines there is `PostgresLedger`.
pub struct SqliteLedger {
    path: PathBuf,
    writing: Worker,
    reading: Worker,
    longest_read: Duration,
}

/// Who else has the file open is waited for so long.
const BUSY: Duration = Duration::from_secs(5);

impl SqliteLedger {
    /// Opens a file, or makes it, readable by its owner alone; and brings its tables up to date. It blocks
    /// while it does.
    ///
    /// # Errors
    ///
    /// It can't be opened, is no SQLite file, or its tables are of a later version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref().to_owned();
        private(&path).map_err(LedgerError::permanent)?;
        let mut writing = Connection::open(&path).map_err(opening)?;
        writing.busy_timeout(BUSY).map_err(opening)?;
        writing
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(opening)?;
        writing
            .pragma_update(None, "synchronous", "FULL")
            .map_err(opening)?;
        migrate(&mut writing)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reading = Connection::open_with_flags(&path, flags).map_err(opening)?;
        reading.busy_timeout(BUSY).map_err(opening)?;
        Ok(Self {
            path,
            writing: Worker::start("cost-ledger-write", writing)?,
            reading: Worker::start("cost-ledger-read", reading)?,
            longest_read: LONGEST_READ,
        })
    }

    /// How long a question may take, with its wait for those before it. Default 10 s. What takes longer
    /// is stopped, and so is what nobody waits for any more.
    #[must_use]
    pub const fn longest_read(mut self, time: Duration) -> Self {
        self.longest_read = time;
        self
    }
}

/// Who may read the file may read who spent what.
fn private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(opening)?;
    let version: i64 = transaction
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(opening)?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    let migrations = sql::migrations();
    let Some(steps) = migrations.get(version..) else {
        return Err(LedgerError::permanent("the tables are of a later version"));
    };
    for step in steps {
        transaction.execute_batch(step).map_err(opening)?;
    }
    transaction
        .pragma_update(None, "user_version", migrations.len() as i64)
        .map_err(opening)?;
    transaction.commit().map_err(opening)
}

fn write(connection: &mut Connection, records: &[Arc<Record>]) -> Result<(), LedgerError> {
    let transaction = connection.transaction().map_err(error)?;
    {
        let places = (1..=COLUMNS.len()).map(|n| format!("?{n}"));
        let text = format!(
            "INSERT INTO cost_entries ({}) VALUES ({}) ON CONFLICT (id, part) DO NOTHING",
            sql::column_names(),
            places.collect::<Vec<_>>().join(", ")
        );
        let mut entries = transaction.prepare_cached(&text).map_err(error)?;
        let text =
            "INSERT INTO cost_tags (id, name, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let mut tags = transaction.prepare_cached(text).map_err(error)?;
        for record in records {
            for entry in record.entries() {
                let cells = row::row(entry);
                entries
                    .execute(rusqlite::params_from_iter(cells))
                    .map_err(error)?;
            }
            let id = record.call.id.to_string();
            for (name, value) in record.call.tags.iter() {
                tags.execute([id.as_str(), name, value]).map_err(error)?;
            }
        }
    }
    transaction.commit().map_err(error)
}

fn read<T>(
    connection: &Connection,
    statement: &Statement,
    mut row: impl FnMut(Vec<Value>) -> Option<T>,
) -> Result<Vec<T>, LedgerError> {
    let mut prepared = connection.prepare_cached(&statement.text).map_err(error)?;
    let columns = prepared.column_count();
    let mut rows = prepared
        .query(rusqlite::params_from_iter(&statement.values))
        .map_err(error)?;
    let mut found = Vec::new();
    while let Some(line) = rows.next().map_err(error)? {
        let cells = (0..columns).map(|at| {
            Ok(match line.get_ref(at).map_err(error)? {
                ValueRef::Integer(value) => Value::Int(value),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
            })
        });
        let cells = cells.collect::<Result<_, LedgerError>>()?;
        found.push(row(cells).ok_or_else(|| LedgerError::permanent("a row is not of ours"))?);
    }
    Ok(found)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Self::Null => rusqlite::types::Null.to_sql(),
            Self::Int(value) => value.to_sql(),
            Self::Text(value) => value.to_sql(),
        }
    }
}

/// Only what is wrong with the data is wrong for ever. A disk may be freed, a lock given back, a file put
/// back where it was.
fn error(error: rusqlite::Error) -> LedgerError {
    use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
    match error.sqlite_error_code() {
        // it is not SQLite's, but of a value that can't be one of its
        None | Some(ConstraintViolation | TooBig | TypeMismatch) => LedgerError::permanent(error),
        Some(_) => LedgerError::temporary(error),
    }
}

/// What is no file of SQLite's when it is opened is none later.
fn opening(error: rusqlite::Error) -> LedgerError {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
    match error.sqlite_error_code() {
        Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure) => {
            LedgerError::temporary(error)
        }
        _ => LedgerError::permanent(error),
    }
}

impl Ledger for SqliteLedger {
    fn append<'a>(&'a self, records: &'a [Arc<Record>]) -> LedgerFuture<'a, ()> {
        let records = records.to_vec();
        self.writing
            .run(move |connection| write(connection, &records))
    }

    fn spend<'a>(&'a self, query: &'a Query) -> LedgerFuture<'a, Vec<Spend>> {
        let query = query.clone();
        self.reading.ask(self.longest_read, move |connection| {
            let statement = sql::spend(&query, "");
            let mut spends = read(connection, &statement, |cells| {
                sql::read_spend(&query, cells)
            })?;
            Spend::sort(&mut spends);
            Ok(spends)
        })
    }

    fn timeline<'a>(&'a self, timeline: &'a Timeline) -> LedgerFuture<'a, Vec<Slot>> {
        let timeline = timeline.clone();
        self.reading.ask(self.longest_read, move |connection| {
            let statement = sql::timeline(&timeline, "");
            let slots = read(connection, &statement, |cells| {
                sql::read_slot(&timeline, cells)
            });
            Ok(slots?.into_iter().rev().collect())
        })
    }

    fn entries<'a>(&'a self, page: &'a Page) -> LedgerFuture<'a, Vec<Entry>> {
        let statement = sql::page(page);
        self.reading.ask(self.longest_read, move |connection| {
            read(connection, &statement, row::entry)
        })
    }
}

impl fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLedger")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{By, RecordId, Span};

    fn records(many: usize) -> Vec<Arc<Record>> {
        let entry = || Entry::new(RecordId::new(), std::time::SystemTime::UNIX_EPOCH, "m");
        let record = || Arc::new(Record::new(entry(), Vec::new()));
        (0..many).map(|_| record()).collect()
    }

    #[tokio::test]
    async fn a_full_disk_is_waited_for_and_keeps_nothing_of_the_batch() {
        let name = format!("cost-layer-full-{}.db", std::process::id());
        let path = std::env::temp_dir().join(name);
        let ledger = SqliteLedger::open(&path).unwrap();
        let pages = async |most: i64| {
            let set = move |connection: &mut Connection| {
                connection
                    .pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))
                    .map_err(error)
            };
            ledger.writing.run(set).await.unwrap();
        };
        // as many as there are
        pages(1).await;
        let records = records(500);
        let full = ledger.append(&records).await.unwrap_err();
        assert!(!full.is_permanent(), "{full:?}");
        let query = Query::new(Span::all(), By::Total);
        assert_eq!(ledger.spend(&query).await.unwrap(), []);
        pages(1_000_000).await;
        ledger.append(&records).await.unwrap();
        assert_eq!(ledger.spend(&query).await.unwrap()[0].requests, 500);
        drop(ledger);
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
    }
}
