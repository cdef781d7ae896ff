//! `/v1/log/reopen`, and what a status says of the log.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::{Answer, Problem, Shared, aside};
use crate::account::Class;
use crate::admin::Admin;
use crate::admin::wire::{Log, LogReopened, Messages};

pub(super) fn status(admin: &Admin) -> Log {
    let writer = admin.gate.account.log.writer();
    let access = writer.counts().access();
    let messages = writer.counts().of(Class::Message).now();
    Log {
        written: access.written,
        sampled_out: access.sampled_out,
        over_budget: access.over_budget,
        lost: access.lost,
        problem: writer.problem(),
        messages: Messages {
            written: messages.written,
            repeated: messages.sampled_out,
            over_budget: messages.over_budget,
            lost: messages.lost,
        },
    }
}

pub(super) async fn reopen(State(admin): Shared) -> Answer<LogReopened> {
    let reopened = aside(&admin, Admin::reopen_log).await?;
    let failed = |problem| Problem::new(StatusCode::SERVICE_UNAVAILABLE, problem);
    reopened.map(Json).map_err(failed)
}
