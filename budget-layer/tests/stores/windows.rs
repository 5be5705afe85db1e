//! A limit of the same name that is counted over another time.

use std::time::Duration;

use budget_layer::{
    Window, Zone,
    store::{Claim, Store},
};

use crate::{redis::OnServer, server::Server, world::*};

fn over(window: Window, amount: u64) -> [Claim; 1] {
    [claim("limit", "alice", window, 1_000, amount)]
}

fn rolling(millis: u64) -> Window {
    Window::rolling(Duration::from_millis(millis))
}

/// What is used over each of these windows, one after the other, in which 10 more are charged each
/// time, after so much time.
async fn used_over<W: World>(world: &mut W, windows: &[(Window, u64)], crashes: bool) -> Vec<u64> {
    let mut used = Vec::new();
    for (window, later) in windows {
        world.advance(*later);
        world.store().charge(&over(window.clone(), 10));
        world.settled().await;
        used.push(read(world.store(), &over(window.clone(), 0)[0]).await.used);
        if crashes {
            world.crash().await;
        }
    }
    used
}

async fn keep_what_was_used<W: World>(mut new: impl FnMut() -> W) {
    let day = || Window::day(&Zone::UTC);
    let month = || Window::month(&Zone::UTC);
    for crashes in [false, true] {
        let all = [
            (rolling(HOUR), 0),
            (rolling(2 * DAY), 0),
            (rolling(6 * HOUR), 0),
            (day(), 0),
            (month(), 0),
            (Window::total(), 0),
            (day(), 0),
        ];
        let used = used_over(&mut new(), &all, crashes).await;
        assert_eq!(used, [10, 20, 30, 40, 50, 60, 70]);
        // the day is over when the limit becomes one of all time
        let longer = [
            (day(), 0),
            (Window::total(), 3 * DAY),
            (rolling(5 * DAY), DAY),
        ];
        assert_eq!(used_over(&mut new(), &longer, crashes).await, [10, 20, 30]);
        // what was used before the window began is not in it
        let shorter = [(day(), 0), (rolling(HOUR), 2 * DAY), (day(), 2 * DAY)];
        assert_eq!(used_over(&mut new(), &shorter, crashes).await, [10, 10, 10]);
        let parts = [(rolling(2 * DAY), 0), (rolling(HOUR), 5 * HOUR), (day(), 0)];
        assert_eq!(used_over(&mut new(), &parts, crashes).await, [10, 10, 20]);
    }
}

#[tokio::test]
async fn in_memory_what_was_used_is_kept_where_a_limit_has_another_window() {
    keep_what_was_used(InMemory::new).await;
}

#[tokio::test]
async fn in_redis_what_was_used_is_kept_where_a_limit_has_another_window() {
    let Some(server) = Server::start(false) else {
        return;
    };
    let mut number = 0;
    keep_what_was_used(|| {
        number += 1;
        OnServer::new(&server, &format!("windows-{number}"))
    })
    .await;
}
