//! `GET /metrics`: for Prometheus.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use super::Admin;
use crate::{board::dollars, exporter};

/// The layers' metrics, whose labels they bound, and the sums of the books.
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    // first, as it books what waits
    let books = admin.books.as_ref();
    let sums = books.map(|books| (books.stats(), books.pricing().age()));
    let mut text = exporter::text();
    if let Some((stats, age)) = sums {
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
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
