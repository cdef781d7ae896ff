//! `tidegate validate`: check everything that can be checked without serving.

use std::path::PathBuf;
use std::process::ExitCode;

use tidegate_config::Config;

use super::{Context, Format, output};
use crate::known::KnownFiles;
use crate::limits::Limits;
use crate::listener::Listeners;
use crate::policy::{Policy, Upstreams};
use crate::reload::Secrets;
use crate::tenants::Roster;
use crate::top::Owners;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Fail on warnings, too
    #[arg(long)]
    deny_warnings: bool,
}

/// Enough of a table to build a policy over.
const SMALL_TABLE: usize = 1_000;

pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let shown = arguments.file.display();
    let config = Config::load(&arguments.file)?;
    KnownFiles::read(&config.known.files)?;
    let roster = Roster::read(&config)?;
    Secrets::read(&config)?;
    let listeners = Listeners::read(&config)?.warnings();
    Owners::read(&config)?;
    let warnings = config.warnings.iter().chain(&roster.warnings);
    let warnings: Vec<&String> = warnings.chain(&listeners).collect();
    let limits = Limits::new(SMALL_TABLE, config.connections.total)?;
    let upstreams: Upstreams = config
        .upstreams
        .iter()
        .map(|(name, upstream)| (name.clone(), crate::forward::Upstream::new(upstream, None)))
        .collect();
    Policy::new(&config, &upstreams, &roster, &[], &limits)?;
    let denied = arguments.deny_warnings && !warnings.is_empty();
    match context.format {
        Format::Json => output::json(&serde_json::json!({
            "valid": !denied,
            "warnings": warnings,
        }))?,
        Format::Human => {
            for warning in &warnings {
                eprintln!("warning: {warning}");
            }
            match denied {
                true => eprintln!("{shown} has warnings, and --deny-warnings was given"),
                false => output::text(&format!("{shown} is valid\n"))?,
            }
        }
    }
    Ok(match denied {
        true => ExitCode::from(2),
        false => ExitCode::SUCCESS,
    })
}
