//! `GET /metrics`: for Prometheus.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use super::{Admin, breakers, budgets};
use crate::{board::dollars, exporter, exposition::Exposition};

/// The layers' metrics, whose labels they bound, the sums of the books, and what the dashboard draws.
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let mut ours = Exposition::default();
    // first, as it books what waits
    if let Some(books) = &admin.books {
        let (stats, age) = (books.stats(), books.pricing().age());
        // an age that is not known is none, and not zero
        let age = age.map(|age| ("llm_prices_age_seconds", "gauge", age.as_secs_f64()));
        let known = [
            ("llm_calls_total", "counter", stats.calls as f64),
            ("llm_cost_usd_total", "counter", dollars(stats.cost)),
            ("llm_cost_saved_usd_total", "counter", dollars(stats.saved)),
            ("llm_cost_records_lost_total", "counter", stats.lost as f64),
            ("llm_cost_records_waiting", "gauge", stats.waiting as f64),
        ];
        for (name, kind, value) in known.into_iter().chain(age) {
            ours.add(name, kind, &[], value);
        }
    }
    admin.board.metrics(&mut ours);
    breakers::metrics(&admin, &mut ours);
    budgets::metrics(&admin, &mut ours).await;
    let mut text = exporter::text();
    ours.write_to(&mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
