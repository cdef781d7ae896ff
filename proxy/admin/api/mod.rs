//! The admin API: JSON over HTTP/1.1 on the Unix socket. Reads are GET; every change is another
//! method.

mod audit;
mod blocks;
mod explain;
mod known;
mod log;
mod mode;
mod passes;
mod preview;
mod reopen;
mod report;
mod tail;
mod tenants;
mod top;
mod upgrade;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use tokio::net::{TcpListener, UnixListener};

use super::openapi::{methods, text};
use super::operator::Operator;
use super::over_tcp::{Guard, guard};
use super::serving::{serve, small_bodies};
use super::turns::Turns;
use super::wire::{self, Changed, ReloadRequest, Reloaded, Status};
use super::{Admin, Problem};
use crate::audit::Change;
use crate::state::{self, StateError};
use crate::upgrade::Earlier;

type Answer<T> = Result<Json<T>, Problem>;
type Shared = State<Arc<Admin>>;

/// Answers until the admin side ends.
pub(super) async fn answer(listener: UnixListener, admin: Arc<Admin>) {
    let (places, left) = (admin.places.socket.clone(), admin.ending.left());
    serve(listener, routes(admin), places, left).await;
}

/// The same over TCP, for who has the token.
pub(super) async fn answer_over_tcp(listener: TcpListener, admin: Arc<Admin>) {
    let (places, left) = (admin.places.tcp.clone(), admin.ending.left());
    let guarded = Guard {
        port: admin.addresses.admin.map_or(0, |address| address.port()),
        admin: admin.clone(),
    };
    let routes = routes(admin).layer(from_fn_with_state(guarded, guard));
    serve(listener, routes, places, left).await;
}

fn routes(admin: Arc<Admin>) -> Router {
    let all = |routes: Vec<(&'static str, MethodRouter<Arc<Admin>>)>| {
        let router = Router::new();
        routes.into_iter().fold(router, |router, (path, methods)| {
            router.route(path, methods)
        })
    };
    let held_back = all(held_back())
        .layer(from_fn(small_bodies))
        .route("/v1/known/import", post(known::import))
        .layer(from_fn_with_state(admin.clone(), upgrade::hold_back));
    let others = all(not_held_back()).layer(from_fn(small_bodies));
    held_back
        .merge(others)
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(admin)
}

/// What an upgrade keeps from changing anything.
fn held_back() -> Vec<(&'static str, MethodRouter<Arc<Admin>>)> {
    vec![
        ("/v1/status", get(status)),
        ("/v1/openapi.json", get(description)),
        ("/v1/mode", get(mode::show).post(mode::set)),
        ("/v1/reopen", post(reopen::set)),
        (
            "/v1/known",
            get(known::list).post(known::add).delete(known::remove),
        ),
        (
            "/v1/tenants",
            get(tenants::list).post(tenants::set).delete(tenants::unset),
        ),
        (
            "/v1/blocks",
            get(blocks::list).post(blocks::add).delete(blocks::remove),
        ),
        ("/v1/passes", get(passes::list).delete(passes::revoke)),
        ("/v1/explain", get(explain::show)),
        ("/v1/preview", get(preview::show)),
        ("/v1/top", get(top::show)),
        ("/v1/report", get(report::show)),
        ("/v1/audit", get(audit::list)),
        ("/v1/reload", post(reload)),
        ("/v1/tail", get(tail::follow)),
    ]
}

fn not_held_back() -> Vec<(&'static str, MethodRouter<Arc<Admin>>)> {
    vec![
        ("/v1/upgrade", post(upgrade::upgrade)),
        // Who has moved the file away does not ask twice.
        ("/v1/log/reopen", post(log::reopen)),
    ]
}

async fn description() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text())
}

async fn not_found() -> Problem {
    let paths: Vec<&str> = methods().keys().map(String::as_str).collect();
    let detail = format!("there are {}", paths.join(", "));
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn not_allowed(uri: Uri) -> Problem {
    let taken = methods().get(uri.path()).map(|taken| taken.join(", "));
    let detail = format!(
        "this takes {}; /v1/openapi.json says what each does",
        taken.unwrap_or_default()
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

async fn status(State(admin): Shared) -> Json<Status> {
    let _turn = admin.turns.status.next().await;
    let gate = &admin.gate;
    let known = admin.reloader.known.counts();
    let [accepted, refused] = gate.account.metrics.connections();
    let upstreams = admin.reloader.upstreams().into_iter();
    let caps = gate.policy.load().caps;
    Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_seconds: admin.started.elapsed().as_secs(),
        draining: gate.draining.load(Relaxed),
        hangs: admin.hangs.load(Relaxed),
        earlier: admin.earlier.as_ref().and_then(Earlier::draining).cloned(),
        config: admin.reloader.source(),
        reload_problem: admin.reloader.problem(),
        state_problems: state::problems(),
        mode: gate.mode.record(),
        listeners: admin.listeners(),
        metrics: admin.addresses.metrics,
        requests: admin.rates.requests(gate.account.metrics.totals()),
        connections: wire::Connections {
            open: gate.connections.get(),
            limit: caps.total.get(),
            reserved_for_known: caps.reserved_for_known,
            problem: caps.warning(),
            accepted,
            refused,
        },
        clients: wire::Clients {
            tracked: admin.tracked.get(&gate.limits.table),
            capacity: gate.limits.table.capacity(),
            evictions: gate.limits.table.evictions(),
        },
        known: wire::Known {
            prefixes: gate.known_prefixes(),
            from_files: known.files,
            from_operators: known.operators,
            files_problem: admin.reloader.watched.problem(),
            learned: admin.reloader.known.learned(),
        },
        blocks: wire::Blocks {
            blocks: admin.blocks.count(),
            first: admin.blocks.list(NAMED, None),
        },
        tenants: tenants(&admin),
        upstreams: upstreams
            .map(|(name, health)| wire::Upstream { name, health })
            .collect(),
        log: log::status(&admin),
        admin: wire::AdminSide {
            address: admin.addresses.admin,
            ended_for_others: admin.places.ended(),
            refused_over_tcp: admin.refused.get(),
        },
    })
}

/// Moved tenants, and blocks, that a status names; all of them are in their lists.
const NAMED: usize = 10;

fn tenants(admin: &Admin) -> Option<wire::Tenants> {
    let mut moves = admin.reloader.moves();
    let moved = moves.len();
    moves.truncate(NAMED);
    admin.reloader.with_tenants(|tenants| {
        Some(wire::Tenants {
            listed: tenants?.len(),
            moved,
            first_moved: moves,
        })
    })
}

/// The body of a change, or what is wrong with it.
fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body)
        .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))
}

/// What was asked for, or what is wrong with it.
fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query
        .map(|Query(query)| query)
        .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))
}

/// Does what may take long on a thread of its own: this one has other operators to answer.
async fn aside<T: Send + 'static>(
    admin: &Arc<Admin>,
    work: impl FnOnce(&Admin) -> T + Send + 'static,
) -> Result<T, Problem> {
    let admin = admin.clone();
    let done = tokio::task::spawn_blocking(move || work(&admin)).await;
    done.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// As [`aside`], in turn. The turn is the work's: who does not wait for the answer does not give it back.
async fn in_turn<T: Send + 'static>(
    admin: &Arc<Admin>,
    turns: &Turns,
    work: impl FnOnce(&Admin) -> T + Send + 'static,
) -> Result<T, Problem> {
    let turn = turns.next().await;
    let work = move |admin: &Admin| {
        let _turn = turn;
        work(admin)
    };
    aside(admin, work).await
}

/// For who only looks at what may be a lot.
async fn looked_up<T: Send + 'static>(
    admin: &Arc<Admin>,
    look: impl FnOnce(&Admin) -> T + Send + 'static,
) -> Result<T, Problem> {
    in_turn(admin, &admin.turns.lists, look).await
}

/// The answer to a change that is in force, once it is saved and written into the audit log, or known
/// not to be.
async fn changed<T>(
    admin: &Arc<Admin>,
    by: &str,
    change: Change,
    now: T,
    save: impl FnOnce(&Admin) -> Result<(), StateError> + Send + 'static,
) -> Json<Changed<T>> {
    let saved = aside(admin, save).await;
    let mut changed = Changed { now, warning: None };
    changed.warn(match saved {
        Ok(saved) => saved.err().map(|error| error.to_string()),
        Err(problem) => Some(problem.detail),
    });
    changed.warn(admin.audited(by, change).await);
    Json(changed)
}

async fn reload(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<ReloadRequest>, JsonRejection>,
) -> Answer<Reloaded> {
    let request = body(request)?;
    let reload = move |admin: &Admin| admin.reloader.reload(request.force);
    let mut reloaded = aside(&admin, reload)
        .await?
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}")))?;
    let change = Change::plain("reload", shortened(&reloaded.changes));
    let warning = admin.audited(&operator.name().await, change).await;
    reloaded.warnings.extend(warning);
    Ok(Json(reloaded))
}

/// Changes of a reload that its line in the audit log names.
const CHANGES: usize = 20;

fn shortened(changes: &[String]) -> String {
    let named: Vec<String> = changes
        .iter()
        .take(CHANGES)
        .map(|change| change.chars().take(200).collect())
        .collect();
    match changes.len().checked_sub(CHANGES) {
        None | Some(0) if named.is_empty() => "nothing".to_owned(),
        None | Some(0) => named.join("; "),
        Some(more) => format!("{}; and {more} more", named.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_is_described_and_there_is_each_that_is_described() {
        let routed = held_back().into_iter().chain(not_held_back());
        let mut routed: Vec<&str> = routed.map(|(path, _)| path).collect();
        routed.push("/v1/known/import");
        routed.sort_unstable();
        let described: Vec<&str> = methods().keys().map(String::as_str).collect();
        assert_eq!(routed, described);
    }
}
