//! The probe lets honest services pass and catches each way to be dishonest about readiness.

use std::{
    convert::Infallible,
    future::{Future, Ready, poll_fn, ready},
    mem,
    pin::pin,
    task::{Context, Poll, Waker},
};

use testkit::Probe;
use tower_service::Service;

/// Answers with what it got.
#[derive(Clone, Debug)]
struct Echo<E = Infallible>(std::marker::PhantomData<fn() -> E>);

fn echo<E>() -> Probe<Echo<E>, E> {
    Probe::new(Echo(std::marker::PhantomData))
}

impl<E> Service<u32> for Echo<E> {
    type Response = u32;
    type Error = E;
    type Future = Ready<Result<u32, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u32) -> Self::Future {
        ready(Ok(number))
    }
}

async fn make_ready<S: Service<u32>>(service: &mut S) -> Result<(), S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await
}

fn poll_once<S: Service<u32>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

/// The classic fault: asks itself, then calls a clone that nobody asked.
struct CallsTheClone<S>(S);
/// The same layer done right: the ready instance is taken, the clone stays behind.
struct CallsItself<S>(S);

impl<S: Service<u32> + Clone> CallsTheClone<S> {
    async fn run(&mut self) -> Result<S::Response, S::Error> {
        make_ready(&mut self.0).await?;
        self.0.clone().call(1).await
    }
}

impl<S: Service<u32> + Clone> CallsItself<S> {
    async fn run(&mut self) -> Result<S::Response, S::Error> {
        make_ready(&mut self.0).await?;
        let clone = self.0.clone();
        mem::replace(&mut self.0, clone).call(1).await
    }
}

#[tokio::test]
#[should_panic(expected = "called without readiness")]
async fn a_layer_that_calls_the_clone_is_caught() {
    let _ = CallsTheClone(echo::<Infallible>()).run().await;
}

#[tokio::test]
async fn a_layer_that_calls_the_ready_instance_passes() {
    let probe = echo::<Infallible>();
    let seen = probe.handle();
    let mut layer = CallsItself(probe);
    layer.run().await.unwrap();
    layer.run().await.unwrap();
    drop(layer);
    assert_eq!(
        (seen.calls(), seen.clones(), seen.grants(), seen.unused()),
        (2, 2, 2, 0)
    );
}

#[tokio::test]
#[should_panic(expected = "called without readiness")]
async fn two_calls_for_one_readiness_are_caught() {
    let mut probe = echo::<Infallible>();
    make_ready(&mut probe).await.unwrap();
    drop(probe.call(1));
    drop(probe.call(2));
}

#[tokio::test]
async fn a_readiness_that_nobody_used_is_counted() {
    let mut probe = echo::<Infallible>();
    let seen = probe.handle();
    make_ready(&mut probe).await.unwrap();
    make_ready(&mut probe).await.unwrap(); // asking again is no second grant
    assert_eq!((seen.grants(), seen.unused()), (1, 0));
    drop(probe);
    assert_eq!(seen.unused(), 1);
}

#[tokio::test]
async fn it_is_pending_as_often_as_told_before_each_readiness() {
    let mut probe = echo::<Infallible>().pending(2);
    for _ in 0..2 {
        assert!(poll_once(&mut probe).is_pending());
        assert!(poll_once(&mut probe).is_pending());
        assert!(poll_once(&mut probe).is_ready());
        assert_eq!(probe.call(7).await, Ok(7));
    }
}

#[tokio::test]
async fn a_pending_probe_wakes_who_waits() {
    let mut probe = echo::<Infallible>().pending(3);
    make_ready(&mut probe).await.unwrap();
}

#[tokio::test]
async fn it_is_never_ready_twice_not_even_through_a_clone() {
    let mut probe = echo::<Infallible>().ready_times(1);
    let mut clone = probe.clone();
    make_ready(&mut probe).await.unwrap();
    assert!(
        poll_once(&mut probe).is_ready(),
        "it still has the one it was given"
    );
    drop(probe.call(1));
    assert!(poll_once(&mut probe).is_pending());
    assert!(poll_once(&mut clone).is_pending());
}

#[test]
fn it_can_be_never_ready() {
    let mut probe = echo::<Infallible>().ready_times(0);
    let mut readiness = pin!(make_ready(&mut probe));
    let mut cx = Context::from_waker(Waker::noop());
    assert!((0..100).all(|_| readiness.as_mut().poll(&mut cx).is_pending()));
}

#[tokio::test]
async fn it_fails_with_the_given_error_once_and_clones_go_on() {
    let mut probe = echo::<String>().fail_ready("down");
    let mut clone = probe.clone();
    assert_eq!(make_ready(&mut probe).await, Err("down".to_owned()));
    assert_eq!(make_ready(&mut clone).await, Ok(()));
}

#[tokio::test]
#[should_panic(expected = "called after its poll_ready failed")]
async fn calling_an_instance_that_failed_is_caught() {
    let mut probe = echo::<String>().fail_ready("down");
    let _ = make_ready(&mut probe).await;
    drop(probe.call(1));
}

#[tokio::test]
#[should_panic(expected = "polled again after its poll_ready failed")]
async fn polling_an_instance_that_failed_is_caught() {
    let mut probe = echo::<String>().fail_ready("down");
    let _ = make_ready(&mut probe).await;
    let _ = make_ready(&mut probe).await;
}
