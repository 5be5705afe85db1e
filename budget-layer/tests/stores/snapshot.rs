//! What survives the process.

use budget_layer::store::{MemoryStore, Reserved, SnapshotError, Store};

use crate::world::*;

#[tokio::test]
async fn after_a_crash_what_was_settled_a_second_ago_is_there_and_what_was_reserved_counts_as_used()
{
    let folder = Folder::new();
    let path = folder.path("accounts");
    let claim = claim("day", "alice", window(0), 1_000, 100);
    let store = MemoryStore::new().with_snapshot(&path).unwrap();
    for _ in 0..2 {
        let Reserved::Granted(grant) = store.reserve(std::slice::from_ref(&claim)).await.unwrap()
        else {
            panic!("refused");
        };
        if grant.standings[0].used == 0 && grant.standings[0].reserved == 100 {
            store.settle(grant.reservation, &[30]);
        }
    }
    // what kill -9 leaves is the file as it is a second later
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let copy = folder.path("copy");
    std::fs::copy(&path, &copy).unwrap();
    drop(store);
    let again = MemoryStore::new().with_snapshot(&copy).unwrap();
    let standing = read(&again, &claim).await;
    assert_eq!((standing.used, standing.reserved), (130, 0));
}

/// What the process does that is killed. A test of its own, so that the test's program can run it.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Ok(path) = std::env::var("BUDGET_TEST_SNAPSHOT") else {
        return;
    };
    let store = MemoryStore::new().with_snapshot(&path).unwrap();
    let claim = claim("day", "alice", window(0), 1_000_000, 10);
    for _ in 0..500 {
        let Ok(Reserved::Granted(grant)) = store.reserve(std::slice::from_ref(&claim)).await else {
            panic!("refused");
        };
        store.settle(grant.reservation, &[7]);
    }
    let Ok(Reserved::Granted(held)) = store.reserve(std::slice::from_ref(&claim)).await else {
        panic!("refused");
    };
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    println!("SETTLED");
    std::future::pending::<()>().await;
    drop(held);
}

#[tokio::test]
async fn after_kill_9_what_was_settled_up_to_a_second_ago_is_there() {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };
    let folder = Folder::new();
    let path = folder.path("accounts");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "snapshot::the_process_that_is_killed",
            "--nocapture",
        ])
        .env("BUDGET_TEST_SNAPSHOT", &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines {
        if line.unwrap().contains("SETTLED") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let again = MemoryStore::new().with_snapshot(&path).unwrap();
    let claim = claim("day", "alice", window(0), 1_000_000, 10);
    let standing = read(&again, &claim).await;
    assert_eq!((standing.used, standing.reserved), (3_510, 0));
}

#[tokio::test]
async fn a_file_that_is_no_snapshot_is_not_taken_for_an_empty_one() {
    let folder = Folder::new();
    let path = folder.path("accounts");
    for text in [
        "",
        "{}",
        "budget-layer accounts 1\n",
        "budget-layer accounts 2\nend 0\n",
    ] {
        std::fs::write(&path, text).unwrap();
        let opened = MemoryStore::new().with_snapshot(&path);
        assert!(matches!(opened, Err(SnapshotError::Unreadable)), "{text:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    let nowhere = MemoryStore::new().with_snapshot(folder.path("no/such/folder"));
    assert!(matches!(nowhere, Err(SnapshotError::Io(_))));
}
