//! `GET /breakers`, and `POST /breakers/KEY/open`, `/close` and `/reset`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::Admin;
use crate::{board::in_millis, exposition::Exposition};

pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(all(&admin))
}

/// Every circuit that is known, by its key.
pub(super) fn all(admin: &Admin) -> Value {
    let mut circuits = match &admin.breakers {
        Some(breakers) => breakers.circuits(),
        None => Vec::new(),
    };
    circuits.sort_by(|one, other| one.key.cmp(&other.key));
    let circuits = circuits.iter().map(|circuit| {
        json!({
            "key": &*circuit.key,
            "state": circuit.state.as_str(),
            "next_probe_ms": circuit.open_for.map(in_millis),
            "successes": circuit.counts.successes,
            "failures": circuit.counts.failures,
            "neither": circuit.counts.neither,
            "slow": circuit.counts.slow,
            "refused": circuit.counts.refused,
            "opened": circuit.counts.opened,
        })
    });
    circuits.collect()
}

/// When open circuits let a call through again, for Prometheus.
pub(super) fn metrics(admin: &Admin, text: &mut Exposition) {
    let circuits = admin
        .breakers
        .iter()
        .flat_map(|breakers| breakers.circuits());
    for circuit in circuits {
        if let Some(time) = circuit.open_for {
            let labels = [("key", &*circuit.key)];
            let name = "llm_breaker_next_probe_seconds";
            text.add(name, "gauge", &labels, time.as_secs_f64());
        }
    }
}

type Done = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// A key may have slashes in it.
pub(super) async fn act(State(admin): State<Arc<Admin>>, Path(rest): Path<String>) -> Done {
    let fault = |status, message: &str| Err((status, Json(json!({"error": {"message": message}}))));
    let Some((key, what)) = rest.rsplit_once('/') else {
        return fault(
            StatusCode::NOT_FOUND,
            "it takes /breakers/KEY/open, close or reset",
        );
    };
    let Some(breakers) = &admin.breakers else {
        return fault(StatusCode::NOT_FOUND, "there is no [breaker]");
    };
    let is_known = match what {
        "open" => breakers.force_open(key),
        "close" => breakers.force_closed(key),
        "reset" => breakers.reset(key),
        _ => return fault(StatusCode::NOT_FOUND, "it takes open, close or reset"),
    };
    if !is_known {
        return fault(StatusCode::NOT_FOUND, "there is no circuit of this key");
    }
    tracing::warn!(key, what, "a circuit was set by hand");
    Ok(Json(all(&admin)))
}
