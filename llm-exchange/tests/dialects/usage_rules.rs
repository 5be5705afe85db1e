//! Of every provider: no token is in two fields, the parts are what is billed, and the last usage of a stream
//! counts, however the stream is cut.

use std::sync::Arc;

use llm_exchange::{Call, Dialect, Meter, Usage};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use testkit::ScriptedBody;

use crate::{
    providers::{Counted, PROVIDERS, Provider, Told},
    support::{self, framed, met},
};

/// What was used, disjoint: the truth that every provider's numbers are made from.
#[derive(Clone, Copy, Debug)]
struct Truth {
    uncached: u64,
    cached: u64,
    written: u64,
    written_long: u64,
    visible: u64,
    reasoning: u64,
    tools: u64,
}

fn count() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![Just(0u64), 0u64..100_000, Just(1 << 40)]
}

fn truth() -> impl Strategy<Value = Truth> + Clone {
    let prompt = (count(), count(), count(), count(), count());
    (prompt, count(), count()).prop_map(
        |((uncached, cached, written, written_long, tools), visible, reasoning)| Truth {
            uncached,
            cached,
            written,
            written_long,
            visible,
            reasoning,
            tools,
        },
    )
}

impl Truth {
    /// What of it this provider can tell: what it does not tell apart is among the rest, what it does not
    /// know did not happen.
    fn told_by(self, of: &Provider) -> Self {
        let mut truth = self;
        if of.cached == Counted::Untold {
            truth.cached = 0;
        }
        if of.written == Counted::Untold {
            truth.written = 0;
        }
        if of.written_long == Counted::Untold {
            truth.written_long = 0;
        }
        if of.tools == Counted::Untold {
            truth.tools = 0;
        }
        if of.reasoning == Counted::Untold {
            truth.visible += truth.reasoning;
            truth.reasoning = 0;
        }
        if of.dialect == Dialect::OpenAiEmbeddings {
            (truth.visible, truth.reasoning) = (0, 0);
        }
        truth
    }

    /// The provider's numbers by its three rules.
    fn numbers_of(self, of: &Provider) -> Told {
        let if_inside = |counted, count| match counted {
            Counted::Inside => count,
            _ => 0,
        };
        let written = self.written + self.written_long;
        Told {
            prompt: self.uncached
                + if_inside(of.cached, self.cached)
                + if_inside(of.written, written),
            cached: self.cached,
            written,
            written_long: self.written_long,
            completion: self.visible + if_inside(of.reasoning, self.reasoning),
            reasoning: self.reasoning,
            tools: self.tools,
            total: self.uncached
                + self.cached
                + written
                + self.tools
                + self.visible
                + self.reasoning,
        }
    }

    fn usage(self, of: &Provider) -> Value {
        (of.usage)(&self.told_by(of).numbers_of(of))
    }
}

/// The fields of a usage that are tokens, and their sum.
fn parts(usage: Usage) -> ([u64; 8], u64) {
    let fields = [
        usage.uncached,
        usage.cached,
        usage.cache_write,
        usage.cache_write_long,
        usage.audio_input,
        usage.visible,
        usage.reasoning,
        usage.audio_output,
    ];
    (fields, usage.total())
}

fn call(of: &Provider, stream: bool) -> Arc<Call> {
    let own = support::path(of.dialect, stream);
    let path = of.path.filter(|_| stream).unwrap_or(&own);
    let body = match of.dialect.is_grpc() {
        true => framed(&[]),
        false => format!("{{\"model\":\"m\",\"stream\":{stream}}}").into(),
    };
    let request = support::request(of.dialect, path, body);
    Arc::clone(Call::of(&request).unwrap_or_else(|| panic!("{}: {path}", of.name)))
}

fn read(call: &Call, media_type: &str, body: &[u8], size: usize) -> Meter {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let chunks = body.chunks(size.max(1)).map(<[u8]>::to_vec);
    runtime.block_on(met(media_type, ScriptedBody::chunks(chunks), call))
}

fn of_answer(of: &Provider, usage: &Value) -> Option<Usage> {
    let (media_type, body) = of.whole(usage);
    read(&call(of, false), media_type, &body, usize::MAX).usage()
}

/// An event: its text, and its usage.
#[derive(Clone, Debug)]
enum Has {
    Nothing,
    Null,
    /// Of Anthropic's only the fields whose bit is set.
    Usage(Truth, u8),
}

fn events() -> impl Strategy<Value = Vec<(String, Has)>> {
    let has = prop_oneof![
        3 => Just(Has::Nothing),
        1 => Just(Has::Null),
        2 => (truth(), any::<u8>()).prop_map(|(truth, mask)| Has::Usage(truth, mask)),
    ];
    prop::collection::vec(("[a-z ]{0,3}", has), 0..8)
}

/// The members of an object whose bit is set.
fn some_of(usage: Value, mask: u8) -> Value {
    let Value::Object(fields) = usage else {
        return usage;
    };
    let kept = fields
        .into_iter()
        .enumerate()
        .filter(|(place, _)| mask & (1 << place) != 0);
    Value::Object(kept.map(|(_, field)| field).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_token_is_in_two_fields_and_all_are_what_is_billed(truth in truth()) {
        for provider in PROVIDERS {
            let expected = truth.told_by(provider);
            let usage = of_answer(provider, &truth.usage(provider)).unwrap_or_default();
            let fields = [expected.uncached + expected.tools, expected.cached, expected.written, expected.written_long,
                0, expected.visible, expected.reasoning, 0];
            prop_assert_eq!(parts(usage), (fields, fields.iter().sum()), "{}", provider.name);
            let billed = expected.numbers_of(provider).total;
            prop_assert_eq!(usage.total(), billed, "{}", provider.name);
        }
    }

    /// Servers report details that exceed their totals, and overlap.
    #[test]
    fn whatever_the_details_say_all_parts_are_what_is_billed(
        counts in (1u64..1 << 50, count(), count(), count(), count(), 1u64..1 << 50, count()),
    ) {
        let (prompt, cached, written, written_long, tools, completion, reasoning) = counts;
        for provider in PROVIDERS {
            let beside = |counted, count| match counted {
                Counted::Beside => count,
                _ => 0,
            };
            let input = prompt + beside(provider.cached, cached) + beside(provider.written, written)
                + beside(provider.tools, tools);
            let mut output = completion + beside(provider.reasoning, reasoning);
            let told = Told { prompt, cached, written, written_long, completion, reasoning,
                tools: beside(provider.tools, tools), total: input + output };
            if provider.dialect == Dialect::OpenAiEmbeddings {
                output = 0;
            }
            let usage = of_answer(provider, &(provider.usage)(&told)).unwrap();
            prop_assert_eq!((usage.input(), usage.output()), (input, output), "{}", provider.name);
        }
    }

    /// A stream says what an answer with its last usage says; where usage comes in parts, with the last of each
    /// part.
    #[test]
    fn the_last_usage_of_a_stream_counts_and_none_is_added(events in events(), size in 1usize..200) {
        for provider in PROVIDERS.iter().filter(|provider| provider.framing.is_some()) {
            let in_parts = provider.dialect == Dialect::AnthropicMessages;
            let mut last: Option<Value> = None;
            let written: Vec<_> = events.iter().map(|(text, has)| match has {
                Has::Nothing => (provider.event)(text, None),
                Has::Null => (provider.event)(text, Some(&Value::Null)),
                Has::Usage(truth, mask) if in_parts => {
                    let part = some_of(truth.usage(provider), *mask);
                    let all = last.get_or_insert_with(|| json!({})).as_object_mut().unwrap();
                    all.extend(part.as_object().unwrap().clone());
                    (provider.event)(text, Some(&part))
                }
                Has::Usage(truth, _) => {
                    let usage = truth.usage(provider);
                    let event = (provider.event)(text, Some(&usage));
                    last = Some(usage);
                    event
                }
            }).collect();
            let body = provider.stream(&written);
            let meter = read(&call(provider, true), provider.stream_type(), &body, size);
            let expected = last.and_then(|usage| of_answer(provider, &usage));
            prop_assert_eq!(meter.usage(), expected, "{}", provider.name);
        }
    }

    /// What Anthropic's totals lack (a compaction) or what another model did (an advisor) is priced apart.
    #[test]
    fn iterations_are_apart_and_all_of_them_are_the_whole(
        parts in prop::collection::vec((truth(), prop::option::of("[a-z]{3}")), 1..5), size in 1usize..200,
    ) {
        for provider in PROVIDERS.iter().filter(|provider| provider.dialect == Dialect::AnthropicMessages) {
            let iterations: Vec<_> = parts.iter().map(|(truth, model)| {
                let mut iteration = truth.usage(provider);
                iteration["type"] = "message".into();
                if let Some(model) = model {
                    iteration["model"] = model.as_str().into();
                }
                iteration
            }).collect();
            let mut usage = parts[0].0.usage(provider);
            usage["iterations"] = iterations.into();
            let (media_type, whole) = provider.whole(&usage);
            let events = [(provider.event)("", Some(&parts[0].0.usage(provider))), (provider.event)("x", Some(&usage))];
            let streamed = provider.stream(&events);
            for meter in [
                read(&call(provider, false), media_type, &whole, size),
                read(&call(provider, true), provider.stream_type(), &streamed, size),
            ] {
                let apart = meter.usage_parts();
                let expected: Vec<_> = parts.iter()
                    .map(|(truth, model)| (model.clone(), of_answer(provider, &truth.usage(provider)).unwrap()))
                    .collect();
                prop_assert_eq!(&apart, &expected, "{}", provider.name);
                let sum = expected.into_iter().map(|(_, usage)| usage).reduce(Usage::plus);
                prop_assert_eq!(meter.usage(), sum, "{}", provider.name);
            }
        }
    }
}

#[test]
fn every_dialect_that_counts_tokens_has_a_row() {
    for dialect in Dialect::ALL {
        let counts = !matches!(dialect, Dialect::KServeGrpc | Dialect::KServeStreamGrpc);
        let rows = PROVIDERS.iter().filter(|row| row.dialect == *dialect);
        assert_eq!(rows.count() > 0, counts, "{dialect:?}");
    }
}

/// A usage in which nothing is counted says nothing, least of all that nothing was used.
#[test]
fn a_usage_without_counts_takes_no_other_ones_place() {
    for provider in PROVIDERS
        .iter()
        .filter(|provider| provider.framing.is_some())
    {
        // Ollama leaves out what is zero, and its last line is its usage
        if provider.dialect == Dialect::Ollama {
            continue;
        }
        let truth = Truth {
            uncached: 3,
            cached: 0,
            written: 0,
            written_long: 0,
            visible: 5,
            reasoning: 0,
            tools: 0,
        };
        let usage = truth.usage(provider);
        let empty = Value::Object(Map::new());
        let events = [("a", Some(&usage)), ("b", Some(&empty)), ("c", None)];
        let events = events.map(|(text, usage)| (provider.event)(text, usage));
        let body = provider.stream(&events);
        let meter = read(&call(provider, true), provider.stream_type(), &body, 64);
        let usage = meter.usage().unwrap_or_default();
        assert_eq!((usage.input(), usage.output()), (3, 5), "{}", provider.name);
        assert_eq!(of_answer(provider, &empty), None, "{}", provider.name);
    }
}
