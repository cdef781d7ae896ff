//! `tidegate healthcheck`: exit 0 or 1, for containers and scripts.

use std::process::ExitCode;

use super::{Context, Format, output};
use crate::admin::wire::Status;

pub(super) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let status: Status = context.client().get_at_once("/v1/status")?;
    let word = status.state();
    match context.format {
        Format::Json => output::json(&serde_json::json!({ "state": word }))?,
        Format::Human => output::text(&format!("{word}\n"))?,
    }
    Ok(match word {
        "serving" => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
