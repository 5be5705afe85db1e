use std::{sync::Arc, time::Duration};

use cost_layer::{By, Entry, Ledger, PostgresLedger, Query, Record, RecordId, Span, Tags};
use llm_exchange::User;
use testkit::TestServer;
use tokio::time::Instant;
use tokio_postgres::NoTls;

use crate::contract;

/// A new database on the server, and a way to ask it directly.
async fn database(server: &TestServer, name: &str) -> (String, tokio_postgres::Client) {
    let client = client(server.url()).await;
    client
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let url = server.url().replace("/postgres?", &format!("/{name}?"));
    let client = self::client(&url).await;
    (url, client)
}

async fn client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// One server for all, as a server takes a second to start.
#[tokio::test]
async fn postgres_keeps_the_contract_on_several_machines_and_over_broken_connections() {
    let Some(server) = TestServer::postgres() else {
        return;
    };
    let (url, _client) = database(&server, "contract").await;
    contract::check(&PostgresLedger::connect(&url).await.unwrap())
        .await
        .unwrap();

    let (url, _client) = database(&server, "exports").await;
    contract::check_exports(PostgresLedger::connect(&url).await.unwrap()).await;

    let (url, client) = database(&server, "several").await;
    machines_that_start_at_once_make_the_tables_once(&url).await;
    a_batch_of_several_machines_is_counted_once(&url).await;
    a_broken_connection_is_replaced(&url, &client).await;
    a_question_that_takes_too_long_is_stopped(&url, &client).await;
    many_long_questions_leave_a_connection_to_write_with(&url, &client).await;
    no_name_loses_a_record(&url).await;
    tables_of_a_later_version_are_refused(&url, &client).await;
}

async fn machines_that_start_at_once_make_the_tables_once(url: &str) {
    let starting = (0..4).map(|_| {
        tokio::spawn({
            let url = url.to_owned();
            async move { PostgresLedger::connect(&url).await.map(drop) }
        })
    });
    for started in starting.collect::<Vec<_>>() {
        started.await.unwrap().unwrap();
    }
}

async fn a_batch_of_several_machines_is_counted_once(url: &str) {
    let (one, other) = tokio::join!(PostgresLedger::connect(url), PostgresLedger::connect(url));
    let (one, other) = (one.unwrap(), other.unwrap());
    let records = contract::records(300);
    // each sends the same, at the same time
    let (first, second) = tokio::join!(one.append(&records), other.append(&records));
    first.and(second).unwrap();
    let query = Query::new(Span::all(), By::Total);
    let sums = one.spend(&query).await.unwrap();
    assert_eq!(sums[0].requests, 300);
    assert_eq!(other.spend(&query).await.unwrap(), sums);
}

async fn a_broken_connection_is_replaced(url: &str, client: &tokio_postgres::Client) {
    let ledger = PostgresLedger::connect(url).await.unwrap();
    let query = Query::new(Span::all(), By::Total);
    let before = ledger.spend(&query).await.unwrap();
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    client.query(others, &[]).await.unwrap();
    let records = contract::records(10);
    // the first may meet the broken connection; sent again it is there, once
    if let Err(error) = ledger.append(&records).await {
        assert!(!error.is_permanent(), "{error:?}");
        ledger.append(&records).await.unwrap();
    }
    ledger.append(&records).await.unwrap();
    let after = ledger.spend(&query).await.unwrap();
    assert_eq!(after[0].requests, before[0].requests + 10);
}

async fn a_question_that_takes_too_long_is_stopped(url: &str, client: &tokio_postgres::Client) {
    let ledger = PostgresLedger::connect(url).await.unwrap();
    let ledger = ledger.longest_read(Duration::from_millis(300));
    client
        .batch_execute(
            "ALTER TABLE cost_entries RENAME TO kept;
             CREATE VIEW cost_entries AS SELECT kept.* FROM kept, pg_sleep(60)",
        )
        .await
        .unwrap();
    let query = Query::new(Span::all(), By::Total);
    let start = Instant::now();
    let error = ledger.spend(&query).await.unwrap_err();
    assert!(error.is_timed_out() && !error.is_permanent(), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(30));
    // by the server, so that the connection is free again
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' \
                 AND state = 'active' AND pid <> pg_backend_pid()";
    let running = client.query_one(asked, &[]).await.unwrap();
    assert_eq!(running.get::<_, i64>(0), 0);
    client
        .batch_execute("DROP VIEW cost_entries; ALTER TABLE kept RENAME TO cost_entries")
        .await
        .unwrap();
    assert!(!ledger.spend(&query).await.unwrap().is_empty());
}

async fn many_long_questions_leave_a_connection_to_write_with(
    url: &str,
    client: &tokio_postgres::Client,
) {
    let ledger = PostgresLedger::connect(url).await.unwrap();
    let ledger = ledger.longest_read(Duration::from_secs(20));
    client
        .batch_execute("ALTER TABLE cost_tags RENAME TO kept; CREATE VIEW cost_tags AS SELECT kept.* FROM kept, pg_sleep(60)")
        .await
        .unwrap();
    let reports = (0..8).map(|_| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let query = Query::new(Span::all(), By::Tag("team".into()));
            ledger.spend(&query).await
        })
    });
    let reports: Vec<_> = reports.collect();
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%cost_tags%' \
                 AND state = 'active' AND pid <> pg_backend_pid()";
    while client.query_one(asked, &[]).await.unwrap().get::<_, i64>(0) < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let start = Instant::now();
    ledger.append(&untagged(10)).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(4));
    for report in reports {
        report.abort();
    }
    client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE query LIKE '%cost_tags%' AND pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
    client
        .batch_execute("DROP VIEW cost_tags; ALTER TABLE kept RENAME TO cost_tags")
        .await
        .unwrap();
}

fn untagged(many: usize) -> Vec<Arc<Record>> {
    let entry = || Entry::new(RecordId::new(), contract::at(0), "m");
    let records = (0..many).map(|_| Arc::new(Record::new(entry(), Vec::new())));
    records.collect()
}

async fn no_name_loses_a_record(url: &str) {
    let ledger = PostgresLedger::connect(url).await.unwrap();
    let mut entry = Entry::new(RecordId::new(), contract::at(0), "nul\0model");
    entry.user = Some(User::new("nul\0user"));
    entry.tags = Tags::new().with("nul\0name", "nul\0value");
    let record = Arc::new(Record::new(entry, Vec::new()));
    ledger.append(&[record]).await.unwrap();
    // as it was written, and as it is kept
    for name in ["nul\0name", "nulname"] {
        let query = Query::new(Span::all(), By::Tag(name.into()));
        let query = query.user(&name.replace("name", "user"));
        let query = query.model(&name.replace("name", "model"));
        let spent = ledger.spend(&query).await.unwrap();
        assert_eq!((spent.len(), &*spent[0].key), (1, "nulvalue"));
    }
}

async fn tables_of_a_later_version_are_refused(url: &str, client: &tokio_postgres::Client) {
    client
        .batch_execute("INSERT INTO cost_schema VALUES (99)")
        .await
        .unwrap();
    let error = PostgresLedger::connect(url).await.unwrap_err();
    assert!(error.is_permanent());
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_and_not_shown() {
    let error = PostgresLedger::connect("postgres://u:canary@h:port/x")
        .await
        .unwrap_err();
    assert!(error.is_permanent() && !format!("{error:?} {error}").contains("canary"));
}
