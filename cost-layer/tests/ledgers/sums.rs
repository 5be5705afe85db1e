//! Sums are exact, to the last pico-dollar.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use cost_layer::{
    By, Charge, CostLayer, Entry, Ledger, MemoryLedger, Query, Record, RecordId, Span, SqliteLedger,
};
use http_body_util::{BodyExt, Full};
use llm_exchange::Money;
use proptest::prelude::*;
use testkit::{Answer, Script};
use tower::{Layer, ServiceExt};

use crate::{contract::at, sqlite::File};

const BODY: &str = r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}]}"#;

/// One call through the layer that uses so many tokens.
async fn call(layer: &CostLayer, input: u64, output: u64) {
    let answer = format!(
        r#"{{"model":"gpt-6-sol","choices":[{{"index":0,"message":{{"content":"x"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{input},"completion_tokens":{output}}}}}"#
    );
    let request = http::Request::post("https://api.openai.com/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::from(BODY))
        .unwrap();
    let script = Script::new().then(Answer::json(200, answer));
    let response = layer.layer(script).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
}

/// One of its own for each case: the threads of the ledger before may still be closing theirs, and what SQLite
/// keeps beside it.
fn new_file() -> File {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    File::new(&format!("exact-{}", NUMBER.fetch_add(1, Relaxed)))
}

fn charged(picos: u64) -> Arc<Record> {
    let mut entry = Entry::new(RecordId::new(), at(3_600), "m");
    let mut charge = Charge::default();
    charge.stated = Some(Money::from_picos(picos.into()));
    entry.charge = Some(charge);
    Arc::new(Record::new(entry, Vec::new()))
}

async fn total(ledger: &dyn Ledger) -> u128 {
    let sums = ledger.spend(&Query::new(Span::all(), By::Total)).await;
    sums.unwrap()[0].cost.picos()
}

/// So many equal charges, added up by halves.
fn added(one: Money, count: u64) -> Money {
    let bits = (0..u64::BITS - count.leading_zeros()).rev();
    bits.fold(Money::ZERO, |sum, bit| {
        let twice = sum.saturating_add(sum);
        match count >> bit & 1 {
            1 => twice.saturating_add(one),
            _ => twice,
        }
    })
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The tokens of a call cost 2 and 10 micro-dollars each up to 272,000 in its prompt.
    #[test]
    fn what_calls_cost_is_what_their_tokens_cost_one_by_one(
        calls in proptest::collection::vec((0_u64..=272_000, 0_u64..=1_000_000), 1..20),
    ) {
        run(async {
            let file = new_file();
            let layers = [
                CostLayer::default(),
                CostLayer::default().ledger(SqliteLedger::open(&file.0).unwrap()),
            ];
            let each = calls.iter().map(|(input, output)| {
                u128::from(*input) * 2_000_000 + u128::from(*output) * 10_000_000
            });
            let expected: u128 = each.sum();
            for layer in layers {
                for (input, output) in &calls {
                    call(&layer, *input, *output).await;
                }
                let handle = layer.handle();
                assert_eq!(handle.stats().cost.picos(), expected);
                let query = Query::new(Span::all(), By::Total);
                let sums = handle.spend(&query).await.unwrap();
                assert_eq!(sums[0].cost.picos(), expected);
                assert_eq!(sums[0].requests, calls.len() as u64);
            }
        });
    }

    /// Up to the most that a call may cost in a table, a million dollars.
    #[test]
    fn ledgers_lose_nothing_of_any_charges(
        charges in proptest::collection::vec(0..=1_000_000_000_000_000_000_u64, 1..200),
    ) {
        run(async {
            let file = new_file();
            let memory = MemoryLedger::default();
            let sqlite = SqliteLedger::open(&file.0).unwrap();
            let records: Vec<_> = charges.iter().map(|picos| charged(*picos)).collect();
            let expected: u128 = charges.iter().copied().map(u128::from).sum();
            memory.append(&records).await.unwrap();
            sqlite.append(&records).await.unwrap();
            assert_eq!((total(&memory).await, total(&sqlite).await), (expected, expected));
        });
    }

    #[test]
    fn billions_of_charges_add_up_to_their_product(
        charges in proptest::collection::vec((any::<u64>(), 1_u64..=4_000_000_000), 1..20),
    ) {
        let sum = charges.iter().fold(Money::ZERO, |sum, (picos, count)| {
            sum.saturating_add(added(Money::from_picos((*picos).into()), *count))
        });
        let products = charges.iter().map(|(picos, count)| u128::from(*picos) * u128::from(*count));
        prop_assert_eq!(sum.picos(), products.sum::<u128>());
    }
}
