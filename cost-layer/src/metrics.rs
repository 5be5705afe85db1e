//! Metrics through the `metrics` facade, by the names of OpenTelemetry's conventions for GenAI where there
//! are some.

use std::{
    collections::HashSet,
    sync::{PoisonError, RwLock},
};

use llm_exchange::Verdict;
use metrics::{SharedString, Unit, counter, histogram};

use crate::{Entry, Record};

/// The boundaries that the conventions give for histograms of durations, in seconds.
pub const DURATION_BUCKETS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// The boundaries that the conventions give for histograms of tokens.
pub const TOKEN_BUCKETS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// All histograms of durations.
pub const DURATIONS: [&str; 3] = [DURATION, FIRST_CHUNK, PER_CHUNK];

/// All histograms of tokens.
pub const TOKENS: [&str; 3] = [INPUT_EACH, OUTPUT_EACH, OLD_TOKENS];

const DURATION: &str = "gen_ai.client.operation.duration";
const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
const PER_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";
const INPUT: &str = "gen_ai.client.inference.usage.input_tokens";
const OUTPUT: &str = "gen_ai.client.inference.usage.output_tokens";
const CACHE_READ: &str = "gen_ai.client.inference.usage.cache_read.input_tokens";
const CACHE_WRITE: &str = "gen_ai.client.inference.usage.cache_write.input_tokens";
const REASONING: &str = "gen_ai.client.inference.usage.reasoning.output_tokens";
const INPUT_EACH: &str = "gen_ai.client.inference.operation.input_tokens";
const OUTPUT_EACH: &str = "gen_ai.client.inference.operation.output_tokens";
const OLD_TOKENS: &str = "gen_ai.client.token.usage";
const COST: &str = "llm_cost_nano_usd";
const SAVED: &str = "llm_cost_saved_nano_usd";
const UNPRICED: &str = "llm_cost_unpriced";

/// Tells the recorder of the process what each metric is, and in which unit: an exporter may write that
/// into its names. To be called once, after the recorder is installed.
pub fn describe() {
    for (name, what) in [
        (DURATION, "From a call to the end of its answer"),
        (
            FIRST_CHUNK,
            "From a call to the first content of its stream",
        ),
        (
            PER_CHUNK,
            "From one token of a stream to the next, on average over a call",
        ),
    ] {
        metrics::describe_histogram!(name, Unit::Seconds, what);
    }
    for (name, what) in [
        (INPUT_EACH, "Tokens of one prompt"),
        (OUTPUT_EACH, "Tokens generated in one call"),
        (OLD_TOKENS, "Tokens of one call"),
    ] {
        metrics::describe_histogram!(name, Unit::Count, what);
    }
    for (name, what) in [
        (INPUT, "Tokens of prompts, cached and written ones included"),
        (OUTPUT, "Tokens generated, reasoning included"),
        (
            CACHE_READ,
            "Tokens of prompts read from the provider's cache",
        ),
        (CACHE_WRITE, "Tokens of prompts written to it"),
        (REASONING, "Tokens of reasoning"),
        (
            COST,
            "What calls cost, as far as prices are known, in nano-dollars",
        ),
        (
            SAVED,
            "What answers from a cache would have cost, in nano-dollars",
        ),
        (
            UNPRICED,
            "Calls and attempts of which the price is not known",
        ),
    ] {
        metrics::describe_counter!(name, Unit::Count, what);
    }
}

pub(crate) struct Metrics {
    names: RwLock<HashSet<Box<str>>>,
    most: usize,
    with_old_names: bool,
}

impl Metrics {
    pub(crate) fn new(most: usize, with_old_names: bool) -> Self {
        Self {
            names: RwLock::default(),
            most,
            with_old_names,
        }
    }

    pub(crate) fn record(&self, record: &Record) {
        for entry in record.entries() {
            self.entry(entry);
        }
    }

    /// The name as a label: names come from callers, and each label is a series for ever. A new one begins
    /// with an answer, whole or not: names that no provider has would take all the places.
    fn label(&self, name: &str, entry: &Entry) -> SharedString {
        let known = self
            .names
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(name);
        if !known {
            let answers = entry.verdict == Verdict::Ok || entry.first_content.is_some();
            if !answers {
                return "other".into();
            }
            let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
            // models asked, models served and hosts
            if names.len() >= self.most * 3 {
                return "other".into();
            }
            names.insert(name.into());
        }
        name.to_owned().into()
    }

    fn entry(&self, entry: &Entry) {
        let labels = vec![
            metrics::Label::new("gen_ai.operation.name", operation(&entry.dialect)),
            metrics::Label::new("gen_ai.provider.name", self.provider(entry)),
            metrics::Label::new("gen_ai.request.model", self.label(&entry.model, entry)),
        ];
        let amount =
            |money: llm_exchange::Money| u64::try_from(money.picos() / 1_000).unwrap_or(u64::MAX);
        match entry.cost() {
            Some(cost) => counter!(COST, labels.clone()).increment(amount(cost)),
            None => counter!(UNPRICED, labels.clone()).increment(1),
        }
        counter!(SAVED, labels.clone()).increment(amount(entry.saved));
        if entry.from_cache.is_none() {
            let usage = &entry.usage;
            let write = usage.cache_write.saturating_add(usage.cache_write_long);
            for (name, tokens) in [
                (INPUT, usage.input()),
                (OUTPUT, usage.output()),
                (CACHE_READ, usage.cached),
                (CACHE_WRITE, write),
                (REASONING, usage.reasoning),
            ] {
                counter!(name, labels.clone()).increment(tokens);
            }
            histogram!(INPUT_EACH, labels.clone()).record(usage.input() as f64);
            histogram!(OUTPUT_EACH, labels.clone()).record(usage.output() as f64);
            if self.with_old_names {
                for (kind, tokens) in [("input", usage.input()), ("output", usage.output())] {
                    let mut labels = labels.clone();
                    labels.push(metrics::Label::new("gen_ai.token.type", kind));
                    histogram!(OLD_TOKENS, labels).record(tokens as f64);
                }
            }
        }
        // attempts left behind are no operations
        if entry.part > 0 {
            return;
        }
        let mut labels = labels;
        let served = entry.model_served.as_deref().unwrap_or(&entry.model);
        labels.push(metrics::Label::new(
            "gen_ai.response.model",
            self.label(served, entry),
        ));
        if entry.verdict != Verdict::Ok {
            labels.push(metrics::Label::new("error.type", entry.verdict.as_str()));
        }
        histogram!(DURATION, labels.clone()).record(entry.total.as_secs_f64());
        if let Some(first) = entry.first_content.filter(|_| entry.is_stream) {
            histogram!(FIRST_CHUNK, labels.clone()).record(first.as_secs_f64());
        }
        if let Some(time) = entry.per_token {
            histogram!(PER_CHUNK, labels).record(time.as_secs_f64());
        }
    }

    /// The conventions' name of the provider, else its host.
    fn provider(&self, entry: &Entry) -> SharedString {
        match crate::prices::prefix_of_host(&entry.provider) {
            Some("gemini") => "gcp.gemini".into(),
            Some("vertex_ai") => "gcp.vertex_ai".into(),
            Some("azure") => "azure.ai.openai".into(),
            Some("mistral") => "mistral_ai".into(),
            Some("xai") => "x_ai".into(),
            Some(known) => known.into(),
            None => self.label(&entry.provider, entry),
        }
    }
}

fn operation(dialect: &str) -> &'static str {
    match dialect {
        "openai_embeddings" => "embeddings",
        "openai_completions" => "text_completion",
        "gemini" | "gemini_grpc" | "vertex_grpc" => "generate_content",
        _ => "chat",
    }
}
