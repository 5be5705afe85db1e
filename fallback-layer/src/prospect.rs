//! Whether a target can serve a call, before it is tried.

use std::sync::Arc;

use llm_exchange::{Call, NotRewritten, Purchase};
use tokio::time::Instant;

use crate::{
    Left, Skipped, Why, hook,
    keys::{Origin, keys},
    layer::Settings,
    memory::Memories,
    routes::Stop,
    target::MaxCost,
    walk::Facts,
};

/// A call that looks for a target.
pub(crate) struct Prospect<'a, O, F> {
    pub(crate) call: &'a Arc<Call>,
    /// Where it was going; hashed only if something failed lately.
    pub(crate) origin: F,
    pub(crate) host: Option<&'a str>,
    pub(crate) rewritable: Result<(), NotRewritten>,
    pub(crate) settings: &'a Settings<O>,
    pub(crate) now: Instant,
    pub(crate) left: &'a mut Vec<Left>,
}

impl<O, F: Fn(&Memories) -> Origin> Facts<O> for Prospect<'_, O, F> {
    fn fits(&mut self, stop: &Stop<O>) -> Result<(), Skipped> {
        let spec = &stop.spec;
        let asked = self.call.model();
        if spec.disabled {
            return Err(Skipped::Disabled);
        }
        if let Err(why) = self.rewritable
            && spec.changes(asked)
        {
            return Err(Skipped::NotRewritten(why));
        }
        if spec
            .context_window
            .is_some_and(|window| is_surely_longer(self.call, window))
        {
            return Err(Skipped::ContextWindow);
        }
        match &spec.max_cost {
            Some(max) => self.is_affordable(
                max,
                spec.model_for(asked).unwrap_or_default(),
                spec.host
                    .as_ref()
                    .map(|host| host.authority().host())
                    .or(self.host),
            ),
            None => Ok(()),
        }
    }

    fn is_remembered(&mut self, stop: &Stop<O>) -> bool {
        self.settings.memories.as_ref().is_some_and(|memories| {
            let keys = || keys(memories, stop, self.call, (self.origin)(memories));
            memories.is_skipped(keys, self.now)
        })
    }

    fn skipped(&mut self, stop: &Stop<O>, why: Skipped) {
        skip(stop, self.call, why, self.left);
    }
}

impl<O, F> Prospect<'_, O, F> {
    fn is_affordable(&self, max: &MaxCost, model: &str, host: Option<&str>) -> Result<(), Skipped> {
        let each = self.call.output_cap();
        let output = each
            .unwrap_or(self.settings.expected_output)
            .saturating_mul(self.call.choices().into());
        let purchase = Purchase::estimate(model, self.call.estimated_input(), output);
        let purchase = match host {
            Some(host) => purchase.host(host),
            None => purchase,
        };
        match max.prices.price(&purchase) {
            None => Err(Skipped::UnknownPrice),
            Some(cost) if cost > max.limit => Err(Skipped::TooExpensive),
            Some(_) => Ok(()),
        }
    }
}

/// Whether the prompt has more tokens than this even if the estimate is a quarter too high.
fn is_surely_longer(call: &Call, tokens: u64) -> bool {
    call.estimated_input() / 5 * 4 > tokens
}

/// Notes that the target is skipped.
pub(crate) fn skip<O>(stop: &Stop<O>, call: &Arc<Call>, why: Skipped, left: &mut Vec<Left>) {
    let target = stop.label(call);
    hook::skipped(target.as_str(), why);
    left.push(Left {
        target,
        why: Why::Skipped(why),
        status: None,
    });
}
