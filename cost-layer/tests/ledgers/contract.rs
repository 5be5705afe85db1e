//! What every ledger has to do, checked against plain sums over the same records.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cost_layer::{
    By, Charge, CostLayer, Day, Entry, Format, Ledger, LedgerError, Order, Page, Query, Record,
    RecordId, Span, Spend, Tags, Timeline,
};
use llm_exchange::{End, FromCache, Money, User, Verdict};

/// 2026-11-23T00:00:00Z.
pub(crate) const START: u64 = 1_795_392_000;

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(START + seconds)
}

/// Small numbers that look like nothing in particular.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len() as u64) as usize]
    }
}

fn entry(dice: &mut Dice, id: RecordId, part: u32, at: SystemTime) -> Entry {
    let mut entry = Entry::new(
        id,
        at,
        dice.one_of(&["gpt-6-sol", "claude-opus-5-5", "größe's \"x\""]),
    );
    entry.part = part;
    entry.provider = dice.one_of(&["api.openai.com", "api.anthropic.com"]).into();
    entry.model_served = Some("served-2026-09-22".into());
    entry.is_stream = dice.roll(2) == 0;
    entry.status = 200;
    entry.end = Some(End::Complete);
    let usage = &mut entry.usage;
    (usage.uncached, usage.cached, usage.cache_write) =
        (dice.roll(9_000), dice.roll(900), dice.roll(90));
    (usage.visible, usage.reasoning) = (dice.roll(3_000), dice.roll(300));
    entry.is_estimated = dice.roll(5) == 0;
    entry.charge = (dice.roll(7) > 0).then(|| {
        let mut charge = Charge::default();
        charge.input = Money::from_picos(u128::from(dice.roll(10_000_000_007)));
        charge.output = Money::from_picos(u128::from(dice.roll(90_000_000_011)));
        charge
    });
    entry.total = Duration::from_micros(dice.roll(90_000_000));
    entry.first_content = Some(Duration::from_micros(dice.roll(1_000_000)));
    entry
}

/// Records over three days: with users and without, with tags, hits and attempts left behind.
pub(crate) fn records(many: u64) -> Vec<Arc<Record>> {
    let mut dice = Dice(42);
    let record = |n| {
        let (id, at) = (RecordId::new(), at(n * 3 * 24 * 3_600 / many));
        let mut call = entry(&mut dice, id, 0, at);
        let user = dice.one_of(&["alice", "bob", "eve@x", ""]);
        call.user = (!user.is_empty()).then(|| User::new(user));
        if dice.roll(3) == 0 {
            let team = dice.one_of(&["search", "mail", "'; DROP TABLE cost_entries; --"]);
            call.tags = Tags::new().with("team", team).with("n", "1");
        }
        if dice.roll(9) == 0 {
            call.from_cache = Some(FromCache::Hit);
            call.saved = Money::from_picos(u128::from(dice.roll(1_000_000_000)));
            call.charge = Some(Charge::default());
        }
        let left_behind = (0..dice.roll(3)).map(|part| {
            let mut attempt = entry(&mut dice, id, part as u32 + 1, at);
            attempt.user = call.user.clone();
            attempt.tags = call.tags.clone();
            attempt.verdict = Verdict::Overloaded;
            attempt
        });
        let left_behind = left_behind.collect();
        Arc::new(Record::new(call, left_behind))
    };
    (0..many).map(record).collect()
}

/// What a question comes to, without a ledger.
fn expected(records: &[Arc<Record>], query: &Query) -> Vec<Spend> {
    let mut sums: BTreeMap<String, Spend> = BTreeMap::new();
    for entry in records.iter().flat_map(|record| record.entries()) {
        let user = entry.user.as_ref().map_or("", |user| user.as_str());
        let key = match &query.by {
            By::Total => Some(String::new()),
            By::User => Some(user.to_owned()),
            By::Model => Some(entry.model.to_string()),
            By::Provider => Some(entry.provider.to_string()),
            By::Day => Some(Day::of(entry.at).to_string()),
            By::Tag(name) => entry.tags.get(name).map(str::to_owned),
            _ => unreachable!("a way of summing that this test does not know"),
        };
        let fits = query.span.from <= entry.at
            && entry.at < query.span.to
            && query.user.as_deref().is_none_or(|wanted| wanted == user)
            && query
                .model
                .as_deref()
                .is_none_or(|wanted| *wanted == *entry.model);
        let Some(key) = key.filter(|_| fits) else {
            continue;
        };
        let sum = sums.entry(key).or_default();
        sum.requests += u64::from(entry.part == 0);
        sum.cost = sum.cost.saturating_add(entry.cost().unwrap_or_default());
        sum.saved = sum.saved.saturating_add(entry.saved);
        sum.unpriced += u64::from(entry.charge.is_none());
        sum.estimated += u64::from(entry.is_estimated);
        sum.input_tokens += entry.usage.input();
        sum.cached_tokens += entry.usage.cached;
        sum.output_tokens += entry.usage.output();
        sum.reasoning_tokens += entry.usage.reasoning;
    }
    let mut sums: Vec<Spend> = sums
        .into_iter()
        .map(|(key, mut sum)| {
            sum.key = key;
            sum
        })
        .collect();
    sums.sort_by_key(|sum| std::cmp::Reverse(sum.cost.picos() / 1_000_000));
    sums.truncate(query.most);
    sums
}

/// Checks an empty ledger.
pub(crate) async fn check(ledger: &dyn Ledger) -> Result<(), LedgerError> {
    let records = records(400);
    let (first, second) = records.split_at(150);
    ledger.append(first).await?;
    ledger.append(second).await?;
    // as after a connection that broke, nobody knows when
    ledger.append(&records[100..200]).await?;
    sums_are_exact(ledger, &records).await?;
    entries_are_listed_as_they_were(ledger, &records).await?;
    what_was_spent_over_time_is_exact(ledger, &records).await?;
    amounts_beyond_64_bits_are_summed(ledger).await
}

/// Checks that an empty ledger's records are written out, page by page.
pub(crate) async fn check_exports(ledger: impl Ledger) {
    let records = records(700);
    ledger.append(&records).await.unwrap();
    let mut all: Vec<&Entry> = records.iter().flat_map(|record| record.entries()).collect();
    all.sort_by_key(|entry| (entry.at, entry.id, entry.part));
    // more than a page
    assert!(all.len() > 1_000);
    let handle = CostLayer::default().ledger(ledger).handle();
    for format in [Format::Csv, Format::JsonLines] {
        let mut written = Vec::new();
        let number = handle
            .export(Span::all(), format, &mut written)
            .await
            .unwrap();
        assert_eq!(number, all.len() as u64);
        let written = String::from_utf8(written).unwrap();
        let head = usize::from(format == Format::Csv);
        let lines: Vec<_> = written.split_inclusive('\n').skip(head).collect();
        let expected = all.iter().map(|entry| format.line(entry));
        assert_eq!(lines, expected.collect::<Vec<_>>());
    }
}

async fn sums_are_exact(ledger: &dyn Ledger, records: &[Arc<Record>]) -> Result<(), LedgerError> {
    let spans = [
        Span::all(),
        Span::day(Day::of(at(30 * 3_600))),
        Span {
            from: at(5 * 3_600),
            to: at(29 * 3_600),
        },
        Span {
            from: at(900 * 3_600),
            to: at(901 * 3_600),
        },
    ];
    let tag = |name: &str| By::Tag(name.to_owned());
    for span in spans {
        for by in [
            By::Total,
            By::User,
            By::Model,
            By::Provider,
            By::Day,
            tag("team"),
            tag("none"),
        ] {
            let query = Query::new(span, by);
            for query in [
                query.clone(),
                query.clone().user("alice"),
                query.clone().user("").model("gpt-6-sol"),
                query.clone().user("nobody"),
                query.most(2),
            ] {
                assert_eq!(
                    ledger.spend(&query).await?,
                    expected(records, &query),
                    "{query:?}"
                );
            }
        }
    }
    Ok(())
}

async fn entries_are_listed_as_they_were(
    ledger: &dyn Ledger,
    records: &[Arc<Record>],
) -> Result<(), LedgerError> {
    for order in [Order::Oldest, Order::Newest] {
        let mut all: Vec<Entry> = records
            .iter()
            .flat_map(|record| record.entries().cloned())
            .collect();
        all.sort_by_key(|entry| (entry.at, entry.id, entry.part));
        if order == Order::Newest {
            all.reverse();
        }
        let mut page = Page::new(Span::all(), order).most(77);
        let mut listed = Vec::new();
        loop {
            let next = ledger.entries(&page).await?;
            let Some(last) = next.last() else { break };
            page.after = Some((last.at, last.id, last.part));
            listed.extend(next);
        }
        assert_eq!(listed, all);

        let page = Page::new(Span::day(Day::of(at(0))), order)
            .user("bob")
            .most(5);
        let bobs = all.iter().filter(|entry| {
            entry
                .user
                .as_ref()
                .is_some_and(|user| user.as_str() == "bob")
                && entry.at < at(24 * 3_600)
        });
        assert_eq!(
            ledger.entries(&page).await?,
            bobs.take(5).cloned().collect::<Vec<_>>()
        );
    }
    Ok(())
}

async fn what_was_spent_over_time_is_exact(
    ledger: &dyn Ledger,
    records: &[Arc<Record>],
) -> Result<(), LedgerError> {
    let span = Span {
        from: at(5 * 3_600),
        to: at(29 * 3_600),
    };
    for (seconds, by) in [
        (1, By::Total),
        (300, By::User),
        (3_600, By::Model),
        (60, By::Tag("team".to_owned())),
    ] {
        let mut sums: BTreeMap<(u64, String), Money> = BTreeMap::new();
        for entry in records.iter().flat_map(|record| record.entries()) {
            let key = match &by {
                By::User => entry.user.as_ref().map_or("", |user| user.as_str()),
                By::Model => &entry.model,
                By::Tag(name) => match entry.tags.get(name) {
                    Some(value) => value,
                    None => continue,
                },
                _ => "",
            };
            let ended = entry.at + entry.total;
            let cost = entry.cost().unwrap_or_default();
            if span.from <= ended && ended < span.to && cost > Money::ZERO {
                let since = ended.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                let sum = sums.entry((since.as_secs() / seconds, key.to_owned()));
                let sum = sum.or_default();
                *sum = sum.saturating_add(cost);
            }
        }
        let slots = sums.into_iter().map(|((number, key), cost)| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number * seconds);
            (at, key, cost)
        });
        let expected: Vec<_> = slots.collect();
        assert!(expected.len() > 3);
        let mut timeline = Timeline::new(span, Duration::from_secs(seconds), by);
        let slots = ledger.timeline(&timeline).await?;
        let mut found: Vec<_> = slots
            .into_iter()
            .map(|slot| (slot.at, slot.key, slot.cost))
            .collect();
        assert!(found.is_sorted_by_key(|(at, ..)| *at));
        found.sort();
        assert_eq!(found, expected, "{timeline:?}");
        // the latest
        timeline.most = 3;
        let some = ledger.timeline(&timeline).await?;
        let (first, last) = (some[0].at, expected[expected.len() - 1].0);
        assert_eq!((some.len(), some[2].at), (3, last));
        assert!(
            expected[..expected.len() - 3]
                .iter()
                .all(|(at, ..)| *at <= first)
        );
    }
    Ok(())
}

async fn amounts_beyond_64_bits_are_summed(ledger: &dyn Ledger) -> Result<(), LedgerError> {
    let far = at(400 * 24 * 3_600);
    let dear = (0..30).map(|_| {
        let mut entry = Entry::new(RecordId::new(), far, "dear");
        let mut charge = Charge::default();
        charge.input = Money::from_picos(999_999_999_999_999_999);
        entry.charge = Some(charge);
        Arc::new(Record::new(entry, Vec::new()))
    });
    ledger.append(&dear.collect::<Vec<_>>()).await?;
    let query = Query::new(Span::day(Day::of(far)), By::Model);
    let sum = ledger.spend(&query).await?;
    assert_eq!(sum[0].cost.picos(), 999_999_999_999_999_999 * 30);
    Ok(())
}
