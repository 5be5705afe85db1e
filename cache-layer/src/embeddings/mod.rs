//! Embeddings, text by text: a batch asks only for what is not known.
//!
//! Each text of a call has a key of its own, made of the call without its texts and of the text, so that
//! it is known again in any batch and alone. What is known comes from the store, what another call asks
//! for just now from that call's flight, and the rest from one flight of this call, for others to join.

mod answer;
mod asked;
mod came;
mod keep;
mod merge;
mod round;
mod texts;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

pub(crate) use self::{answer::is_answer, asked::Asked, texts::Batch};

/// The most bytes of a batch's answer that are held; a larger one passes where it can.
const LARGEST: usize = 64 << 20;

/// Waits for all of these at once, or until one is `enough`: what there is of each by then.
async fn all<F>(
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
