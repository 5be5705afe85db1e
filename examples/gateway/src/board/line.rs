//! One call, in one line: what each layer did to it. Never a word of a prompt or an answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cost_layer::Record;
use llm_exchange::{FromCache, Money, Verdict};
use serde_json::{Value, json};

/// How the log says that a caller went away.
pub(crate) const CALLER_GONE: &str = "caller gone";

/// What a layer did to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was answered from the cache: `hit`, `shared`.
    Cached(&'static str),
    /// The budget reserved so many tokens for it.
    Reserved(u64),
    /// A model was asked in vain, and left so long after the one before, with the wait between them.
    Tried {
        model: Box<str>,
        verdict: &'static str,
        took: Duration,
    },
    /// A target was passed over, by the chain's word on why.
    Skipped(Box<str>),
    /// Its stream broke, and this target went on with it.
    WentOn(Box<str>),
    /// A layer refused it, by the code of its answer.
    Refused(&'static str),
}

/// A call that is over.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: SystemTime,
    pub(crate) user: Option<Box<str>>,
    /// As the caller asked.
    pub(crate) model: Box<str>,
    /// Who answered, where that is somebody else.
    pub(crate) served: Option<Box<str>>,
    pub(crate) steps: Vec<Step>,
    pub(crate) is_stream: bool,
    pub(crate) status: u16,
    /// What it came to: a verdict, or how its connection ended.
    pub(crate) end: &'static str,
    pub(crate) is_ok: bool,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) is_estimated: bool,
    /// `None`: not known.
    pub(crate) cost: Option<Money>,
    pub(crate) saved: Money,
    pub(crate) first_content: Option<Duration>,
    pub(crate) total: Duration,
    /// Further attempts.
    pub(crate) retries: u32,
}

impl Line {
    /// Takes from the call's record what that knows better.
    pub(crate) fn fill(&mut self, record: &Record) {
        let call = &record.call;
        self.end = call.verdict.as_str();
        self.is_ok = call.verdict == Verdict::Ok;
        self.input_tokens = call.usage.input();
        self.output_tokens = call.usage.output();
        self.is_estimated = call.is_estimated;
        self.cost = (!record.is_unpriced()).then(|| record.cost());
        self.saved = call.saved;
        self.first_content = call.first_content;
        self.total = call.total;
        if let Some(how) = call.from_cache {
            self.steps.push(Step::Cached(match how {
                FromCache::Shared => "shared",
                _ => "hit",
            }));
        }
    }

    pub(crate) fn is_cached(&self) -> bool {
        let cached = |step: &Step| matches!(step, Step::Cached(_));
        self.steps.iter().any(cached)
    }

    pub(crate) fn is_refused(&self) -> bool {
        let refused = |step: &Step| matches!(step, Step::Refused(_));
        self.steps.iter().any(refused)
    }

    /// Its caller went away before its end.
    pub(crate) fn is_left(&self) -> bool {
        // by the record, or by the log where there is none
        self.end == Verdict::CallerGone.as_str() || self.end == CALLER_GONE
    }

    pub(crate) fn fell_back(&self) -> bool {
        self.served.is_some()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "at": millis(self.at),
            "user": self.user,
            "model": self.model,
            "served": self.served,
            "steps": self.steps.iter().map(Step::json).collect::<Vec<_>>(),
            "stream": self.is_stream,
            "status": self.status,
            "end": self.end,
            "ok": self.is_ok,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "estimated": self.is_estimated,
            "cost_usd": self.cost.map(dollars),
            "first_token_ms": self.first_content.map(in_millis),
            "total_ms": in_millis(self.total),
        })
    }
}

impl Step {
    fn json(&self) -> Value {
        match self {
            Self::Cached(how) => json!({"cached": how}),
            Self::Reserved(tokens) => json!({"reserved": tokens}),
            Self::Tried {
                model,
                verdict,
                took,
            } => json!({"tried": model, "verdict": verdict, "ms": in_millis(*took)}),
            Self::WentOn(target) => json!({"went_on": target}),
            Self::Skipped(why) => json!({"skipped": why}),
            Self::Refused(code) => json!({"refused": code}),
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    in_millis(since)
}

pub(crate) fn in_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// For people and plots; the exact amounts are in the ledger.
pub(crate) fn dollars(money: Money) -> f64 {
    money.picos() as f64 / 1e12
}
