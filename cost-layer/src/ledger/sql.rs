//! What SQLite and Postgres are both told: one schema, one set of questions.

use std::time::{Duration, SystemTime};

use llm_exchange::Money;

use super::{
    By, Order, Page, Query, Slot, Spend, Timeline,
    row::{COLUMNS, Kind, Value, micros},
};
use crate::Day;

/// The columns of the schema's first version.
const FIRST_COLUMNS: usize = 47;

/// The steps from one version of the schema to the next, the first from nothing.
pub(crate) fn migrations() -> Vec<String> {
    let columns = COLUMNS[..FIRST_COLUMNS].iter().map(|(name, kind)| {
        let kind = match kind {
            Kind::Int => "BIGINT",
            Kind::Text => "TEXT",
        };
        let needed = matches!(*name, "id" | "part" | "called_at" | "model");
        format!("{name} {kind}{}", if needed { " NOT NULL" } else { "" })
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let tables = format!(
        "CREATE TABLE cost_entries ({columns}, PRIMARY KEY (id, part));
         CREATE INDEX cost_entries_called_at ON cost_entries (called_at);
         CREATE INDEX cost_entries_user ON cost_entries (user_name, called_at);
         CREATE INDEX cost_entries_model ON cost_entries (model, called_at);
         CREATE TABLE cost_tags (id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (id, name));
         CREATE INDEX cost_tags_name ON cost_tags (name, value);"
    );
    let background = "ALTER TABLE cost_entries ADD COLUMN is_background BIGINT NOT NULL DEFAULT 0;";
    vec![tables, background.to_owned()]
}

pub(crate) fn column_names() -> String {
    COLUMNS.map(|(name, _)| name).join(", ")
}

/// A statement, and what stands at its `?1`, `?2`, …
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Statement {
    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }
}

/// Amounts are summed in two parts, as a sum of pico-dollars would soon be beyond 64 bits: whole
/// micro-dollars, and what is left of each.
fn sum_of(amount: &str) -> String {
    format!(
        "CAST(coalesce(sum({amount} / 1000000), 0) AS BIGINT), \
         CAST(coalesce(sum({amount} % 1000000), 0) AS BIGINT)"
    )
}

fn sum(expression: &str) -> String {
    format!("CAST(coalesce(sum({expression}), 0) AS BIGINT)")
}

/// What sums are made by: the key, where it stands, and what else has to hold.
struct Keyed {
    key: String,
    from: String,
    filter: String,
}

impl Keyed {
    fn by(by: &By, statement: &mut Statement) -> Self {
        let (mut from, mut filter) = (String::from("cost_entries e"), String::new());
        let key = match by {
            By::Total => "''".to_owned(),
            By::User => "coalesce(e.user_name, '')".to_owned(),
            By::Model => "e.model".to_owned(),
            By::Provider => "e.provider".to_owned(),
            By::Day => "CAST(e.called_at / 86400000000 AS TEXT)".to_owned(),
            By::Tag(name) => {
                let name = statement.bind(Value::Text(name.clone()));
                from.push_str(" JOIN cost_tags t ON t.id = e.id");
                filter = format!(" AND t.name = {name}");
                "t.value".to_owned()
            }
        };
        Self { key, from, filter }
    }
}

/// `bytewise`: how the database is told to sort texts by their bytes.
pub(crate) fn spend(query: &Query, bytewise: &str) -> Statement {
    let mut statement = Statement {
        text: String::new(),
        values: Vec::new(),
    };
    let Keyed {
        key,
        from,
        mut filter,
    } = Keyed::by(&query.by, &mut statement);
    let since = statement.bind(Value::Int(micros(query.span.from)));
    let until = statement.bind(Value::Int(micros(query.span.to)));
    if let Some(user) = &query.user {
        let user = statement.bind(Value::Text(user.clone()));
        filter.push_str(&format!(" AND coalesce(e.user_name, '') = {user}"));
    }
    if let Some(model) = &query.model {
        let model = statement.bind(Value::Text(model.clone()));
        filter.push_str(&format!(" AND e.model = {model}"));
    }
    let most = statement.bind(Value::Int(query.limit() as i64));
    let sums = [
        sum("CASE WHEN e.part = 0 THEN 1 ELSE 0 END"),
        sum_of("e.cost"),
        sum_of("e.saved"),
        sum("CASE WHEN e.cost IS NULL THEN 1 ELSE 0 END"),
        sum("e.is_estimated"),
        sum("e.uncached + e.cached + e.cache_write + e.cache_write_long + e.audio_input"),
        sum("e.cached"),
        sum("e.visible + e.reasoning + e.audio_output"),
        sum("e.reasoning"),
    ];
    let micros = "CAST(coalesce(sum(e.cost / 1000000), 0) AS BIGINT) \
                  + CAST(coalesce(sum(e.cost % 1000000), 0) AS BIGINT) / 1000000";
    statement.text = format!(
        "SELECT {key}, {} FROM {from} WHERE e.called_at >= {since} AND e.called_at < {until}{filter} \
         GROUP BY 1 ORDER BY {micros} DESC, {key}{bytewise} LIMIT {most}",
        sums.join(", ")
    );
    statement
}

/// The sums in a row that [`spend`] asked for. `None`: they are not.
pub(crate) fn read_spend(query: &Query, cells: Vec<Value>) -> Option<Spend> {
    let mut cells = cells.into_iter();
    let Value::Text(key) = cells.next()? else {
        return None;
    };
    let mut int = || match cells.next()? {
        Value::Int(value) => u64::try_from(value).ok(),
        Value::Null | Value::Text(_) => None,
    };
    let key = read_key(&query.by, key)?;
    let requests = int()?;
    let cost = money(int()?, int()?);
    let saved = money(int()?, int()?);
    Some(Spend {
        key,
        requests,
        cost,
        saved,
        unpriced: int()?,
        estimated: int()?,
        input_tokens: int()?,
        cached_tokens: int()?,
        output_tokens: int()?,
        reasoning_tokens: int()?,
    })
}

fn read_key(by: &By, key: String) -> Option<String> {
    Some(match by {
        By::Day => {
            let days: u64 = key.parse().ok()?;
            let start = Duration::from_secs(days * 24 * 3_600);
            Day::of(SystemTime::UNIX_EPOCH + start).to_string()
        }
        _ => key,
    })
}

fn money(micros: u64, picos: u64) -> Money {
    Money::from_picos(u128::from(micros) * 1_000_000 + u128::from(picos))
}

/// No call takes longer, or if it does it is not found by its end.
const LONGEST_CALL: i64 = 3_600_000_000;

/// The latest first.
pub(crate) fn timeline(timeline: &Timeline, bytewise: &str) -> Statement {
    let mut statement = Statement {
        text: String::new(),
        values: Vec::new(),
    };
    let Keyed { key, from, filter } = Keyed::by(&timeline.by, &mut statement);
    let (since, until) = (micros(timeline.span.from), micros(timeline.span.to));
    let earliest = statement.bind(Value::Int(since.saturating_sub(LONGEST_CALL)));
    let since = statement.bind(Value::Int(since));
    let until = statement.bind(Value::Int(until));
    let most = statement.bind(Value::Int(timeline.limit() as i64));
    let ended = "(e.called_at + e.total_us)";
    let slot = timeline.slot_micros();
    statement.text = format!(
        "SELECT {key}, {ended} / {slot}, {} FROM {from} \
         WHERE e.called_at >= {earliest} AND e.called_at < {until} \
         AND {ended} >= {since} AND {ended} < {until} AND e.cost > 0{filter} \
         GROUP BY 1, 2 ORDER BY 2 DESC, {key}{bytewise} LIMIT {most}",
        sum_of("e.cost")
    );
    statement
}

/// A row that [`timeline`] asked for. `None`: it is none.
pub(crate) fn read_slot(timeline: &Timeline, cells: Vec<Value>) -> Option<Slot> {
    let [
        Value::Text(key),
        Value::Int(number),
        Value::Int(micros),
        Value::Int(picos),
    ] = <[Value; 4]>::try_from(cells).ok()?
    else {
        return None;
    };
    let at = u64::try_from(number.checked_mul(timeline.slot_micros())?).ok()?;
    Some(Slot::new(
        SystemTime::UNIX_EPOCH + Duration::from_micros(at),
        read_key(&timeline.by, key)?,
        money(micros.try_into().ok()?, picos.try_into().ok()?),
    ))
}

/// The entries of a page.
pub(crate) fn page(page: &Page) -> Statement {
    let mut statement = Statement {
        text: String::new(),
        values: Vec::new(),
    };
    let since = statement.bind(Value::Int(micros(page.span.from)));
    let until = statement.bind(Value::Int(micros(page.span.to)));
    let mut filter = format!("called_at >= {since} AND called_at < {until}");
    if let Some(user) = &page.user {
        let user = statement.bind(Value::Text(user.clone()));
        filter.push_str(&format!(" AND coalesce(user_name, '') = {user}"));
    }
    if let Some(model) = &page.model {
        let model = statement.bind(Value::Text(model.clone()));
        filter.push_str(&format!(" AND model = {model}"));
    }
    let (sign, direction) = match page.order {
        Order::Newest => ("<", "DESC"),
        Order::Oldest => (">", "ASC"),
    };
    if let Some((at, id, part)) = page.after {
        let at = statement.bind(Value::Int(micros(at)));
        let id = statement.bind(Value::Text(id.to_string()));
        let part = statement.bind(Value::Int(part.into()));
        filter.push_str(&format!(
            " AND (called_at, id, part) {sign} ({at}, {id}, {part})"
        ));
    }
    let most = statement.bind(Value::Int(page.limit() as i64));
    statement.text = format!(
        "SELECT {} FROM cost_entries WHERE {filter} \
         ORDER BY called_at {direction}, id {direction}, part {direction} LIMIT {most}",
        column_names()
    );
    statement
}
