//! What operators look at and do: the dashboard, the layers' states as JSON, the reports, Prometheus.

mod breakers;
mod budgets;
mod caches;
mod door;
mod metrics;
mod page;
mod spend;

use std::{fmt, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use breaker_layer::BreakerHandle;
use cost_layer::CostHandle;
use serde_json::{Value, json};

pub(crate) use self::spend::Hours;
pub(crate) use self::{
    caches::{AnswersHandle, Caches},
    door::Door,
};
use crate::{board::Board, budgets::Budgets, report};

/// What the layers that are there show of themselves.
pub(crate) struct Admin {
    pub(crate) door: Door,
    pub(crate) board: Arc<Board>,
    pub(crate) books: Option<CostHandle>,
    pub(crate) breakers: Option<BreakerHandle>,
    pub(crate) budgets: Option<Budgets>,
    pub(crate) caches: Caches,
    pub(crate) hours: Hours,
}

impl Admin {
    pub(crate) fn new(door: Door, board: Arc<Board>) -> Self {
        Self {
            door,
            board,
            books: None,
            breakers: None,
            budgets: None,
            caches: Caches::default(),
            hours: Hours::default(),
        }
    }

    /// All of it; the page itself is open, as nothing is in it.
    pub(crate) fn routes(self) -> Router {
        let admin = Arc::new(self);
        let mut guarded = Router::new()
            .route("/dashboard", get(dashboard))
            .route("/alerts", get(alerts))
            .route("/metrics", get(metrics::metrics))
            .route("/cache", get(caches::show).delete(caches::remove))
            .route("/breakers", get(breakers::show))
            .route("/budgets", get(budgets::show))
            .route("/breakers/{*rest}", post(breakers::act))
            .with_state(Arc::clone(&admin));
        if let Some(books) = &admin.books {
            guarded = guarded.merge(report::routes(books.clone()));
        }
        let door = from_fn_with_state(Arc::clone(&admin), door::admitted);
        guarded
            .layer(door)
            .merge(Router::new().route("/", get(page::page)))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("door", &self.door)
            .finish_non_exhaustive()
    }
}

/// All that the page draws.
async fn dashboard(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let hours = match &admin.books {
        Some(books) => admin.hours.read(books, admin.board.now()).await,
        None => Value::Null,
    };
    Json(json!({
        "now": crate::board::millis(admin.board.now()),
        "models": admin.board.models(),
        "series": admin.board.series(),
        "spend": hours,
        "breakers": breakers::all(&admin),
        "budgets": budgets::all(&admin).await,
        "cache": admin.caches.json(),
        "alerts": admin.board.alerts(),
        "calls": admin.board.calls(),
    }))
}

async fn alerts(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(admin.board.alerts().into())
}
