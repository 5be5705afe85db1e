//! Writes bodies: pace, pings, and what goes wrong in the middle.

use std::{future, time::Duration};

use bytes::Bytes;
use tokio::time::sleep;

use crate::{
    ask::Answer,
    behaviour::{At, Behaviour, BodyFault, Fault, LineEnd},
    body::{Cut, FakeBody, Writer},
    dialect::Dialect,
    log::Ticket,
};

/// Time that what was written before a cut has to get out: HTTP/2 forgets on a reset what is still
/// queued.
const SETTLE: Duration = Duration::from_millis(5);

async fn cut() -> Result<(), Cut> {
    sleep(SETTLE).await;
    Err(Cut)
}

/// An answer that is not streamed.
pub(crate) fn whole(
    dialect: Dialect,
    number: u64,
    ticket: Ticket,
    json: String,
    behaviour: &Behaviour,
) -> FakeBody {
    let segment = behaviour.shape.segment;
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
            let error = Bytes::from(dialect.error_in_200(number, error.as_ref()));
            FakeBody::cut_into(ticket, segment, error)
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
    let (pace, end) = (behaviour.pace, behaviour.shape.line_end);
    let (at, fault) = match behaviour.fault {
        Some(Fault::Body(at, fault)) => (Some(at), fault),
        _ => (None, BodyFault::End),
    };
    let trouble = Trouble {
        dialect,
        number,
        fault,
        end,
    };
    if at == Some(At::First) {
        return trouble.happen(&mut writer).await;
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
            return trouble.happen(&mut writer).await;
        }
        if event.delta {
            if sent == 0 {
                think(&mut writer, dialect, end, pace.think, pace.ping).await;
            } else {
                sleep(pace.delta).await;
            }
            if pace.ping_every.is_some_and(|every| sent % every.get() == 0) {
                writer.write(dialect.ping(end)).await;
            }
            sent += 1;
        }
        writer.write(event.encode(end)).await;
        if event.delta && last == Some(sent) {
            return trouble.happen(&mut writer).await;
        }
    }
    Ok(())
}

/// What goes wrong in a stream.
struct Trouble {
    dialect: Dialect,
    number: u64,
    fault: BodyFault,
    end: LineEnd,
}

impl Trouble {
    async fn happen(&self, writer: &mut Writer) -> Result<(), Cut> {
        match &self.fault {
            BodyFault::Stall => future::pending().await,
            BodyFault::Break => cut().await,
            BodyFault::End => Ok(()),
            BodyFault::Error(error) => {
                let event = self.dialect.error_event(self.number, error.as_ref());
                writer.write(event.encode(self.end)).await;
                Ok(())
            }
        }
    }
}

async fn think(
    writer: &mut Writer,
    dialect: Dialect,
    end: LineEnd,
    time: Duration,
    ping: Option<Duration>,
) {
    let Some(every) = ping else {
        return sleep(time).await;
    };
    let mut left = time;
    while left > every {
        sleep(every).await;
        writer.write(dialect.ping(end)).await;
        left -= every;
    }
    sleep(left).await;
}
