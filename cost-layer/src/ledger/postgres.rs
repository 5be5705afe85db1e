//! The ledger in Postgres, for several machines.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio::{sync::Semaphore, time::timeout};
use tokio_postgres::{
    Config, NoTls, Row,
    error::SqlState,
    types::{ToSql, Type},
};

use super::{
    LONGEST_READ, Ledger, LedgerError, LedgerFuture, Page, Query, Slot, Spend, Timeline,
    row::{self, COLUMNS, Kind, Value},
    sql::{self, Statement},
};
use crate::{Entry, Record};

/// Keeps records in a Postgres database, which several machines may share: the same tables as
/// `SqliteLedger`. A record that is sent twice, as after a connection broke, is kept once.
#[derive(Clone)]
pub struct PostgresLedger {
    pool: Pool,
    /// As many as may ask at a time: one connection is left to write with.
    asking: Arc<Semaphore>,
    longest_read: Duration,
}

/// Connections of a ledger that makes its own pool.
const CONNECTIONS: usize = 4;
const WAIT: Duration = Duration::from_secs(5);
/// What the migrations lock, so that of several machines that start at once one makes the tables.
const LOCK: i64 = 0x636f_7374_6c65_6467;

impl PostgresLedger {
    /// Connects to a database without TLS, and brings its tables up to date. `url` is as libpq writes
    /// it: `postgres://user:password@host/database`. At most 4 connections, of which
    /// questions have 3: records are written also while reports take long.
    ///
    /// For TLS, and for a pool of your own, there is [`with_pool`](Self::with_pool).
    ///
    /// # Errors
    ///
    /// The URL is none, the database is not there, or its tables are of a later version.
    pub async fn connect(url: &str) -> Result<Self, LedgerError> {
        // the error may show the password
        let config = Config::from_str(url)
            .map_err(|_| LedgerError::permanent("the ledger's URL is not one of Postgres"))?;
        // a round trip for each batch; else each connection of a server that was away fails once
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Verified,
        };
        let manager = Manager::from_config(config, NoTls, recycling);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(WAIT))
            .recycle_timeout(Some(WAIT))
            .build()
            .map_err(LedgerError::permanent)?;
        Self::with_pool(pool).await
    }

    /// Uses a pool of the app's, and brings the tables up to date. Questions take one connection less than
    /// the pool has at most, and at least one.
    ///
    /// # Errors
    ///
    /// The database is not there, or its tables are of a later version.
    pub async fn with_pool(pool: Pool) -> Result<Self, LedgerError> {
        let askers = pool.status().max_size.saturating_sub(1).max(1);
        let ledger = Self {
            pool,
            asking: Arc::new(Semaphore::new(askers.min(Semaphore::MAX_PERMITS))),
            longest_read: LONGEST_READ,
        };
        ledger.migrate().await?;
        Ok(ledger)
    }

    /// How long a question may take. Default 10 s. What takes longer is stopped by the server
    /// (`statement_timeout`); one that does not answer at all is waited for 5 s more.
    #[must_use]
    pub const fn longest_read(mut self, time: Duration) -> Self {
        self.longest_read = time;
        self
    }

    async fn client(&self) -> Result<Object, LedgerError> {
        self.pool.get().await.map_err(LedgerError::temporary)
    }

    async fn migrate(&self) -> Result<(), LedgerError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(error)?;
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
            .await
            .map_err(error)?;
        transaction
            .batch_execute("CREATE TABLE IF NOT EXISTS cost_schema (version BIGINT NOT NULL)")
            .await
            .map_err(error)?;
        let version = transaction
            .query_one("SELECT coalesce(max(version), 0) FROM cost_schema", &[])
            .await
            .map_err(error)?;
        let version = usize::try_from(version.get::<_, i64>(0)).unwrap_or(usize::MAX);
        let migrations = sql::migrations();
        let Some(steps) = migrations.get(version..) else {
            return Err(LedgerError::permanent("the tables are of a later version"));
        };
        for step in steps {
            transaction.batch_execute(step).await.map_err(error)?;
        }
        if !steps.is_empty() {
            let now = migrations.len() as i64;
            transaction
                .execute("INSERT INTO cost_schema VALUES ($1)", &[&now])
                .await
                .map_err(error)?;
        }
        transaction.commit().await.map_err(error)
    }

    /// Two statements for a batch of any size: each column travels as one array.
    async fn write(&self, records: &[Arc<Record>]) -> Result<(), LedgerError> {
        let mut columns = Columns::new();
        let mut tags: [Vec<String>; 3] = Default::default();
        for record in records {
            record.entries().for_each(|entry| columns.push(entry));
            for (name, value) in record.call.tags.iter() {
                tags[0].push(record.call.id.to_string());
                tags[1].push(cleaned(name));
                tags[2].push(cleaned(value));
            }
        }
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(error)?;
        let insert = transaction.prepare_cached(&insert()).await.map_err(error)?;
        transaction
            .execute(&insert, &columns.values())
            .await
            .map_err(error)?;
        if !tags[0].is_empty() {
            let text = "INSERT INTO cost_tags (id, name, value) \
                        SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING";
            let insert = transaction.prepare_cached(text).await.map_err(error)?;
            transaction
                .execute(&insert, &[&tags[0], &tags[1], &tags[2]])
                .await
                .map_err(error)?;
        }
        transaction.commit().await.map_err(error)
    }

    async fn read<T>(
        &self,
        statement: Statement,
        row: impl FnMut(Vec<Value>) -> Option<T>,
    ) -> Result<Vec<T>, LedgerError> {
        let longest = self.longest_read.saturating_add(WAIT);
        match timeout(longest, self.ask(statement)).await {
            Ok(rows) => {
                let cells = rows?.iter().map(cells).collect::<Option<Vec<_>>>();
                cells.and_then(|cells| cells.into_iter().map(row).collect())
            }
            .ok_or_else(|| LedgerError::permanent("a row is not of ours")),
            Err(late) => Err(LedgerError::timed_out(late)),
        }
    }

    async fn ask(&self, mut statement: Statement) -> Result<Vec<Row>, LedgerError> {
        let turn = self.asking.acquire().await;
        let _turn = turn.map_err(LedgerError::temporary)?;
        let mut client = self.client().await?;
        let reading = client.build_transaction().read_only(true).start();
        let transaction = reading.await.map_err(error)?;
        // of this question alone: the connection may be of an app's own pool
        let limit = self.longest_read.as_millis().clamp(1, i32::MAX as u128);
        transaction
            .batch_execute(&format!("SET LOCAL statement_timeout = {limit}"))
            .await
            .map_err(error)?;
        let text = statement.text.replace('?', "$");
        let prepared = transaction.prepare_cached(&text).await.map_err(error)?;
        for value in &mut statement.values {
            if let Value::Text(text) = value {
                *text = cleaned(text);
            }
        }
        let values: Vec<&(dyn ToSql + Sync)> = statement
            .values
            .iter()
            .map(|value| match value {
                Value::Int(value) => value as &(dyn ToSql + Sync),
                Value::Text(value) => value,
                Value::Null => &None::<i64>,
            })
            .collect();
        let rows = transaction.query(&prepared, &values).await;
        let rows = rows.map_err(|failed| match failed.code() {
            Some(&SqlState::QUERY_CANCELED) => LedgerError::timed_out(failed),
            _ => error(failed),
        })?;
        transaction.commit().await.map_err(error)?;
        Ok(rows)
    }
}

/// Postgres takes no NUL in a text.
fn cleaned(text: &str) -> String {
    text.replace('\0', "")
}

fn insert() -> String {
    let arrays = COLUMNS.iter().enumerate().map(|(at, (_, kind))| {
        let kind = match kind {
            Kind::Int => "bigint",
            Kind::Text => "text",
        };
        format!("${}::{kind}[]", at + 1)
    });
    format!(
        "INSERT INTO cost_entries ({}) SELECT * FROM unnest({}) ON CONFLICT (id, part) DO NOTHING",
        sql::column_names(),
        arrays.collect::<Vec<_>>().join(", ")
    )
}

/// The entries of a batch, turned: all values of a column together.
struct Columns(Vec<Column>);

enum Column {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

impl Columns {
    fn new() -> Self {
        let empty = COLUMNS.iter().map(|(_, kind)| match kind {
            Kind::Int => Column::Ints(Vec::new()),
            Kind::Text => Column::Texts(Vec::new()),
        });
        Self(empty.collect())
    }

    fn push(&mut self, entry: &Entry) {
        for (column, cell) in self.0.iter_mut().zip(row::row(entry)) {
            match (column, cell) {
                (Column::Ints(ints), Value::Int(value)) => ints.push(Some(value)),
                (Column::Texts(texts), Value::Text(value)) => {
                    texts.push(Some(cleaned(&value)));
                }
                (Column::Ints(ints), _) => ints.push(None),
                (Column::Texts(texts), _) => texts.push(None),
            }
        }
    }

    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        let values = self.0.iter().map(|column| match column {
            Column::Ints(ints) => ints as &(dyn ToSql + Sync),
            Column::Texts(texts) => texts,
        });
        values.collect()
    }
}

fn cells(row: &Row) -> Option<Vec<Value>> {
    let cells = row.columns().iter().enumerate().map(|(at, column)| {
        Some(if *column.type_() == Type::INT8 {
            let value: Option<i64> = row.try_get(at).ok()?;
            value.map_or(Value::Null, Value::Int)
        } else {
            let value: Option<String> = row.try_get(at).ok()?;
            value.map_or(Value::Null, Value::Text)
        })
    });
    cells.collect()
}

fn error(error: tokio_postgres::Error) -> LedgerError {
    if error.code().is_some_and(|code| is_of_the_data(code.code())) {
        LedgerError::permanent(error)
    } else {
        LedgerError::temporary(error)
    }
}

/// Only what is wrong with the data is wrong for ever: data exceptions, constraints, and what is larger than
/// the server takes. A server may come back, a standby be promoted, a disk be freed, a table or a right be
/// given back.
fn is_of_the_data(code: &str) -> bool {
    ["22", "23", "54"]
        .iter()
        .any(|class| code.starts_with(class))
}

impl Ledger for PostgresLedger {
    fn append<'a>(&'a self, records: &'a [Arc<Record>]) -> LedgerFuture<'a, ()> {
        Box::pin(self.write(records))
    }

    fn spend<'a>(&'a self, query: &'a Query) -> LedgerFuture<'a, Vec<Spend>> {
        Box::pin(async move {
            let statement = sql::spend(query, " COLLATE \"C\"");
            let mut spends = self
                .read(statement, |cells| sql::read_spend(query, cells))
                .await?;
            Spend::sort(&mut spends);
            Ok(spends)
        })
    }

    fn timeline<'a>(&'a self, timeline: &'a Timeline) -> LedgerFuture<'a, Vec<Slot>> {
        Box::pin(async move {
            let statement = sql::timeline(timeline, " COLLATE \"C\"");
            let slots = self.read(statement, |cells| sql::read_slot(timeline, cells));
            Ok(slots.await?.into_iter().rev().collect())
        })
    }

    fn entries<'a>(&'a self, page: &'a Page) -> LedgerFuture<'a, Vec<Entry>> {
        Box::pin(self.read(sql::page(page), row::entry))
    }
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLedger").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_with_the_data_loses_a_record() {
        for (code, lost) in [
            ("22003", true),  // a number out of range
            ("23514", true),  // a check
            ("54000", true),  // a row too large for an index
            ("08006", false), // the connection failed
            ("25006", false), // a standby, or read-only
            ("28000", false), // a right that was taken away
            ("40001", false), // serialization
            ("40P01", false), // a deadlock
            ("42P01", false), // no such table: somebody restores it
            ("42501", false), // no right to it
            ("53100", false), // the disk is full
            ("53300", false), // too many connections
            ("57014", false), // cancelled
            ("57P01", false), // shut down by its operator
            ("57P03", false), // starting up
            ("58030", false), // an input or output error
            ("XX000", false), // anything else
        ] {
            assert_eq!(is_of_the_data(code), lost, "{code}");
        }
    }
}
