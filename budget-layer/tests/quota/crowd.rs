//! Many callers at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use budget_layer::quota::ProviderQuotaLayer;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use llm_exchange::Payload;
use proptest::{prelude::*, test_runner::TestRunner};
use tower::{Layer, Service, ServiceExt};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn when_the_gate_opens_one_goes_first_and_the_others_follow_apart() {
    let script = Script::new()
        .then(throttled(2_000))
        .then(answered().after(SECOND / 2))
        .then_always(answered);
    let layer = ProviderQuotaLayer::new();
    let (handle, service) = (layer.handle(), service(&layer, &script));
    call(&service, chat()).await;
    let waiting = join_all((0..50).map(|_| call(&service, chat())));
    let watching = async {
        sleep(SECOND).await;
        assert_eq!((script.calls(), handle.held()[0].waiting), (1, 50));
        sleep(SECOND * 5 / 4).await;
        assert_eq!(script.calls(), 2);
        sleep(SECOND / 2).await;
        // half a second after its head came, about half of them over a second
        assert!((6..48).contains(&script.calls()), "{}", script.calls());
    };
    let (calls, ()) = tokio::join!(waiting, watching);
    assert!(calls.iter().all(|call| call.0 == 200));
    let last = calls.iter().map(|call| call.1).max().unwrap();
    assert!(last > SECOND * 3 && last <= SECOND * 7 / 2, "{last:?}");
    assert_eq!(script.calls(), 51);
}

#[tokio::test(start_paused = true)]
async fn where_the_first_is_throttled_again_the_others_go_on_waiting() {
    let script = Script::new()
        .then(throttled(1_000))
        .then(throttled(3_000).after(SECOND / 10))
        .then_always(answered);
    let service = service(&ProviderQuotaLayer::new(), &script);
    call(&service, chat()).await;
    let calls = join_all((0..20).map(|_| call(&service, chat()))).await;
    let throttled = calls.iter().filter(|call| call.0 == 429).count();
    assert_eq!((throttled, script.calls()), (1, 21));
    let others = calls.iter().filter(|call| call.0 == 200);
    assert!(others.clone().all(|call| call.1 >= SECOND * 41 / 10));
}

#[tokio::test(start_paused = true)]
async fn a_first_one_whose_answer_takes_long_holds_the_others_for_a_second() {
    let script = Script::new()
        .then(throttled(1_000))
        .then(answered().after(SECOND * 60))
        .then_always(answered);
    let service = service(&ProviderQuotaLayer::new(), &script);
    call(&service, chat()).await;
    let calls = join_all((0..20).map(|_| call(&service, chat()))).await;
    assert_eq!(calls[0], (200, SECOND * 61));
    assert!(
        calls[1..]
            .iter()
            .all(|call| call.1 >= SECOND * 2 && call.1 <= SECOND * 12 / 5)
    );
}

#[tokio::test(start_paused = true)]
async fn more_than_so_many_do_not_wait() {
    let script = Script::new().then(throttled(5_000)).then_always(answered);
    let layer = ProviderQuotaLayer::new().max_waiters(30);
    let service = service(&layer, &script);
    call(&service, chat()).await;
    let calls = join_all((0..50).map(|_| call(&service, chat()))).await;
    let refused = calls.iter().filter(|call| **call == (429, AT_ONCE));
    assert_eq!((refused.count(), script.calls()), (20, 31));
}

#[tokio::test(start_paused = true)]
async fn where_all_places_are_taken_nobody_overtakes_those_that_wait_for_the_first() {
    let script = Script::new()
        .then(throttled(1_000))
        .then(answered().after(SECOND / 2))
        .then_always(answered);
    let layer = ProviderQuotaLayer::new().max_waiters(3);
    let service = service(&layer, &script);
    call(&service, chat()).await;
    let waiting = join_all((0..3).map(|_| call(&service, chat())));
    let late = async {
        // one has gone first by then, and is not answered
        sleep(SECOND * 5 / 4).await;
        assert_eq!((script.calls(), layer.handle().held()[0].waiting), (2, 2));
        let waits = call(&service, chat());
        let refused = async {
            assert_eq!(call(&service, chat()).await, (429, AT_ONCE));
            assert_eq!(script.calls(), 2);
        };
        tokio::join!(waits, refused).0
    };
    let (calls, late) = tokio::join!(waiting, late);
    assert!(calls.iter().all(|call| call.0 == 200));
    assert_eq!((late.0, script.calls()), (200, 5));
}

/// A provider that lets so many calls pass in any second, and tells of it in one of its ways.
#[derive(Clone)]
struct Provider {
    per_second: usize,
    tells: Tells,
    passed: Arc<Mutex<VecDeque<Instant>>>,
    throttled: Arc<Mutex<usize>>,
}

#[derive(Clone, Copy, Debug)]
enum Tells {
    Delay,
    Window,
}

impl Service<Request<Payload>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            sleep(Duration::from_millis(5)).await;
            let now = Instant::now();
            let mut passed = this.passed.lock().unwrap();
            while passed.front().is_some_and(|at| *at + SECOND <= now) {
                passed.pop_front();
            }
            let passes = passed.len() < this.per_second;
            if passes {
                passed.push_back(now);
            } else {
                *this.throttled.lock().unwrap() += 1;
            }
            let left = this.per_second - passed.len();
            let next = (passed[0] + SECOND - now).as_secs_f64().max(0.001);
            let answer = Response::builder().status(if passes { 200 } else { 429 });
            let answer = match this.tells {
                Tells::Window => answer
                    .header("x-ratelimit-remaining", left)
                    .header("x-ratelimit-reset", next.to_string()),
                Tells::Delay => answer,
            };
            let answer = match (passes, this.tells) {
                (false, Tells::Delay) => answer.header("retry-after", next.to_string()),
                _ => answer,
            };
            Ok(answer.body(Full::from("{}"))?)
        })
    }
}

fn provider(tells: Tells, per_second: usize) -> Provider {
    Provider {
        per_second,
        tells,
        passed: Arc::default(),
        throttled: Arc::default(),
    }
}

/// Callers that come at these milliseconds: how many the provider throttled. None waits too long.
async fn run(tells: Tells, per_second: usize, arrivals: &[u64]) -> usize {
    let provider = provider(tells, per_second);
    let layer = ProviderQuotaLayer::new().max_wait(SECOND * 4);
    let service = layer.layer(provider.clone());
    let callers = arrivals.iter().map(|millis| {
        let service = service.clone();
        async move {
            sleep(Duration::from_millis(*millis)).await;
            let start = Instant::now();
            let response = service.oneshot(chat()).await.unwrap();
            assert!(start.elapsed() <= SECOND * 4 + SECOND / 100);
            let refused = llm_exchange::Refusal::of(&response).is_some();
            assert!(!refused || response.headers().contains_key("retry-after"));
        }
    });
    join_all(callers).await;
    assert!(layer.handle().held().iter().all(|held| held.waiting == 0));
    *provider.throttled.lock().unwrap()
}

/// The same without the layer.
async fn run_without(per_second: usize, arrivals: &[u64]) -> usize {
    let provider = provider(Tells::Delay, per_second);
    let callers = arrivals.iter().map(|millis| async {
        sleep(Duration::from_millis(*millis)).await;
        let request = Payload::read(chat(), 1 << 20).await;
        provider.clone().oneshot(request).await.unwrap();
    });
    join_all(callers).await;
    *provider.throttled.lock().unwrap()
}

#[test]
fn in_any_crowd_nobody_waits_too_long_and_every_place_is_given_back() {
    let config = ProptestConfig {
        max_shrink_iters: 200,
        ..ProptestConfig::with_cases(100)
    };
    let crowds = (
        prop::sample::select(vec![Tells::Delay, Tells::Window]),
        1usize..20,
        prop::collection::vec(0u64..3_000, 1..150),
    );
    let result = TestRunner::new(config).run(&crowds, |(tells, per_second, arrivals)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(tells, per_second, &arrivals));
        Ok(())
    });
    result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_crowd_at_ten_times_the_limit_is_throttled_a_third_as_often_as_without() {
    let arrivals: Vec<u64> = (0..300).map(|n| n * 10).collect();
    let without = run_without(10, &arrivals).await;
    assert!(without > 250, "{without}");
    for tells in [Tells::Delay, Tells::Window] {
        let throttled = run(tells, 10, &arrivals).await;
        assert!(throttled < without / 3, "{tells:?}: {throttled}");
    }
}

/// On several threads, in real time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_everybody_gets_an_answer_and_no_place_is_lost() {
    let provider = provider(Tells::Delay, 150);
    let layer = ProviderQuotaLayer::new().max_wait(SECOND * 30);
    let service = layer.layer(provider.clone());
    let callers: Vec<_> = (0..300)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let response = service.oneshot(chat()).await.unwrap();
                response.status().as_u16()
            })
        })
        .collect();
    let mut answered = 0;
    for caller in callers {
        answered += usize::from(caller.await.unwrap() == 200);
    }
    let throttled = *provider.throttled.lock().unwrap();
    assert_eq!(answered + throttled, 300);
    assert!(layer.handle().held().iter().all(|held| held.waiting == 0));
}
