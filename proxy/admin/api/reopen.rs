//! `/v1/reopen`.

use axum::Json;
use axum::extract::State;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use tidegate_config::Share;

use super::{Answer, Operator, Shared, body, changed};
use crate::admin::wire::{Changed, ReopenRequest};
use crate::admin::{Admin, Problem};
use crate::audit::Change;
use crate::clock;
use crate::mode::{Record, Reopening};

/// The most steps, and the longest time between two, in seconds.
const MOST: usize = 100;
const LONGEST: u64 = 24 * 60 * 60;

pub(super) async fn set(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<ReopenRequest>, JsonRejection>,
) -> Answer<Changed<Record>> {
    let request = body(request)?;
    let plan = match request.stop {
        true => None,
        false => Some(plan(&request)?),
    };
    let by = operator.name().await;
    let Some(record) = admin.gate.mode.reopen(plan) else {
        let detail = "only known-only is opened again in steps, and another mode is in force";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    };
    let to = match &record.reopening {
        None => format!("stopped at: {record}"),
        Some(plan) => {
            let steps = plan.steps.iter().map(ToString::to_string);
            let steps = steps.collect::<Vec<_>>().join(",");
            format!("steps {steps} every {} s", plan.every)
        }
    };
    tracing::warn!(by, "reopen: {to}");
    let change = Change {
        until: record.until,
        ..Change::plain("reopen", to)
    };
    let save = |admin: &Admin| admin.gate.mode.save();
    Ok(changed(&admin, &by, change, record, save).await)
}

fn plan(request: &ReopenRequest) -> Result<Reopening, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let steps = request.steps.iter().map(|step| step.parse());
    let steps: Result<Vec<Share>, String> = steps.collect();
    let steps = steps.map_err(|problem| bad(format!("steps: {problem}")))?;
    let grows = steps.is_sorted_by(|one, next| one < next);
    let first = steps.first().copied().unwrap_or(Share::NONE);
    if first == Share::NONE || !grows || steps.len() > MOST {
        let detail = format!("steps: 1 to {MOST} shares above 0%, each more than the one before");
        return Err(bad(detail));
    }
    if !(1..=LONGEST).contains(&request.every) {
        return Err(bad(format!("every: 1 to {LONGEST} seconds")));
    }
    Ok(Reopening {
        walked: false,
        steps,
        every: request.every,
        next: clock::unix_seconds(),
    })
}
