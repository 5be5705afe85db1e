use std::{fs, path::PathBuf, process::Command};

use cost_layer::{By, Ledger, Order, Page, Query, Span, SqliteLedger};

use crate::contract;

/// A file that is removed with what SQLite puts beside it.
pub(crate) struct File(pub(crate) PathBuf);

impl File {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("cost-layer-{name}-{}.db", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.remove();
        file
    }

    fn remove(&self) {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.remove();
    }
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let file = File::new("contract");
    contract::check(&SqliteLedger::open(&file.0).unwrap())
        .await
        .unwrap();
    let file = File::new("exports");
    contract::check_exports(SqliteLedger::open(&file.0).unwrap()).await;
}

#[tokio::test]
async fn what_was_appended_is_there_when_the_file_is_opened_again() {
    let file = File::new("again");
    let records = contract::records(50);
    let ledger = SqliteLedger::open(&file.0).unwrap();
    ledger.append(&records).await.unwrap();
    let query = Query::new(Span::all(), By::Model);
    let before = ledger.spend(&query).await.unwrap();
    drop(ledger);
    let ledger = SqliteLedger::open(&file.0).unwrap();
    assert_eq!(ledger.spend(&query).await.unwrap(), before);
    // nor is anything counted twice
    ledger.append(&records).await.unwrap();
    assert_eq!(ledger.spend(&query).await.unwrap(), before);
}

#[tokio::test]
async fn an_append_that_fails_keeps_nothing_of_its_batch() {
    let file = File::new("atomic");
    let ledger = SqliteLedger::open(&file.0).unwrap();
    let other = rusqlite::Connection::open(&file.0).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER no BEFORE INSERT ON cost_entries WHEN NEW.model = 'refused'
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let mut records = contract::records(20);
    let mut refused = records[10].call.clone();
    refused.model = "refused".into();
    records[10] = std::sync::Arc::new(cost_layer::Record::new(refused, Vec::new()));
    let error = ledger.append(&records).await.unwrap_err();
    assert!(error.is_permanent());
    let all = ledger
        .spend(&Query::new(Span::all(), By::Total))
        .await
        .unwrap();
    assert_eq!(all, []);
}

#[tokio::test]
async fn a_lock_that_another_holds_is_waited_for() {
    let file = File::new("locked");
    let ledger = SqliteLedger::open(&file.0).unwrap();
    let other = rusqlite::Connection::open(&file.0).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let records = contract::records(20);
    let error = ledger.append(&records).await.unwrap_err();
    assert!(!error.is_permanent(), "{error:?}");
    // nobody who reads waits for it
    let query = Query::new(Span::all(), By::Total);
    assert_eq!(ledger.spend(&query).await.unwrap(), []);
    other.execute_batch("COMMIT").unwrap();
    ledger.append(&records).await.unwrap();
    assert_eq!(ledger.spend(&query).await.unwrap()[0].requests, 20);
    // a table that is gone may come back, too
    other
        .execute_batch("ALTER TABLE cost_entries RENAME TO elsewhere")
        .unwrap();
    let error = ledger.append(&records).await.unwrap_err();
    assert!(!error.is_permanent(), "{error:?}");
}

#[tokio::test]
async fn a_question_that_takes_too_long_is_stopped_and_the_next_one_is_answered() {
    let file = File::new("long");
    let second = std::time::Duration::from_secs(1);
    let ledger = SqliteLedger::open(&file.0).unwrap().longest_read(second);
    ledger.append(&contract::records(20)).await.unwrap();
    let other = rusqlite::Connection::open(&file.0).unwrap();
    // as many rows as anybody waits for
    other
        .execute_batch(
            "ALTER TABLE cost_entries RENAME TO kept;
             CREATE VIEW cost_entries AS SELECT kept.* FROM kept, (
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)",
        )
        .unwrap();
    let query = Query::new(Span::all(), By::Model);
    let page = Page::new(Span::all(), Order::Oldest);
    let (one, two) = tokio::join!(ledger.spend(&query), ledger.entries(&page));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert!(error.is_timed_out() && !error.is_permanent(), "{error:?}");
    }
    // nor does the thread go on with what nobody waits for
    let gone = tokio::time::timeout(second / 10, ledger.spend(&query));
    gone.await.unwrap_err();
    other
        .execute_batch("DROP VIEW cost_entries; ALTER TABLE kept RENAME TO cost_entries")
        .unwrap();
    let total = Query::new(Span::all(), By::Total);
    assert_eq!(ledger.spend(&total).await.unwrap()[0].requests, 20);
}

#[test]
fn a_file_that_is_none_of_ours_is_refused() {
    let file = File::new("none");
    fs::write(&file.0, "x".repeat(4_096)).unwrap();
    assert!(SqliteLedger::open(&file.0).unwrap_err().is_permanent());
    drop(file);

    let file = File::new("later");
    drop(SqliteLedger::open(&file.0).unwrap());
    let other = rusqlite::Connection::open(&file.0).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteLedger::open(&file.0).unwrap_err();
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "the tables are of a later version"
    );
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date_and_keeps_what_it_has() {
    let file = File::new("first");
    let records = contract::records(20);
    let ledger = SqliteLedger::open(&file.0).unwrap();
    ledger.append(&records[..10]).await.unwrap();
    drop(ledger);
    // as it was then
    let other = rusqlite::Connection::open(&file.0).unwrap();
    other
        .execute_batch(
            "ALTER TABLE cost_entries DROP COLUMN is_background; PRAGMA user_version = 1",
        )
        .unwrap();
    drop(other);
    let ledger = SqliteLedger::open(&file.0).unwrap();
    ledger.append(&records).await.unwrap();
    let query = Query::new(Span::all(), By::Total);
    assert_eq!(ledger.spend(&query).await.unwrap()[0].requests, 20);
    let page = Page::new(Span::all(), Order::Oldest).most(1_000);
    let entries = ledger.entries(&page).await.unwrap();
    assert!(entries.iter().all(|entry| !entry.is_background));
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_a_new_file() {
    let file = File::new("mode");
    drop(SqliteLedger::open(&file.0).unwrap());
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file.0).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn any_sqlite_tool_reads_the_file() {
    let file = File::new("tool");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ledger = SqliteLedger::open(&file.0).unwrap();
    runtime
        .block_on(ledger.append(&contract::records(10)))
        .unwrap();
    // Python has one built in, and is there wherever the SDK tests run
    let script = "import sqlite3, sys; \
                  print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM cost_entries WHERE part = 0').fetchone()[0])";
    let Ok(output) = Command::new("python3")
        .args(["-c", script])
        .arg(&file.0)
        .output()
    else {
        eprintln!("SKIPPED: no python3");
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "10",
        "{output:?}"
    );
}
