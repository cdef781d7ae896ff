//! `/v1/preview`.

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use tidegate_config::{Limit, Mode, Rate};

use super::{Answer, Shared, in_turn, query};
use crate::admin::wire::PreviewQuery;
use crate::admin::{Admin, Problem};
use crate::recent::{Preview, Question};

pub(super) async fn show(
    State(admin): Shared,
    asked: Result<Query<PreviewQuery>, QueryRejection>,
) -> Answer<Preview> {
    let asked = query(asked)?;
    let question = question(&asked).map_err(|bad| Problem::new(StatusCode::BAD_REQUEST, bad))?;
    let foresee = move |admin: &Admin| admin.recent.preview(question);
    let foreseen = in_turn(&admin, &admin.turns.previews, foresee).await?;
    Ok(Json(foreseen))
}

fn question(asked: &PreviewQuery) -> Result<Question, String> {
    match (&asked.mode, &asked.client_limit) {
        (Some(mode), None) => of_mode(mode),
        (None, Some(rate)) => of_limit(rate, asked.burst),
        (Some(_), Some(_)) => Err("mode and client_limit are asked about one by one".to_owned()),
        (None, None) => Err("a preview is of a mode or of a client_limit".to_owned()),
    }
}

fn of_mode(mode: &str) -> Result<Question, String> {
    match mode.parse() {
        Ok(Mode::Normal) => Ok(Question::Normal),
        Ok(Mode::KnownOnly) => Ok(Question::KnownOnly),
        Ok(Mode::Observe) => Err("observe refuses nobody but who is blocked".to_owned()),
        Err(_) => Err(format!(
            "there is no mode {mode:?}; those that refuse are normal and known-only"
        )),
    }
}

fn of_limit(rate: &str, burst: Option<NonZeroU32>) -> Result<Question, String> {
    let bad = |problem| format!("client_limit: {problem}");
    let rate: Rate = rate.parse().map_err(bad)?;
    let burst = burst.unwrap_or(rate.count);
    Ok(Question::client_limit(&Limit { rate, burst }))
}
