//! What calls cost and how long they took, as JSON.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query as Asked, State},
    response::{IntoResponse, Response},
    routing::get,
};
use cost_layer::{By, CostHandle, LedgerError, Quantiles, Query, Span, Spend, Window};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::board::dollars;

/// What the reports are made of.
struct Reports {
    books: CostHandle,
}

/// The routes of the reports.
pub(crate) fn routes(books: CostHandle) -> Router {
    Router::new()
        .route("/report/daily", get(daily))
        .route("/report/users/{id}", get(user))
        .route("/report/models/{*name}", get(model))
        .route("/report/latency", get(latency))
        .route("/report/latency/export", get(latency_export))
        .with_state(Arc::new(Reports { books }))
}

#[derive(Deserialize)]
struct OfDay {
    day: Option<String>,
}

#[derive(Deserialize)]
struct OfDays {
    days: Option<u32>,
}

type Answer = Result<Json<Value>, Response>;

async fn daily(State(reports): State<Arc<Reports>>, Asked(asked): Asked<OfDay>) -> Answer {
    let day = match asked.day {
        None => reports.books.today(),
        Some(day) => day.parse().map_err(|error: cost_layer::InvalidDay| {
            (StatusCode::BAD_REQUEST, error.to_string()).into_response()
        })?,
    };
    let spends = reports.books.daily(day).await.map_err(away)?;
    Ok(Json(
        spends.iter().map(|spend| line("model", spend)).collect(),
    ))
}

async fn user(
    State(reports): State<Arc<Reports>>,
    Path(id): Path<String>,
    Asked(asked): Asked<OfDays>,
) -> Answer {
    let query = |by| Query::new(days(&reports, &asked), by).user(&id);
    let mut answer = total(&reports, query(By::Total)).await?;
    answer.insert("user".into(), id.clone().into());
    answer.insert(
        "models".into(),
        lines(&reports, "model", query(By::Model)).await?,
    );
    answer.insert("days".into(), lines(&reports, "day", query(By::Day)).await?);
    Ok(Json(answer.into()))
}

async fn model(
    State(reports): State<Arc<Reports>>,
    Path(name): Path<String>,
    Asked(asked): Asked<OfDays>,
) -> Answer {
    let query = |by| Query::new(days(&reports, &asked), by).model(&name);
    let mut answer = total(&reports, query(By::Total)).await?;
    answer.insert("model".into(), name.clone().into());
    answer.insert(
        "users".into(),
        lines(&reports, "user", query(By::User)).await?,
    );
    answer.insert("days".into(), lines(&reports, "day", query(By::Day)).await?);
    Ok(Json(answer.into()))
}

fn days(reports: &Reports, asked: &OfDays) -> Span {
    Span::days_up_to(reports.books.today(), asked.days.unwrap_or(30))
}

async fn total(reports: &Reports, query: Query) -> Result<Map<String, Value>, Response> {
    let found = reports.books.spend(&query).await.map_err(away)?;
    let mut fields = fields(&found.into_iter().next().unwrap_or_default());
    fields.remove("key");
    Ok(fields)
}

async fn lines(reports: &Reports, key: &str, query: Query) -> Result<Value, Response> {
    let found = reports.books.spend(&query).await.map_err(away)?;
    Ok(found.iter().map(|spend| line(key, spend)).collect())
}

fn line(key: &str, spend: &Spend) -> Value {
    let mut fields = fields(spend);
    fields.insert(key.into(), spend.key.clone().into());
    fields.into()
}

fn fields(spend: &Spend) -> Map<String, Value> {
    let fields = json!({
        "cost_usd": dollars(spend.cost),
        "saved_usd": dollars(spend.saved),
        "requests": spend.requests,
        "unpriced": spend.unpriced,
        "estimated": spend.estimated,
        "input_tokens": spend.input_tokens,
        "cached_tokens": spend.cached_tokens,
        "output_tokens": spend.output_tokens,
        "reasoning_tokens": spend.reasoning_tokens,
        "cached_share": spend.cached_share(),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn away(error: LedgerError) -> Response {
    tracing::error!(%error, "a report");
    let status = if error.is_timed_out() {
        StatusCode::GATEWAY_TIMEOUT
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, error.to_string()).into_response()
}

async fn latency(State(reports): State<Arc<Reports>>) -> Json<Value> {
    let mut models = Map::new();
    for latency in reports.books.latencies(Window::AllTime) {
        // at all its providers together
        let Some(latency) = reports.books.latency(&latency.model, Window::AllTime) else {
            continue;
        };
        let ok = &latency.ok;
        let times = json!({
            "total": quantiles(&ok.total),
            "first_token": quantiles(&ok.first_content),
            "per_token": quantiles(&ok.per_token),
            "failed": latency.failed.total.count,
            "abandoned": latency.abandoned.total.count,
        });
        models.insert(latency.model, times);
    }
    Json(models.into())
}

/// All since the start, in HDR's own form: to be merged with that of other gateways.
async fn latency_export(State(reports): State<Arc<Reports>>) -> String {
    reports.books.export_latencies()
}

/// In seconds.
fn quantiles(of: &Quantiles) -> Value {
    json!({
        "p50": of.p50.as_secs_f64(),
        "p90": of.p90.as_secs_f64(),
        "p95": of.p95.as_secs_f64(),
        "p99": of.p99.as_secs_f64(),
        "max": of.max.as_secs_f64(),
        "count": of.count,
    })
}

#[cfg(test)]
mod tests {
    use std::{future::ready, sync::Arc};

    use axum::body::Body;
    use cost_layer::{CostLayer, Entry, Ledger, LedgerFuture, Page, Record};
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    /// A ledger that answers nothing but this.
    struct Fails(fn(&'static str) -> LedgerError);

    impl Fails {
        fn now<T: Send + 'static>(&self) -> LedgerFuture<'_, T> {
            Box::pin(ready(Err((self.0)("canary"))))
        }
    }

    impl Ledger for Fails {
        fn append<'a>(&'a self, _: &'a [Arc<Record>]) -> LedgerFuture<'a, ()> {
            self.now()
        }

        fn spend<'a>(&'a self, _: &'a Query) -> LedgerFuture<'a, Vec<Spend>> {
            self.now()
        }

        fn entries<'a>(&'a self, _: &'a Page) -> LedgerFuture<'a, Vec<Entry>> {
            self.now()
        }
    }

    #[tokio::test]
    async fn a_ledger_that_is_away_is_a_503_and_one_that_takes_too_long_a_504() {
        let away: fn(&'static str) -> LedgerError = LedgerError::temporary;
        for (error, status) in [(away, 503), (LedgerError::timed_out, 504)] {
            let books = CostLayer::default().ledger(Fails(error)).handle();
            for path in ["/report/daily", "/report/users/a", "/report/models/m/n"] {
                let request = Request::get(path).body(Body::empty()).unwrap();
                let answer = routes(books.clone()).oneshot(request).await.unwrap();
                assert_eq!(answer.status(), status, "{path}");
                let text = axum::body::to_bytes(answer.into_body(), 1 << 10).await;
                let text = text.unwrap();
                assert!(text.starts_with(b"the ledger") && !text.ends_with(b"canary"));
            }
        }
    }
}
