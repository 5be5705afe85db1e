//! The scripts, what they are given and what they answer.

use std::{fmt::Write as _, sync::atomic::Ordering::Relaxed, time::Duration};

use redis::{Script, ScriptInvocation, Value};

use super::{
    Shared,
    worker::{Series, Settlement},
};
use crate::{
    account::MOST,
    store::{Claim, Edit, Scope, Share, Standing},
};

pub(super) struct Scripts {
    reserve: Script,
    pub(super) settle: Script,
    edit: Script,
    pub(super) renew: Script,
}

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(
            include_str!("account.lua"),
            "\n",
            include_str!($name)
        ))
    };
}

/// The end of all time in the scripts: larger than any time and any amount, and exact.
const NEVER: u64 = 1 << 52;

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            reserve: script!("reserve.lua"),
            settle: script!("settle.lua"),
            edit: script!("edit.lua"),
            renew: script!("renew.lua"),
        }
    }

    pub(super) fn reserve(
        &self,
        shared: &Shared,
        id: &str,
        claims: &[Claim],
    ) -> ScriptInvocation<'_> {
        let mut call = self.reserve.prepare_invoke();
        call.arg(shared.skew.load(Relaxed)).arg(id);
        call.arg(millis(shared.lease))
            .arg(u8::from(shared.charges_lapsed));
        add_claims(&mut call, shared, claims, |claim| (claim.least, claim.most));
        call
    }

    pub(super) fn settle(
        &self,
        shared: &Shared,
        settlement: &Settlement,
        series: Series,
        begins: bool,
    ) -> ScriptInvocation<'_> {
        let mut call = self.settle.prepare_invoke();
        call.arg(shared.skew.load(Relaxed))
            .arg(&settlement.id)
            .arg(series.number)
            .arg(u8::from(begins));
        call.key(format!("{{{}}}:booked:{:016x}", shared.prefix, series.name));
        let mut used = settlement.used.iter().copied();
        add_claims(&mut call, shared, &settlement.claims, |_| {
            (used.next().unwrap_or(0), 0)
        });
        call
    }

    pub(super) fn edit(
        &self,
        shared: &Shared,
        edit: Option<Edit>,
        claims: &[Claim],
    ) -> ScriptInvocation<'_> {
        let (what, amount) = match edit {
            None => ("read", 0),
            Some(Edit::Limit(Some(limit))) => ("limit", limit.min(MOST)),
            Some(Edit::Limit(None)) => ("usual", 0),
            Some(Edit::Grant(amount)) => ("grant", amount.min(MOST)),
            Some(Edit::Reset) => ("reset", 0),
        };
        let mut call = self.edit.prepare_invoke();
        call.arg(shared.skew.load(Relaxed)).arg(what).arg(amount);
        call.arg(u8::from(shared.charges_lapsed));
        add_claims(&mut call, shared, claims, |_| (0, 0));
        call
    }

    pub(super) fn renew<'s>(
        &'s self,
        shared: &Shared,
        alive: &[(String, &[Claim])],
    ) -> ScriptInvocation<'s> {
        let mut call = self.renew.prepare_invoke();
        call.arg(shared.skew.load(Relaxed))
            .arg(millis(shared.lease));
        for (id, claims) in alive {
            for claim in *claims {
                add_keys(&mut call, shared, &claim.scope);
                call.arg(1).arg(id);
            }
        }
        call
    }
}

fn add_claims(
    call: &mut ScriptInvocation<'_>,
    shared: &Shared,
    claims: &[Claim],
    mut amounts: impl FnMut(&Claim) -> (u64, u64),
) {
    let now = shared.now();
    for claim in claims {
        add_keys(call, shared, &claim.scope);
        call.arg(claim.window.form().as_str());
        match claim.window.part() {
            Some(part) => call.arg(0).arg(0).arg(part),
            None => {
                let period = claim.window.period(now);
                let end = period.end.min(NEVER);
                let next = if end == NEVER {
                    NEVER + 1
                } else {
                    claim.window.period(end).end
                };
                call.arg(period.start).arg(end).arg(next)
            }
        };
        let (least, most) = amounts(claim);
        call.arg(claim.limit.min(MOST))
            .arg(least.min(MOST))
            .arg(most.min(MOST));
        call.arg(u8::from(claim.enforced));
    }
}

fn add_keys(call: &mut ScriptInvocation<'_>, shared: &Shared, scope: &Scope) {
    let mut key = format!("{{{}}}:{}:", shared.prefix, escaped(scope.limit()));
    key.push_str(&escaped(scope.owner()));
    call.key(format!("{key}:used"));
    call.key(format!("{key}:held"));
    call.key(format!("{key}:leases"));
}

/// Names of any characters, so that no two make one key.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte) {
            text.push(byte.into());
        } else {
            // writing to a string does not fail
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(u64::MAX)
        .min(MOST)
}

/// What a script answers.
#[derive(Debug)]
pub(super) enum Reply {
    Granted {
        now: u64,
        share: Share,
        standings: Vec<Standing>,
    },
    Refused {
        now: u64,
        index: usize,
        standings: Vec<Standing>,
    },
    Read {
        now: u64,
        standings: Vec<Standing>,
    },
    Done {
        now: u64,
    },
    /// A settlement before this one is missing.
    Gap {
        now: u64,
    },
    /// Our windows are not those of the server's clock.
    OtherClock {
        now: u64,
    },
}

impl Reply {
    pub(super) const fn now(&self) -> u64 {
        match self {
            Self::Granted { now, .. }
            | Self::Refused { now, .. }
            | Self::Read { now, .. }
            | Self::Done { now }
            | Self::Gap { now }
            | Self::OtherClock { now } => *now,
        }
    }

    pub(super) fn read(value: &Value) -> Option<Self> {
        let Value::Array(values) = value else {
            return None;
        };
        let (what, rest) = values.split_first()?;
        let what = match what {
            Value::BulkString(text) => &text[..],
            Value::SimpleString(text) => text.as_bytes(),
            _ => return None,
        };
        let numbers: Vec<i64> = rest
            .iter()
            .map(|value| match value {
                Value::Int(number) => Some(*number),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let (now, numbers) = numbers.split_first()?;
        let now = u64::try_from(*now).ok()?;
        match what {
            b"done" => return Some(Self::Done { now }),
            b"gap" => return Some(Self::Gap { now }),
            b"clock" => return Some(Self::OtherClock { now }),
            _ => {}
        }
        let (number, numbers) = numbers.split_first()?;
        let standings = numbers.chunks(5).map(standing).collect::<Option<_>>()?;
        match what {
            b"granted" => Some(Self::Granted {
                now,
                share: Share::new(u32::try_from(*number).ok()?),
                standings,
            }),
            b"refused" => Some(Self::Refused {
                now,
                index: usize::try_from(*number).ok()?.checked_sub(1)?,
                standings,
            }),
            b"read" => Some(Self::Read { now, standings }),
            _ => None,
        }
    }
}

fn standing(numbers: &[i64]) -> Option<Standing> {
    let &[used, reserved, limit, wait, is_over] = numbers else {
        return None;
    };
    Some(Standing {
        used: u64::try_from(used).ok()?,
        reserved: u64::try_from(reserved).ok()?,
        limit: u64::try_from(limit).ok()?,
        wait: u64::try_from(wait).ok().map(Duration::from_millis),
        is_over: is_over == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_make_one_key() {
        assert_eq!(escaped("alice@example.com"), "alice@example.com");
        assert_eq!(escaped("a:b{c}%é"), "a%3ab%7bc%7d%25%c3%a9");
    }

    #[test]
    fn an_answer_that_is_none_is_not_read() {
        for value in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![Value::BulkString(b"granted".to_vec()), Value::Int(1)]),
            Value::Array(vec![Value::BulkString(b"done".to_vec()), Value::Int(-1)]),
            Value::Array(vec![
                Value::BulkString(b"granted".to_vec()),
                Value::Int(1),
                Value::Int(2),
                Value::Int(3),
            ]),
        ] {
            assert!(Reply::read(&value).is_none(), "{value:?}");
        }
    }
}
