//! Whether a target can serve a call, before it is tried.

use std::sync::Arc;

use http::Request;
use llm_exchange::{Call, Payload, Purchase};
use tokio::time::Instant;

use crate::{
    Left, Skipped, Why, hook,
    keys::{Keys, Origin},
    layer::Settings,
    routes::Stop,
    target::{MaxCost, Spec},
    walk::Facts,
};

/// A call that looks for a target.
pub(crate) struct Prospect<'a, O> {
    pub(crate) call: &'a Arc<Call>,
    /// As the caller made it.
    pub(crate) request: &'a Request<Payload>,
    pub(crate) settings: &'a Settings<O>,
    pub(crate) now: Instant,
    pub(crate) left: &'a mut Vec<Left>,
}

impl<O> Facts<O> for Prospect<'_, O> {
    fn fits(&mut self, stop: &Stop<O>) -> Result<(), Skipped> {
        let spec = &stop.spec;
        let asked = self.call.model();
        if spec.disabled {
            return Err(Skipped::Disabled);
        }
        if !spec.speaks(self.call.dialect()) {
            return Err(Skipped::Dialect);
        }
        // asked for no sooner than it is needed, as it looks for many headers
        if spec.changes(asked) {
            Call::can_be_rewritten(self.request).map_err(Skipped::NotRewritten)?;
        }
        if spec
            .context_window
            .is_some_and(|window| is_surely_longer(self.call, window))
        {
            return Err(Skipped::ContextWindow);
        }
        match &spec.max_cost {
            Some(max) => self.is_affordable(max, spec),
            None => Ok(()),
        }
    }

    fn is_remembered(&mut self, stop: &Stop<O>) -> bool {
        self.settings.memories.as_ref().is_some_and(|memories| {
            let keys = || {
                let origin = Origin::of(self.request, memories);
                Keys::of(memories, stop, self.call, origin)
            };
            memories.is_skipped(keys, self.now)
        })
    }

    fn skipped(&mut self, stop: &Stop<O>, why: Skipped) {
        skip(stop, self.call, why, None, self.left);
    }
}

impl<O> Prospect<'_, O> {
    fn is_affordable(&self, max: &MaxCost, spec: &Spec) -> Result<(), Skipped> {
        let each = self.call.output_cap();
        let output = each
            .unwrap_or(self.settings.expected_output)
            .saturating_mul(self.call.choices().into());
        let model = spec.model_for(self.call.model()).unwrap_or_default();
        let mut purchase = Purchase::estimate(model, self.call.estimated_input(), output);
        let host = match &spec.host {
            Some(host) => Some(host.authority().host()),
            None => self.request.uri().host(),
        };
        if let Some(host) = host {
            purchase = purchase.host(host);
        }
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

/// Notes that the target is skipped, and what of the call cannot be carried over, if it is for that.
pub(crate) fn skip<O>(
    stop: &Stop<O>,
    call: &Arc<Call>,
    why: Skipped,
    untranslatable: Option<Box<str>>,
    left: &mut Vec<Left>,
) {
    let target = stop.label(call);
    hook::skipped(target.as_str(), why);
    left.push(Left {
        target,
        why: Why::Skipped(why),
        status: None,
        untranslatable,
    });
}
