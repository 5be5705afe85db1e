//! Futures that are waited for together.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// Waits for all of these at once, or until one is `enough`: what there is of each by then.
pub(crate) async fn all<F>(
    futures: Vec<F>,
    enough: impl Fn(usize, &F::Output) -> bool,
) -> Vec<Option<F::Output>>
where
    F: Future + Unpin,
{
    let mut futures: Vec<_> = futures.into_iter().map(Some).collect();
    let mut outputs: Vec<_> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut waits = false;
        for (number, place) in futures.iter_mut().enumerate() {
            let Some(future) = place else { continue };
            match Pin::new(future).poll(cx) {
                Poll::Pending => waits = true,
                Poll::Ready(output) => {
                    *place = None;
                    let is_enough = enough(number, &output);
                    outputs[number] = Some(output);
                    if is_enough {
                        return Poll::Ready(());
                    }
                }
            }
        }
        if waits {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    outputs
}
