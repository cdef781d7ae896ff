//! `/metrics`, `/livez` and `/readyz`, on a listener of their own.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::Admin;
use super::serving::{serve, small_bodies};
use crate::account::Scrape;

/// Answers until the admin side ends.
pub(super) async fn answer(listener: TcpListener, admin: Arc<Admin>) {
    let left = admin.ending.left();
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .layer(from_fn(small_bodies))
        .with_state(admin.clone());
    let places = admin.places.metrics.clone();
    serve(listener, routes, places, left).await;
}

/// Whether this process had better be ended: never because of load, as a thread that works moves.
async fn alive(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    match admin.hangs.load(Relaxed) {
        true => (StatusCode::SERVICE_UNAVAILABLE, "the traffic hangs\n"),
        false => (StatusCode::OK, "alive\n"),
    }
}

/// Not ready only while going down, never because of load: a gate that is taken out of rotation for
/// being busy would leave its share of the flood to the next one.
async fn ready(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    match admin.gate.draining.load(Relaxed) {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        false => (StatusCode::OK, "ready\n"),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let _turn = admin.turns.scrapes.next().await;
    let gate = &admin.gate;
    let policy = gate.policy.load();
    let scrape = Scrape {
        connections_open: gate.connections.get(),
        connections_limit: policy.caps.total.get(),
        reserved_for_known: policy.caps.reserved_for_known,
        in_flight: gate.in_flight.get(),
        tls_handshakes: [gate.handshakes.get(), policy.tls_handshakes.get()],
        mode: gate.mode.record(),
        clients_tracked: admin.tracked.get(&gate.limits.table),
        clients_tracked_max: gate.limits.table.capacity(),
        evictions: gate.limits.table.evictions(),
        known: admin.reloader.known.counts(),
        passes: gate.passes.counts(),
        learned: admin.reloader.known.learned(),
        known_files_rejected: admin.reloader.watched.problem().is_some(),
        known_files_changes: admin.reloader.watched.counts(),
        blocks: admin.blocks.count(),
        log: gate.account.log.writer(),
        upstreams: admin.reloader.upstreams(),
        listeners: &admin.listeners(),
        last_reload_successful: admin.reloader.problem().is_none(),
    };
    match gate.account.metrics.text(&scrape) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
