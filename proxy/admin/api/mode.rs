//! `/v1/mode`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use tidegate_config::{Mode, Share};

use super::{Answer, Operator, Shared, aside, body, changed};
use crate::admin::wire::{Changed, ModeRequest};
use crate::admin::{Admin, Problem};
use crate::audit;
use crate::clock;
use crate::gate::Gate;
use crate::mode::{Change, Record};
use crate::recent::{Question, Span};

pub(super) async fn show(State(admin): Shared) -> Json<Record> {
    Json(admin.gate.mode.record())
}

pub(super) async fn set(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<ModeRequest>, JsonRejection>,
) -> Answer<Changed<Record>> {
    let request = body(request)?;
    let mode: Mode = request.mode.parse().map_err(|_| {
        let detail = format!(
            "there is no mode {:?}; the modes are observe, normal and known-only",
            request.mode
        );
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })?;
    let share = share(&request, mode)?;
    let opens = share.is_some() && admin.gate.mode.mode() == mode;
    // Where it is in force already, a share only adds to those who are let in.
    if mode == Mode::KnownOnly && !request.force && !opens {
        refuse_few(&admin.gate)?;
        // Who prolongs it, or closes it again, has been asked when it began.
        if admin.gate.mode.mode() != mode {
            refuse_harm(&admin).await?;
        }
    }
    let now = clock::unix_seconds();
    let lasting = lasting(&request, mode, admin.gate.policy.load().known_only_for)?;
    let by = operator.name().await;
    let change = Change {
        mode,
        admit_unknown: share.unwrap_or(Share::NONE),
        goes_on: share.is_some() && request.seconds.is_none() && !request.forever,
        until: lasting.map(|lasting| now.saturating_add(lasting.as_secs().max(1))),
        reason: request.reason,
        set_by: Some(by.clone()),
    };
    let record = admin.gate.mode.set(change, now);
    tracing::warn!(
        by = record.set_by,
        until = record.until.map(clock::timestamp),
        reason = record.reason,
        "mode {record}"
    );
    let change = audit::Change {
        what: "mode",
        to: record.to_string(),
        until: record.until,
        reason: record.reason.clone(),
    };
    let save = |admin: &Admin| admin.gate.mode.save();
    Ok(changed(&admin, &by, change, record, save).await)
}

/// With too few known customers the switch would lock out most of them.
fn refuse_few(gate: &Gate) -> Result<(), Problem> {
    let (known, minimum) = (gate.known_prefixes(), gate.policy.load().known_only_minimum);
    let detail = match known {
        0 => "the known set is empty, so every client would be refused; add customers with `tidegate known add ADDRESS`, name their files under [known] files, or insist with --force".to_owned(),
        known if known < minimum.get() as usize => format!(
            "there are {known} known prefixes, and known_only.minimum is {minimum}: as if a file was lost; look at `tidegate known list`, or insist with --force"
        ),
        _ => return Ok(()),
    };
    Err(Problem::new(StatusCode::CONFLICT, detail))
}

/// With fewer requests of customers a share of them tells nothing.
const LEAST: u64 = 20;

/// With customers who are not known the switch would lock those out whom it is to protect.
async fn refuse_harm(admin: &Arc<Admin>) -> Result<(), Problem> {
    let look = |admin: &Admin| admin.recent.window(Span::Hour, Question::KnownOnly);
    let hour = aside(admin, look).await?;
    let most = admin.gate.policy.load().customers_refused;
    let (asked, customers) = (hour.customer_requests, hour.customers);
    if asked.all < LEAST || asked.part() <= most.ratio() {
        return Ok(());
    }
    let detail = format!(
        "{} of {} confirmed customers would be refused, with {:.1}% of what customers asked in the last hour, and known_only.customers_refused is {most}: look at `tidegate preview known-only --minutes 60`, add them with `tidegate known add`, or insist with --force",
        customers.refused,
        customers.all,
        100.0 * asked.part(),
    );
    Err(Problem::new(StatusCode::CONFLICT, detail))
}

/// The share of the unknown clients that is asked for, if one is.
fn share(request: &ModeRequest, mode: Mode) -> Result<Option<Share>, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let Some(asked) = &request.admit_unknown else {
        return Ok(None);
    };
    if mode != Mode::KnownOnly {
        let detail = format!("{mode} lets every unknown client in; admit_unknown is of known-only");
        return Err(bad(detail));
    }
    let share = asked.parse();
    let share = share.map_err(|problem: String| bad(format!("admit_unknown: {problem}")))?;
    Ok(Some(share))
}

/// How long a mode is to last; `None` for until it is switched again.
fn lasting(
    request: &ModeRequest,
    mode: Mode,
    known_only_for: Duration,
) -> Result<Option<Duration>, Problem> {
    let bad = |detail: &str| Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    match (request.seconds, request.forever) {
        (Some(_), true) => bad("seconds and forever contradict each other"),
        (Some(0), _) => bad("a mode lasts at least a second"),
        (Some(seconds), false) => Ok(Some(Duration::from_secs(seconds))),
        (None, false) if mode == Mode::KnownOnly => Ok(Some(known_only_for)),
        (None, _) => Ok(None),
    }
}
