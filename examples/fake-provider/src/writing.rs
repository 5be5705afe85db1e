//! Writes bodies: pace, pings, and what goes wrong in the middle.

use std::{future, time::Duration};

use bytes::Bytes;
use tokio::time::sleep;

use crate::{
    ask::Answer,
    behaviour::{At, Behaviour, BodyFault, Fault, LineEnd, Shape},
    body::{Cut, FakeBody, Writer},
    dialect::{Dialect, in_200},
    log::Ticket,
};

/// Time that what was written before a cut has to get out: HTTP/2 forgets on a reset what is still
/// queued.
const SETTLE: Duration = Duration::from_millis(5);

async fn cut() -> Result<(), Cut> {
    sleep(SETTLE).await;
    Err(Cut)
}

/// An answer that is not streamed, written after `blank`, which keeps the connection alive for
/// `pause`.
pub(crate) fn whole(
    dialect: Dialect,
    number: u64,
    ticket: Ticket,
    json: String,
    behaviour: &Behaviour,
    (blank, pause): (&'static str, Duration),
) -> FakeBody {
    let segment = behaviour.shape.segment;
    if !blank.is_empty() && behaviour.fault.is_none() {
        return FakeBody::new(ticket, None, segment, move |mut writer| async move {
            writer.write(Bytes::from_static(blank.as_bytes())).await;
            sleep(pause).await;
            writer.write(json.into()).await;
            Ok(())
        });
    }
    let mut bytes = Bytes::from(json);
    let length = bytes.len() as u64;
    let Some(Fault::Body(at, fault)) = behaviour.fault.clone() else {
        return FakeBody::cut_into(ticket, segment, bytes);
    };
    let sent = if at == At::First { 0 } else { bytes.len() / 2 };
    bytes.truncate(sent);
    match fault {
        BodyFault::Stall => FakeBody::new(ticket, Some(length), segment, |mut writer| async move {
            writer.write(bytes).await;
            future::pending().await
        }),
        BodyFault::Break => FakeBody::new(ticket, Some(length), segment, |mut writer| async move {
            writer.write(bytes).await;
            cut().await
        }),
        BodyFault::End => FakeBody::new(ticket, None, segment, |mut writer| async move {
            writer.write(bytes).await;
            Ok(())
        }),
        BodyFault::Error(error) => {
            let error = in_200(dialect, number, error.as_deref(), &behaviour.shape);
            FakeBody::cut_into(ticket, segment, error.body.into())
        }
    }
}

/// A stream.
pub(crate) async fn stream(
    mut writer: Writer,
    dialect: Dialect,
    number: u64,
    answer: Answer,
    behaviour: Behaviour,
) -> Result<(), Cut> {
    let (pace, shape) = (behaviour.pace, behaviour.shape);
    let end = shape.line_end.unwrap_or(dialect.line_end());
    let (at, fault) = match behaviour.fault {
        Some(Fault::Body(at, fault)) => (Some(at), fault),
        _ => (None, BodyFault::End),
    };
    let ping = || dialect.ping(&shape).map(|event| event.encode(end));
    let trouble = Trouble {
        dialect,
        number,
        fault,
        shape: &shape,
        end,
    };
    if at == Some(At::First) {
        return trouble.happen(&mut writer, 0).await;
    }
    let deltas = answer.deltas();
    let last = match at {
        Some(At::Delta(k)) => Some(k.get().min(deltas)),
        Some(_) => Some(0),
        None => None,
    };
    let mut sent = 0;
    for (nth, event) in dialect.events(answer).enumerate() {
        // an answer without a delta has been opened by its first event
        let opened = event.delta || (deltas == 0 && nth > 0);
        if last == Some(0) && opened {
            return trouble.happen(&mut writer, nth).await;
        }
        if event.delta {
            if sent == 0 {
                think(&mut writer, ping, pace.think, pace.ping).await;
            } else {
                sleep(pace.delta).await;
            }
            if pace.ping_every.is_some_and(|every| sent % every.get() == 0)
                && let Some(ping) = ping()
            {
                writer.write(ping).await;
            }
            sent += 1;
        }
        let delta = event.delta;
        writer.write(event.encode(end)).await;
        if delta && last == Some(sent) {
            return trouble.happen(&mut writer, nth + 1).await;
        }
    }
    Ok(())
}

/// What goes wrong in a stream.
struct Trouble<'s> {
    dialect: Dialect,
    number: u64,
    fault: BodyFault,
    shape: &'s Shape,
    end: LineEnd,
}

impl Trouble<'_> {
    async fn happen(&self, writer: &mut Writer, before: usize) -> Result<(), Cut> {
        match &self.fault {
            BodyFault::Stall => future::pending().await,
            BodyFault::Break => cut().await,
            BodyFault::End => Ok(()),
            BodyFault::Error(error) => {
                let problem = in_200(self.dialect, self.number, error.as_deref(), self.shape);
                for event in self.dialect.error_events(problem, before, self.shape) {
                    writer.write(event.encode(self.end)).await;
                }
                Ok(())
            }
        }
    }
}

async fn think(
    writer: &mut Writer,
    sign_of_life: impl Fn() -> Option<Bytes>,
    time: Duration,
    every: Option<Duration>,
) {
    let mut left = time;
    if let Some(every) = every {
        while left > every {
            sleep(every).await;
            if let Some(ping) = sign_of_life() {
                writer.write(ping).await;
            }
            left -= every;
        }
    }
    sleep(left).await;
}
