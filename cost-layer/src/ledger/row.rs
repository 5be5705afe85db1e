//! An entry as a row of numbers and texts: for tables, and for exports.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use llm_exchange::{Money, Usage, User};

use super::fields;
use crate::{Charge, Entry, Tags};

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
}

/// The columns, in the order of a row. Texts are those that say so; the rest are whole numbers.
pub(crate) const COLUMNS: [(&str, Kind); 48] = {
    use Kind::{Int, Text};
    [
        ("id", Text),
        ("part", Int),
        ("called_at", Int),
        ("user_name", Text),
        ("provider", Text),
        ("model", Text),
        ("model_asked", Text),
        ("model_served", Text),
        ("dialect", Text),
        ("is_stream", Int),
        ("status", Int),
        ("verdict", Text),
        ("ended", Text),
        ("finish", Text),
        ("service_tier", Text),
        ("from_cache", Text),
        ("uncached", Int),
        ("cached", Int),
        ("cache_write", Int),
        ("cache_write_long", Int),
        ("audio_input", Int),
        ("visible", Int),
        ("reasoning", Int),
        ("audio_output", Int),
        ("web_searches", Int),
        ("is_estimated", Int),
        ("cost", Int),
        ("cost_input", Int),
        ("cost_cached", Int),
        ("cost_cache_write", Int),
        ("cost_cache_write_long", Int),
        ("cost_audio_input", Int),
        ("cost_output", Int),
        ("cost_reasoning", Int),
        ("cost_audio_output", Int),
        ("cost_tools", Int),
        ("cost_stated", Int),
        ("price_source", Text),
        ("saved", Int),
        ("total_us", Int),
        ("first_content_us", Int),
        ("per_token_us", Int),
        ("attempts", Int),
        ("request_id", Text),
        ("provider_request_id", Text),
        ("answer_id", Text),
        ("tags", Text),
        ("is_background", Int),
    ]
};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
}

/// A million dollars for one call: what is more is not true, and its sum is to fit.
const MOST_PICOS: u128 = 1_000_000_000_000_000_000;
/// As many tokens of one call.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// The cells of an entry.
pub(crate) fn row(entry: &Entry) -> Vec<Value> {
    let usage = &entry.usage;
    let charge = entry.charge.as_ref();
    let money = |amount: Option<Money>| {
        amount.map_or(Value::Null, |amount| {
            Value::Int(amount.picos().min(MOST_PICOS) as i64)
        })
    };
    let item = |item: fn(&Charge) -> Money| money(charge.map(item));
    let source = charge.map(|charge| match charge {
        Charge {
            is_fallback: true, ..
        } => "fallback",
        Charge {
            saturated: true, ..
        } => "saturated",
        _ => "table",
    });
    vec![
        Value::Text(entry.id.to_string()),
        int(entry.part),
        int(micros(entry.at)),
        text(entry.user.as_ref().map(User::as_str)),
        text(Some(&entry.provider)),
        text(Some(&entry.model)),
        text(entry.model_asked.as_deref()),
        text(entry.model_served.as_deref()),
        text(Some(&entry.dialect)),
        int(entry.is_stream),
        int(entry.status),
        text(Some(entry.verdict.as_str())),
        text(entry.end.map(fields::end_name)),
        text(entry.finish.as_deref()),
        text(entry.service_tier.as_deref()),
        text(entry.from_cache.map(fields::from_cache_name)),
        tokens(usage.uncached),
        tokens(usage.cached),
        tokens(usage.cache_write),
        tokens(usage.cache_write_long),
        tokens(usage.audio_input),
        tokens(usage.visible),
        tokens(usage.reasoning),
        tokens(usage.audio_output),
        tokens(usage.web_searches),
        int(entry.is_estimated),
        money(entry.cost()),
        item(|charge| charge.input),
        item(|charge| charge.cached),
        item(|charge| charge.cache_write),
        item(|charge| charge.cache_write_long),
        item(|charge| charge.audio_input),
        item(|charge| charge.output),
        item(|charge| charge.reasoning),
        item(|charge| charge.audio_output),
        item(|charge| charge.tools),
        money(charge.and_then(|charge| charge.stated)),
        text(source),
        money(Some(entry.saved)),
        duration(Some(entry.total)),
        duration(entry.first_content),
        duration(entry.per_token),
        int(entry.attempts),
        text(entry.request_id.as_deref()),
        text(entry.provider_request_id.as_deref()),
        text(entry.answer_id.as_deref()),
        text(tags(&entry.tags).as_deref()),
        int(entry.is_background),
    ]
}

/// Reads the cells back. `None`: they are not those of an entry.
#[cfg_attr(
    not(any(test, fuzzing, feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "for ledgers of tables")
)]
pub(crate) fn entry(cells: Vec<Value>) -> Option<Entry> {
    let mut cells = Cells(cells.into_iter());
    let id = cells.text()?.parse().ok()?;
    let part = cells.int()?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(cells.int()?);
    let mut entry = Entry::new(id, at, "");
    entry.part = part;
    entry.user = cells.maybe_text()?.map(User::new);
    entry.provider = cells.text()?.into();
    entry.model = cells.text()?.into();
    entry.model_asked = cells.name()?;
    entry.model_served = cells.name()?;
    entry.dialect = cells.text()?.into();
    entry.is_stream = cells.int::<u8>()? != 0;
    entry.status = cells.int()?;
    entry.verdict = fields::verdict(&cells.text()?);
    entry.end = cells.maybe_text()?.and_then(|name| fields::end(&name));
    entry.finish = cells.name()?;
    entry.service_tier = cells.name()?;
    entry.from_cache = cells
        .maybe_text()?
        .and_then(|name| fields::from_cache(&name));
    let mut usage = Usage::default();
    for count in [
        &mut usage.uncached,
        &mut usage.cached,
        &mut usage.cache_write,
        &mut usage.cache_write_long,
        &mut usage.audio_input,
        &mut usage.visible,
        &mut usage.reasoning,
        &mut usage.audio_output,
        &mut usage.web_searches,
    ] {
        *count = cells.int()?;
    }
    entry.is_estimated = cells.int::<u8>()? != 0;
    let cost = cells.money()?;
    let mut charge = Charge::default();
    for item in [
        &mut charge.input,
        &mut charge.cached,
        &mut charge.cache_write,
        &mut charge.cache_write_long,
        &mut charge.audio_input,
        &mut charge.output,
        &mut charge.reasoning,
        &mut charge.audio_output,
        &mut charge.tools,
    ] {
        *item = cells.money()?.unwrap_or_default();
    }
    charge.stated = cells.money()?;
    usage.stated_pico_usd = charge
        .stated
        .and_then(|stated| u64::try_from(stated.picos()).ok());
    let source = cells.maybe_text()?;
    charge.is_fallback = source.as_deref() == Some("fallback");
    charge.saturated = source.as_deref() == Some("saturated");
    entry.charge = cost.map(|_| charge);
    entry.usage = usage;
    entry.saved = cells.money()?.unwrap_or_default();
    entry.total = cells.duration()?.unwrap_or_default();
    entry.first_content = cells.duration()?;
    entry.per_token = cells.duration()?;
    entry.attempts = cells.int()?;
    entry.request_id = cells.name()?;
    entry.provider_request_id = cells.name()?;
    entry.answer_id = cells.name()?;
    let tags: BTreeMap<String, String> = match cells.maybe_text()? {
        Some(json) => serde_json::from_str(&json).ok()?,
        None => BTreeMap::new(),
    };
    let tags = tags.iter();
    entry.tags = tags.fold(Tags::new(), |tags, (name, value)| tags.with(name, value));
    entry.is_background = cells.int::<u8>()? != 0;
    Some(entry)
}

pub(crate) fn micros(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// As a JSON object. `None`: there are none.
fn tags(tags: &Tags) -> Option<String> {
    let map: BTreeMap<&str, &str> = tags.iter().collect();
    (!map.is_empty()).then(|| serde_json::to_string(&map).unwrap_or_default())
}

fn int(value: impl Into<i64>) -> Value {
    Value::Int(value.into())
}

fn tokens(count: u64) -> Value {
    Value::Int(count.min(MOST_TOKENS) as i64)
}

fn text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.to_owned()))
}

fn duration(time: Option<Duration>) -> Value {
    time.map_or(Value::Null, |time| {
        Value::Int(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
    })
}

#[cfg_attr(
    not(any(test, fuzzing, feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "for ledgers of tables")
)]
struct Cells(std::vec::IntoIter<Value>);

#[cfg_attr(
    not(any(test, fuzzing, feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "for ledgers of tables")
)]
impl Cells {
    fn int<T: TryFrom<i64>>(&mut self) -> Option<T> {
        match self.0.next()? {
            Value::Int(value) => T::try_from(value).ok(),
            Value::Null | Value::Text(_) => None,
        }
    }

    fn maybe_int(&mut self) -> Option<Option<u64>> {
        match self.0.next()? {
            Value::Int(value) => u64::try_from(value).ok().map(Some),
            Value::Null => Some(None),
            Value::Text(_) => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        self.maybe_text()?
    }

    fn maybe_text(&mut self) -> Option<Option<String>> {
        match self.0.next()? {
            Value::Text(value) => Some(Some(value)),
            Value::Null => Some(None),
            Value::Int(_) => None,
        }
    }

    fn name<T: From<String>>(&mut self) -> Option<Option<T>> {
        Some(self.maybe_text()?.map(Into::into))
    }

    fn money(&mut self) -> Option<Option<Money>> {
        Some(
            self.maybe_int()?
                .map(|picos| Money::from_picos(picos.into())),
        )
    }

    fn duration(&mut self) -> Option<Option<Duration>> {
        Some(self.maybe_int()?.map(Duration::from_micros))
    }
}

#[cfg(test)]
mod tests {
    use llm_exchange::{Cut, End, FromCache, Verdict};

    use super::*;
    use crate::RecordId;

    #[test]
    fn an_entry_is_read_back_as_it_was_with_every_field() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_428_000_123_456);
        let mut entry = Entry::new(RecordId::new(), at, "gpt-6-sol");
        assert_eq!(super::entry(row(&entry)), Some(entry.clone()));

        entry.part = 3;
        entry.user = Some(User::new("größe \u{1f34b}"));
        entry.provider = "api.openai.com".into();
        entry.model_asked = Some("gpt-6-sol".into());
        entry.model_served = Some("gpt-6-sol-2026-09-22".into());
        entry.dialect = "openai_chat".into();
        (entry.is_stream, entry.is_background, entry.status) = (true, true, 200);
        entry.verdict = Verdict::CallerGone;
        entry.end = Some(End::Cut(Cut::Limit));
        entry.finish = Some("stop".into());
        entry.service_tier = Some("priority".into());
        entry.from_cache = Some(FromCache::Hit);
        let usage = &mut entry.usage;
        (usage.uncached, usage.cached, usage.cache_write) = (1, 2, 3);
        (usage.cache_write_long, usage.audio_input, usage.visible) = (4, 5, 6);
        (usage.reasoning, usage.audio_output, usage.web_searches) = (7, 8, 9);
        usage.stated_pico_usd = Some(10);
        entry.is_estimated = true;
        let of = |picos| Money::from_picos(picos);
        entry.charge = Some(Charge {
            input: of(11),
            cached: of(12),
            cache_write: of(13),
            cache_write_long: of(14),
            audio_input: of(15),
            output: of(16),
            reasoning: of(17),
            audio_output: of(18),
            tools: of(19),
            stated: Some(of(10)),
            is_fallback: true,
            saturated: false,
        });
        entry.saved = of(20);
        entry.total = Duration::from_micros(21);
        entry.first_content = Some(Duration::from_micros(22));
        entry.per_token = Some(Duration::from_micros(23));
        entry.attempts = 24;
        entry.request_id = Some("a".into());
        entry.provider_request_id = Some("b".into());
        entry.answer_id = Some("c".into());
        entry.tags = Tags::new().with("team", "x");
        let cells = row(&entry);
        assert_eq!(cells.len(), COLUMNS.len());
        for ((name, kind), cell) in COLUMNS.iter().zip(&cells) {
            let fits = match cell {
                Value::Int(_) => *kind == Kind::Int,
                Value::Text(_) => *kind == Kind::Text,
                Value::Null => false,
            };
            assert!(fits, "{name}: {cell:?}");
        }
        assert_eq!(super::entry(cells), Some(entry));
    }

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for name in ["complete", "cut_by_clock", "unreadable"] {
            assert_eq!(fields::end_name(fields::end(name).unwrap()), name);
        }
        assert_eq!(fields::verdict("quota_exhausted"), Verdict::QuotaExhausted);
        assert_eq!(fields::verdict("of a later version"), Verdict::Failed);
        assert_eq!(fields::end("of a later version"), None);
    }

    #[test]
    fn what_cannot_be_true_is_cut_down_so_that_sums_fit() {
        let mut entry = Entry::new(RecordId::new(), SystemTime::UNIX_EPOCH, "m");
        entry.usage.visible = u64::MAX;
        entry.saved = Money::from_picos(u128::MAX);
        let cells = row(&entry);
        assert_eq!(cells[21], Value::Int(1_000_000_000_000));
        assert_eq!(cells[38], Value::Int(1_000_000_000_000_000_000));
    }
}
