use cost_layer::MemoryLedger;

use crate::contract;

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::check(&MemoryLedger::new()).await.unwrap();
    contract::check_exports(MemoryLedger::new()).await;
}
