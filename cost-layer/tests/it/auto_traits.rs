//! What axum, hyper and `tokio::spawn` ask for.

use cost_layer::*;
use http_body_util::Full;
use testkit::Script;

fn all<T: Send + Sync + Unpin + 'static>() {}
fn spawnable<T: Send + 'static>() {}

#[test]
fn public_types_are_send_sync_and_unpin() {
    all::<Alert>();
    all::<Alerts>();
    all::<Booked>();
    all::<Charge>();
    all::<Cost<Script>>();
    all::<CostBody<Full<bytes::Bytes>>>();
    all::<CostHandle>();
    all::<CostLayer>();
    all::<Day>();
    all::<Entry>();
    all::<ExportError>();
    all::<Latency>();
    all::<LedgerError>();
    all::<MemoryLedger>();
    all::<NotReplaced>();
    all::<Overflow>();
    all::<Page>();
    all::<PerMillion>();
    all::<Prices>();
    all::<Pricing>();
    all::<Query>();
    all::<Record>();
    all::<RecordId>();
    all::<Spend>();
    all::<Tags>();
    spawnable::<CostFuture<Script>>();
    let _: Option<Box<dyn Ledger>> = None;
}
