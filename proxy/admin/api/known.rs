//! `/v1/known` and `/v1/known/import`.

use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Answer, Operator, Shared, body, query};
use crate::admin::wire::{Changed, ImportQuery, Imported, KnownList, KnownRequest};
use crate::admin::{Admin, Change, Problem};
use crate::clock;
use crate::known::{Facts, read_prefixes};
use crate::lists::MAX_FILE;
use crate::prefixes::Added;
use crate::state::StateError;

/// Entries that one answer has unless more are asked for.
const LISTED: usize = 1000;
/// Pieces of an import on their way to the thread that reads them.
const ON_THE_WAY: usize = 16;
/// Letters of the name that an import's errors are told with.
const MAX_NAME: usize = 256;

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    address: Option<IpAddr>,
}

/// Does something with the known set on a thread that may take its time: a million prefixes do.
async fn aside<T: Send + 'static>(
    admin: &Arc<Admin>,
    work: impl FnOnce(&Admin) -> T + Send + 'static,
) -> Result<T, Problem> {
    let admin = admin.clone();
    let done = tokio::task::spawn_blocking(move || work(&admin)).await;
    done.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

/// What is in force, with a warning when it could not be written down.
fn saved<T>(now: T, saved: Result<(), StateError>) -> Changed<T> {
    Changed {
        now,
        warning: saved.err().map(|error| error.to_string()),
    }
}

fn until(seconds: Option<u64>) -> Option<u64> {
    seconds.map(|seconds| clock::unix_seconds().saturating_add(seconds))
}

pub(super) async fn list(
    State(admin): Shared,
    asked: Result<Query<ListQuery>, QueryRejection>,
) -> Answer<KnownList> {
    let asked = query(asked)?;
    let limit = asked.limit.unwrap_or(LISTED);
    let entries = move |admin: &Admin| admin.reloader.known.list(limit, asked.address);
    Ok(Json(KnownList {
        prefixes: admin.gate.known_prefixes(),
        entries: aside(&admin, entries).await?,
    }))
}

pub(super) async fn add(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<KnownRequest>, JsonRejection>,
) -> Answer<Changed<Added>> {
    let request = body(request)?;
    let add = move |admin: &Admin| {
        let known = &admin.reloader.known;
        let added = known.add(&request.prefix, until(request.seconds), request.reason);
        added.map(|now| saved(now, known.save()))
    };
    let added = aside(&admin, add).await?;
    let mut added =
        added.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let change = Change {
        what: "known",
        to: added.now.prefix.to_string(),
        until: added.now.until,
        reason: added.now.reason.clone(),
    };
    added.warn(admin.audited(&operator.name().await, change).await);
    Ok(Json(added))
}

pub(super) async fn remove(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<KnownRequest>, JsonRejection>,
) -> Answer<Changed<Added>> {
    let request = body(request)?;
    let remove = move |admin: &Admin| {
        let known = &admin.reloader.known;
        let removed = known.remove(&request.prefix);
        removed.map(|prefix| saved(Added::of(prefix), known.save()))
    };
    let removed = aside(&admin, remove).await?;
    let mut removed =
        removed.map_err(|error| Problem::new(StatusCode::NOT_FOUND, error.to_string()))?;
    let change = Change {
        what: "known",
        to: format!("no longer {}", removed.now.prefix),
        until: None,
        reason: None,
    };
    removed.warn(admin.audited(&operator.name().await, change).await);
    Ok(Json(removed))
}

/// Takes prefixes in as they come, all or none. They are read on another thread, one import at a time.
pub(super) async fn import(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    asked: Result<Query<ImportQuery>, QueryRejection>,
    mut prefixes: Body,
) -> Answer<Changed<Imported>> {
    let asked = query(asked)?;
    let Ok(_one) = admin.imports.try_lock() else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "another import is under way: try again when it is done; nothing was changed",
        ));
    };
    let facts = Facts {
        until: until(asked.seconds),
        reason: asked.reason,
        set_by: Some(operator.name().await),
        ..Facts::default()
    };
    let name: String = asked.name.chars().take(MAX_NAME).collect();
    let (pieces, received) = mpsc::channel(ON_THE_WAY);
    let work =
        move |admin: &Admin| taken_in(admin, Path::new(&name), Received::of(received), facts);
    let taking = aside(&admin, work);
    let (taken, ()) = tokio::join!(taking, pass_on(&mut prefixes, pieces));
    let mut taken =
        taken?.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    let Imported(facts) = &taken.now;
    let change = Change {
        what: "known",
        to: format!("import {} of {} prefixes", facts.number, facts.prefixes),
        until: facts.until,
        reason: facts.reason.clone(),
    };
    let by = facts.set_by.clone().unwrap_or_default();
    taken.warn(admin.audited(&by, change).await);
    Ok(Json(taken))
}

/// All that is sent is read, also what nobody wants any more: the answer would be lost with it.
async fn pass_on(body: &mut Body, pieces: mpsc::Sender<io::Result<Bytes>>) {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let piece = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => {
                let _ = pieces.send(Err(io::Error::other(error))).await;
                return;
            }
        };
        length += piece.len() as u64;
        if length > MAX_FILE {
            let problem = format!("it is larger than {MAX_FILE} bytes");
            let _ = pieces.send(Err(io::Error::other(problem))).await;
            return;
        }
        // Nobody listens behind a line that is wrong.
        let _ = pieces.send(Ok(piece)).await;
    }
}

fn taken_in(
    admin: &Admin,
    name: &Path,
    received: Received,
    facts: Facts,
) -> Result<Changed<Imported>, String> {
    let nothing = |problem: String| format!("{problem}; nothing was changed");
    let prefixes = read_prefixes(name, received).map_err(|error| nothing(error.to_string()))?;
    if prefixes.is_empty() {
        return Err(nothing(format!(
            "{}: there is no prefix in it",
            name.display()
        )));
    }
    let known = &admin.reloader.known;
    let facts = known.import(prefixes, facts)?;
    let by = facts.set_by.as_deref().unwrap_or_default();
    tracing::info!(
        "known: {} prefixes imported by {by} as import {}",
        facts.prefixes,
        facts.number
    );
    Ok(saved(Imported(facts), known.save_import()))
}

/// What is received elsewhere, read here.
struct Received {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Received {
    fn of(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Received {
            pieces,
            piece: Bytes::new(),
        }
    }
}

impl Read for Received {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(out.len());
        let read = self.piece.split_to(length);
        let (out, _) = out.split_at_mut(length);
        out.copy_from_slice(&read);
        Ok(length)
    }
}
