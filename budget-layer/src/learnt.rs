//! What settled calls taught of each model: how long its answers are, and how far estimates are off.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Models that are told apart. The one that was not seen for the longest time makes room: names come
/// from callers.
const MOST_MODELS: usize = 256;
/// So many calls are needed to tell.
const ENOUGH: u32 = 20;
/// What was seen loses half of its weight after so many calls.
const MEMORY: u32 = 1_000;

const BUCKETS: usize = 64;

/// Over all models: 256 of some 450 bytes.
#[derive(Default)]
pub(crate) struct Learnt(Mutex<Models>);

#[derive(Default)]
struct Models {
    by_name: HashMap<Box<str>, Model, foldhash::fast::RandomState>,
    calls: u64,
}

#[derive(Default)]
struct Model {
    seen: u64,
    outputs: Quantiles,
    inputs: Quantiles,
    texts: Quantiles,
}

/// One call whose provider said what it used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth {
    /// Output tokens of each choice.
    pub(crate) output: u64,
    /// The prompt's tokens, and what they were estimated at.
    pub(crate) input: (u64, u64),
    /// The answer's tokens, and the estimate of its text.
    pub(crate) text: (u64, u64),
}

/// What is expected of a model, on the safe side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expected {
    /// Nineteen of twenty answers have no more tokens. `None`: not known yet.
    pub(crate) output: Option<u64>,
    /// Nineteen of twenty prompts have no more tokens than the estimate times this.
    pub(crate) input_ratio: f64,
    /// The same of answers' texts.
    pub(crate) text_ratio: f64,
}

/// What estimates of texts are mostly within, in any language.
const USUAL_INPUT_RATIO: f64 = 1.1;
const USUAL_TEXT_RATIO: f64 = 1.25;

impl Learnt {
    pub(crate) fn expected(&self, model: &str) -> Expected {
        let models = self.models();
        let model = models.by_name.get(model);
        let output = model.and_then(|model| model.outputs.p95());
        let ratio = |of: Option<f64>, usual| of.map_or(usual, ratio_of).clamp(0.5, 4.0);
        Expected {
            output: output.map(|bucket| output_of(bucket) as u64),
            input_ratio: ratio(
                model.and_then(|model| model.inputs.p95()),
                USUAL_INPUT_RATIO,
            ),
            text_ratio: ratio(model.and_then(|model| model.texts.p95()), USUAL_TEXT_RATIO),
        }
    }

    pub(crate) fn learn(&self, model: &str, truth: Truth) {
        let mut models = self.models();
        models.calls += 1;
        let calls = models.calls;
        if !models.by_name.contains_key(model) {
            models.make_room();
            models.by_name.insert(model.into(), Model::default());
        }
        let Some(model) = models.by_name.get_mut(model) else {
            return;
        };
        model.seen = calls;
        model.outputs.add(bucket_of_output(truth.output));
        for (quantiles, (truth, estimate)) in [
            (&mut model.inputs, truth.input),
            (&mut model.texts, truth.text),
        ] {
            // of a few tokens the ratio says nothing
            if truth >= 16 && estimate >= 16 {
                quantiles.add(bucket_of_ratio(truth as f64 / estimate as f64));
            }
        }
    }

    fn models(&self) -> MutexGuard<'_, Models> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Models {
    fn make_room(&mut self) {
        if self.by_name.len() < MOST_MODELS {
            return;
        }
        let oldest = self.by_name.iter().min_by_key(|(_, model)| model.seen);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.by_name.remove(&name);
        }
    }
}

/// Counts in buckets of geometric width, of which older ones fade.
struct Quantiles {
    counts: [u16; BUCKETS],
    sum: u32,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            sum: 0,
        }
    }
}

impl Quantiles {
    fn add(&mut self, bucket: usize) {
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.sum += 1;
        if self.sum >= 2 * MEMORY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.sum = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
    }

    /// The upper end of the bucket in which the 95th percentile lies, as a number of buckets.
    fn p95(&self) -> Option<f64> {
        if self.sum < ENOUGH {
            return None;
        }
        let mut left = self.sum - self.sum / 20;
        let at = self.counts.iter().position(|count| {
            left = left.saturating_sub(u32::from(*count));
            left == 0
        })?;
        Some((at + 1) as f64)
    }
}

/// From 1 to over a million tokens.
const OUTPUT_STEP: f64 = 1.25;
/// From an eighth to over eight.
const RATIO_STEP: f64 = 1.07;
const LEAST_RATIO: f64 = 0.125;

fn bucket_of_output(tokens: u64) -> usize {
    let tokens = tokens.max(1) as f64;
    (tokens.ln() / OUTPUT_STEP.ln()) as usize
}

fn output_of(bucket: f64) -> f64 {
    OUTPUT_STEP.powf(bucket).ceil()
}

fn bucket_of_ratio(ratio: f64) -> usize {
    let above = (ratio / LEAST_RATIO).max(1.0);
    (above.ln() / RATIO_STEP.ln()) as usize
}

fn ratio_of(bucket: f64) -> f64 {
    LEAST_RATIO * RATIO_STEP.powf(bucket)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn truth(output: u64, ratio: f64) -> Truth {
        let estimate = 1_000;
        let input = (ratio * 1_000.0) as u64;
        Truth {
            output,
            input: (input, estimate),
            text: (input, estimate),
        }
    }

    #[test]
    fn nothing_is_told_of_a_model_before_twenty_calls() {
        let learnt = Learnt::default();
        for _ in 0..19 {
            learnt.learn("m", truth(100, 2.0));
        }
        let expected = learnt.expected("m");
        assert_eq!((expected.output, expected.input_ratio), (None, 1.1));
        learnt.learn("m", truth(100, 2.0));
        let expected = learnt.expected("m");
        let output = expected.output.unwrap();
        assert!((100..=125).contains(&output), "{output}");
        assert!((2.0..2.15).contains(&expected.input_ratio), "{expected:?}");
        assert!((2.0..2.15).contains(&expected.text_ratio), "{expected:?}");
        assert_eq!(learnt.expected("other").output, None);
    }

    #[test]
    fn what_changes_is_learnt_anew() {
        let learnt = Learnt::default();
        for _ in 0..5_000 {
            learnt.learn("m", truth(100, 1.0));
        }
        for _ in 0..3_000 {
            learnt.learn("m", truth(2_000, 1.0));
        }
        for _ in 0..20_000 {
            learnt.learn("m", truth(10, 1.0));
        }
        assert!(learnt.expected("m").output.unwrap() < 20);
    }

    #[test]
    fn names_of_callers_do_not_fill_the_memory() {
        let learnt = Learnt::default();
        for call in 0..10_000 {
            learnt.learn(&format!("model-{call}"), truth(1, 1.0));
            learnt.learn("ours", truth(100, 1.0));
        }
        assert_eq!(learnt.models().by_name.len(), MOST_MODELS);
        assert!(learnt.expected("ours").output.is_some());
    }

    proptest! {
        #[test]
        fn the_quantile_is_not_below_nineteen_of_twenty(
            outputs in prop::collection::vec(0u64..2_000_000, 20..300),
        ) {
            let learnt = Learnt::default();
            for output in &outputs {
                learnt.learn("m", truth(*output, 1.0));
            }
            let expected = learnt.expected("m").output.unwrap();
            let above = outputs.iter().filter(|output| **output > expected).count();
            prop_assert!(above * 20 <= outputs.len() || expected > 1_000_000, "{expected}: {above}");
        }
    }
}
