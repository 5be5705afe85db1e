//! Latencies in HDR's own interval log, which tools for HDR histograms read, and merged over replicas.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag},
};

use super::{
    foreign,
    recorder::Recorder,
    series::{Latency, Name, Quantiles},
    slices::{Counts, counts},
};

const OUTCOMES: [&str; 3] = ["ok", "failed", "abandoned"];
const MEASURES: [&str; 3] = ["total", "first_content", "per_token"];
/// A longer line is no histogram of ours: those of two digits have a few KiB.
const LONGEST_LINE: usize = 64 << 10;
/// More histograms in one merge are no export of ours.
const MOST: usize = 65_536;

/// Latencies of several nodes, merged: the quantiles are those that one node would have that had
/// answered all calls.
///
/// ```
/// # use cost_layer::MergedLatency;
/// # let (node_a, node_b) = ("#[StartTime: 0.000]\n", "#[StartTime: 0.000]\n");
/// let mut merged = MergedLatency::new();
/// merged.add(node_a)?;
/// merged.add(node_b)?;
/// for latency in merged.latencies() {
///     println!("{}: {:?}", latency.model, latency.ok.total.p95);
/// }
/// # Ok::<_, cost_layer::InvalidLatencies>(())
/// ```
#[derive(Default)]
pub struct MergedLatency {
    measures: BTreeMap<(String, String), [[Option<Counts>; 3]; 3]>,
}

/// A text is no export of latencies. What stood before the fault was merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLatencies(&'static str);

impl fmt::Display for InvalidLatencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no export of latencies: {}", self.0)
    }
}

impl std::error::Error for InvalidLatencies {}

/// Everything since the layer was made, as an interval log with one interval for each measure.
pub(crate) fn export(recorder: &Recorder, now: SystemTime, for_so_long: Duration) -> String {
    let since = now.checked_sub(for_so_long).unwrap_or(now);
    let start = since
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let _ = recorder.with_store(|store| -> Option<()> {
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment("microseconds")
            .with_start_time(since)
            .begin_log_with(&mut log, &mut serializer)
            .ok()?;
        for (name, counts) in store.counts() {
            let tag = tag(&name);
            writer
                .write_histogram(&counts, start, for_so_long, Tag::new(&tag))
                .ok()?;
        }
        Some(())
    });
    String::from_utf8(log).unwrap_or_default()
}

/// `ok/total/api.openai.com/gpt-6-sol`
fn tag(name: &Name<'_>) -> String {
    let (outcome, measure) = (OUTCOMES[name.outcome], MEASURES[name.measure]);
    let (provider, model) = (escape(name.provider), escape(name.model));
    format!("{outcome}/{measure}/{provider}/{model}")
}

fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte) {
            escaped.push(byte.into());
        } else {
            escaped.push_str(&format!("%{byte:02x}"));
        }
    }
    escaped
}

fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

impl MergedLatency {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one node's export. Lines of other tools, without a tag of ours, are left out.
    ///
    /// # Errors
    ///
    /// It is no interval log, or a histogram in it can't be read.
    pub fn add(&mut self, log: &str) -> Result<(), InvalidLatencies> {
        if log.lines().any(|line| line.len() > LONGEST_LINE) {
            return Err(InvalidLatencies("a line is too long"));
        }
        for entry in IntervalLogIterator::new(log.as_bytes()) {
            let entry = entry.map_err(|_| InvalidLatencies("a line is not of the format"))?;
            let LogEntry::Interval(interval) = entry else {
                continue;
            };
            let Some(slot) = interval.tag().and_then(|tag| self.slot(tag.as_str())) else {
                continue;
            };
            let bytes = STANDARD
                .decode(interval.encoded_histogram())
                .map_err(|_| InvalidLatencies("a histogram is not in base64"))?;
            let part =
                foreign::read(&bytes).ok_or(InvalidLatencies("a histogram can't be read"))?;
            slot.get_or_insert_with(counts)
                .add(&part)
                .map_err(|_| InvalidLatencies("a histogram can't be added"))?;
        }
        Ok(())
    }

    fn slot(&mut self, tag: &str) -> Option<&mut Option<Counts>> {
        let mut parts = tag.split('/');
        let mut part = || parts.next();
        let (outcome, measure) = (part()?, part()?);
        let outcome = OUTCOMES.iter().position(|name| *name == outcome)?;
        let measure = MEASURES.iter().position(|name| *name == measure)?;
        let key = (unescape(part()?)?, unescape(part()?)?);
        if !self.measures.contains_key(&key) && self.measures.len() >= MOST {
            return None;
        }
        let measures = self.measures.entry(key).or_default();
        Some(&mut measures[outcome][measure])
    }

    /// The merged latencies, each model at each provider by itself.
    #[must_use]
    pub fn latencies(&self) -> Vec<Latency> {
        let all = self.measures.iter().map(|((provider, model), measures)| {
            let mut latency = Latency {
                provider: provider.clone(),
                model: model.clone(),
                ..Latency::default()
            };
            for (timings, measures) in latency.timings_mut().into_iter().zip(measures) {
                for (quantiles, counts) in timings.quantiles_mut().into_iter().zip(measures) {
                    *quantiles = counts.as_ref().map(Quantiles::of).unwrap_or_default();
                }
            }
            latency
        });
        all.collect()
    }
}

impl fmt::Debug for MergedLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergedLatency")
            .field("series", &self.measures.len())
            .finish()
    }
}
