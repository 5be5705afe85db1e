//! What became known while the store was asked is not asked for again.

use std::{future::Future, pin::Pin, sync::Arc};

use cache_layer::{
    CacheLayer, Entry, Found, MemoryStore, Put, Remove, Removing, Store, StoreSize, Wanted,
};
use tokio::time::sleep;

use crate::{common::*, embedder::*};

/// Says after a second what it knew before.
#[derive(Clone)]
struct Late(MemoryStore);

impl Store for Late {
    type Get = Pin<Box<dyn Future<Output = Found<u64>> + Send>>;
    type Ticket = u64;

    fn get(&self, wanted: &Wanted) -> Self::Get {
        let known = self.0.get(wanted);
        Box::pin(async {
            sleep(SECOND).await;
            known.await
        })
    }

    fn get_now(&self, wanted: &Wanted) -> Option<Arc<Entry>> {
        self.0.get_now(wanted)
    }

    fn put(&self, wanted: &Wanted, entry: Arc<Entry>, ticket: u64) -> Put {
        self.0.put(wanted, entry, ticket)
    }

    fn remove(&self, what: Remove) -> Removing {
        self.0.remove(what)
    }

    fn size(&self) -> StoreSize {
        self.0.size()
    }
}

fn late() -> CacheLayer<Late> {
    CacheLayer::new()
        .clock(clock())
        .store(Late(MemoryStore::new(1 << 20)))
}

#[tokio::test(start_paused = true)]
async fn of_a_call() {
    let (layer, script) = (late(), Script::new().then(answered()));
    let second = async {
        sleep(SECOND / 2).await;
        ask(&layer, &script, post(CHAT)).await
    };
    let (first, second) = tokio::join!(ask(&layer, &script, post(CHAT)), second);
    assert_eq!((first.cache(), second.cache()), ("miss", "hit"));
    assert_eq!((second.text, script.calls()), (ANSWER.to_owned(), 1));
}

#[tokio::test(start_paused = true)]
async fn of_the_texts_of_a_batch() {
    let (layer, provider) = (late(), Provider::default());
    let (one, two) = (of(vec!["a", "b"]), of(vec!["b", "c", "a"]));
    let second = async {
        sleep(SECOND / 2).await;
        asks(&layer, &provider, &two).await
    };
    let (first, second) = tokio::join!(asks(&layer, &provider, &one), second);
    assert_eq!(
        (parts(&first).0, parts(&second).0),
        (expected(&one), expected(&two))
    );
    assert_eq!(provider.asked(), [vec!["a", "b"], vec!["c"]]);
}
