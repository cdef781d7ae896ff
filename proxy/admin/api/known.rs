//! `/v1/known` and `/v1/known/import`.

use std::io::{self, Read};
use std::path::Path;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::{Answer, Operator, Shared, aside, body, changed, looked_up, query};
use crate::admin::wire::{Changed, ImportQuery, Imported, KnownList, KnownRequest, PrefixQuery};
use crate::admin::{Admin, Problem};
use crate::audit::Change;
use crate::clock;
use crate::known::{Facts, read_prefixes};
use crate::lists::MAX_FILE;
use crate::note::Note;
use crate::prefixes::Added;

/// Entries that one answer has unless more are asked for.
const LISTED: usize = 1000;
/// Pieces of an import on their way to the thread that reads them.
const ON_THE_WAY: usize = 16;
/// Letters of the name that an import's errors are told with.
const MAX_NAME: usize = 256;

fn until(seconds: Option<u64>) -> Option<u64> {
    seconds.map(|seconds| clock::unix_seconds().saturating_add(seconds))
}

pub(super) async fn list(
    State(admin): Shared,
    asked: Result<Query<PrefixQuery>, QueryRejection>,
) -> Answer<KnownList> {
    let asked = query(asked)?;
    let limit = asked.limit.unwrap_or(LISTED);
    let entries = move |admin: &Admin| admin.reloader.known.list(limit, asked.address);
    Ok(Json(KnownList {
        prefixes: admin.gate.known_prefixes(),
        entries: looked_up(&admin, entries).await?,
    }))
}

pub(super) async fn add(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<KnownRequest>, JsonRejection>,
) -> Answer<Changed<Added>> {
    let request = body(request)?;
    let by = operator.name().await;
    let note = Note {
        until: until(request.seconds),
        reason: request.reason,
        set_by: Some(by.clone()),
    };
    let add = move |admin: &Admin| admin.reloader.known.add(&request.prefix, note);
    let added = aside(&admin, add).await?;
    let added =
        added.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let change = Change::noted("known", added.prefix.to_string(), &added.note);
    let address = added.prefix.addr();
    let speaks = admin.gate.policy.load().client.speaks_for_others(address);
    let proxy = speaks.then(|| {
        let prefix = added.prefix;
        format!("{prefix} is a trusted proxy's: everybody is known now whom it does not name")
    });
    let save = |admin: &Admin| admin.reloader.known.save();
    let mut told = changed(&admin, &by, change, added, save).await;
    told.warn(proxy);
    Ok(told)
}

pub(super) async fn remove(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<KnownRequest>, JsonRejection>,
) -> Answer<Changed<Added>> {
    let request = body(request)?;
    let remove = move |admin: &Admin| admin.reloader.known.remove(&request.prefix);
    let removed = aside(&admin, remove).await?;
    let removed =
        removed.map_err(|error| Problem::new(StatusCode::NOT_FOUND, error.to_string()))?;
    let change = Change::plain("known", format!("no longer {removed}"));
    let (by, save) = (operator.name().await, |admin: &Admin| {
        admin.reloader.known.save()
    });
    Ok(changed(&admin, &by, change, Added::of(removed), save).await)
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
    let by = operator.name().await;
    let facts = Facts {
        note: Note {
            until: until(asked.seconds),
            reason: asked.reason,
            set_by: Some(by.clone()),
        },
        ..Facts::default()
    };
    let name: String = asked.name.chars().take(MAX_NAME).collect();
    let (pieces, received) = mpsc::channel(ON_THE_WAY);
    let work =
        move |admin: &Admin| taken_in(admin, Path::new(&name), Received::of(received), facts);
    let taking = aside(&admin, work);
    let (taken, ()) = tokio::join!(taking, pass_on(&mut prefixes, pieces));
    let facts = taken?.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error))?;
    let to = format!("import {} of {} prefixes", facts.number, facts.prefixes);
    let change = Change::noted("known", to, &facts.note);
    let save = |admin: &Admin| admin.reloader.known.save_import();
    Ok(changed(&admin, &by, change, Imported(facts), save).await)
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

fn taken_in(admin: &Admin, name: &Path, received: Received, facts: Facts) -> Result<Facts, String> {
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
    let by = facts.note.set_by.as_deref().unwrap_or_default();
    tracing::info!(
        "known: {} prefixes imported by {by} as import {}",
        facts.prefixes,
        facts.number
    );
    Ok(facts)
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
