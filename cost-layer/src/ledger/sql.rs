//! What SQLite and Postgres are both told: one schema, one set of questions.

use super::{
    By, Order, Page, Query, Spend,
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

/// `bytewise`: how the database is told to sort texts by their bytes.
pub(crate) fn spend(query: &Query, bytewise: &str) -> Statement {
    let mut statement = Statement {
        text: String::new(),
        values: Vec::new(),
    };
    let (mut from, mut filter) = (String::from("cost_entries e"), String::new());
    let key = match &query.by {
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
    let key = match query.by {
        By::Day => {
            let days: u64 = key.parse().ok()?;
            let start = std::time::Duration::from_secs(days * 24 * 3_600);
            Day::of(std::time::SystemTime::UNIX_EPOCH + start).to_string()
        }
        _ => key,
    };
    let requests = int()?;
    let money = |micros: u64, picos: u64| {
        llm_exchange::Money::from_picos(u128::from(micros) * 1_000_000 + u128::from(picos))
    };
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
