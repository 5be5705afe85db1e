//! Alerts of a process that goes on where another one stopped.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use cost_layer::{
    AlertKind, By, Charge, CostLayer, Entry, Ledger, LedgerError, LedgerFuture, MemoryLedger, Page,
    Query, Record, RecordId, Slot, Spend, SqliteLedger, Timeline, Whose,
};
use http_body_util::{BodyExt, Full};
use llm_exchange::{Money, User, WallClock};
use testkit::{Answer, Script};
use tower::{Layer, ServiceExt};

use crate::{contract::at, sqlite::File};

const HOUR: u64 = 3_600;
const BODY: &str = r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}]}"#;
/// Of $2.
const ANSWER: &str = r#"{"model":"gpt-6-sol","choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":200000,"completion_tokens":160000}}"#;

fn spent(user: &str, when: SystemTime, took: u64, cents: u128) -> Arc<Record> {
    let took = Duration::from_secs(took);
    let mut entry = Entry::new(RecordId::new(), when - took, "gpt-6-sol");
    entry.user = Some(User::new(user));
    entry.total = took;
    let mut charge = Charge::default();
    charge.input = Money::from_picos(cents * 10_000_000_000);
    entry.charge = Some(charge);
    Arc::new(Record::new(entry, Vec::new()))
}

/// What one call of Alice's is told about, of $2, after a start at noon.
async fn told_after(file: &File, layer: CostLayer, seeded: bool) -> Vec<AlertKind> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let layer = layer
        .clock(WallClock::fixed(at(12 * HOUR)))
        .ledger(SqliteLedger::open(&file.0).unwrap())
        .on_alert(move |alert| hook.lock().unwrap().push(alert.kind.clone()));
    let handle = layer.handle();
    if seeded {
        // the second time counts nothing twice
        handle.seed_alerts().await.unwrap();
        handle.seed_alerts().await.unwrap();
    }
    let mut request = http::Request::post("https://api.openai.com/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::from(BODY))
        .unwrap();
    request.extensions_mut().insert(User::new("alice"));
    let script = Script::new().then(Answer::json(200, ANSWER));
    let response = layer.layer(script).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(handle.stats().cost, Money::usd(2));
    let told = told.lock().unwrap();
    told.clone()
}

#[tokio::test]
async fn the_hour_the_day_and_the_users_go_on_after_a_restart() {
    let file = File::new("sums");
    let ledger = SqliteLedger::open(&file.0).unwrap();
    let records = [
        // yesterday; and in the night, long ago
        spent("alice", at(0) - Duration::from_secs(1), 0, 50_000),
        spent("alice", at(HOUR), 0, 300),
        // it ended a second before the last hour begins, and one that ended in it
        spent("bob", at(11 * HOUR) - Duration::from_secs(1), 0, 1_000),
        spent("bob", at(11 * HOUR) + Duration::from_secs(1), 60, 500),
        spent("bob", at(12 * HOUR) - Duration::from_secs(5), 0, 40),
    ];
    ledger.append(&records).await.unwrap();
    drop(ledger);
    let alerts = |layer: CostLayer| layer.no_alerts();
    let all = || {
        alerts(CostLayer::default())
            .alert_hour(Money::usd(7))
            .alert_day(Money::usd(20))
            .alert_user_day(Money::usd(4))
    };
    assert_eq!(told_after(&file, all(), false).await, []);
    // the call that was booked since is of this start's time, and in no sum of before
    let dollars = |dollars: &str| dollars.parse::<Money>().unwrap();
    assert_eq!(
        told_after(&file, all(), true).await,
        [
            AlertKind::HourlySpend {
                spent: dollars("7.40"),
                limit: Money::usd(7)
            },
            AlertKind::DailySpend {
                spent: dollars("20.40"),
                limit: Money::usd(20)
            },
            AlertKind::UserDailySpend {
                user: User::new("alice"),
                spent: dollars("5"),
                limit: Money::usd(4)
            },
        ]
    );
}

#[tokio::test]
async fn baselines_go_on_after_a_restart() {
    let file = File::new("baselines");
    let ledger = SqliteLedger::open(&file.0).unwrap();
    // 5 cents every five minutes since the morning
    let past: Vec<_> = (1..60)
        .map(|slot| {
            spent(
                "alice",
                at(12 * HOUR) - Duration::from_secs(slot * 300),
                3,
                5,
            )
        })
        .collect();
    ledger.append(&past).await.unwrap();
    drop(ledger);
    let unusual = || {
        CostLayer::default()
            .no_alerts()
            .alert_unusual(Money::usd(1))
    };
    let told = told_after(&file, unusual(), true).await;
    let whose: Vec<_> = told
        .iter()
        .map(|kind| match kind {
            AlertKind::Unusual { whose, usual, .. } => {
                assert_eq!(usual.to_string(), "$0.05");
                whose.clone()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let alice = Whose::User(User::new("alice"));
    assert_eq!(whose, [alice, Whose::Model("gpt-6-sol".into())]);
    // without its past nothing is unusual yet
    let file = File::new("none");
    assert_eq!(told_after(&file, unusual(), true).await, []);
}

/// Answers sums and no past, or takes for ever to.
struct Slow(MemoryLedger, bool);

impl Ledger for Slow {
    fn append<'a>(&'a self, records: &'a [Arc<Record>]) -> LedgerFuture<'a, ()> {
        self.0.append(records)
    }

    fn spend<'a>(&'a self, query: &'a Query) -> LedgerFuture<'a, Vec<Spend>> {
        self.0.spend(query)
    }

    fn entries<'a>(&'a self, page: &'a Page) -> LedgerFuture<'a, Vec<Entry>> {
        self.0.entries(page)
    }

    fn timeline<'a>(&'a self, timeline: &'a Timeline) -> LedgerFuture<'a, Vec<Slot>> {
        match (&timeline.by, self.1) {
            (By::Total, _) => self.0.timeline(timeline),
            (_, true) => Box::pin(std::future::pending()),
            _ => Box::pin(std::future::ready(Err(LedgerError::temporary("away")))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_ledger_answers_is_taken_up_beside_what_it_does_not_and_counted_once() {
    for hangs in [false, true] {
        let ledger = MemoryLedger::default();
        let record = spent("bob", at(12 * HOUR) - Duration::from_secs(5), 0, 700);
        ledger.append(&[record]).await.unwrap();
        let layer = CostLayer::default()
            .clock(WallClock::fixed(at(12 * HOUR)))
            .ledger(Slow(ledger, hangs))
            .no_alerts()
            .alert_unusual(Money::usd(1))
            .alert_hour(Money::usd(8))
            .alert_day(Money::usd(8));
        let handle = layer.handle();
        let mut alerts = handle.alerts();
        for _ in 0..2 {
            let error = handle.seed_alerts().await.unwrap_err();
            assert_eq!(error.is_timed_out(), hangs);
        }
        let request = http::Request::post("https://api.openai.com/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Full::from(BODY))
            .unwrap();
        let script = Script::new().then(Answer::json(200, ANSWER));
        let response = layer.layer(script).oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        for _ in 0..2 {
            match alerts.next().await.unwrap().kind {
                AlertKind::HourlySpend { spent, .. } | AlertKind::DailySpend { spent, .. } => {
                    assert_eq!(spent, Money::usd(9));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
