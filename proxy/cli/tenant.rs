//! `tidegate tenant`: show tenants, or move one to another tier.

use std::fmt::Write;
use std::time::Duration;

use clap::Subcommand;
use hyper::Method;

use super::mode::parse_seconds;
use super::{Context, Format, output};
use crate::admin::wire::{Changed, TenantList, TenantName, TenantRequest};
use crate::tenants::Moved;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List tenants with the tier of each and who says so
    List {
        /// Only this tenant
        #[arg(value_name = "NAME")]
        name: Option<String>,

        /// How many at most
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Move a tenant to another tier, from the next request on; what it has used stays used
    Set {
        /// What it is called, or the host, segment or credential that requests tell it by
        #[arg(value_name = "NAME")]
        name: String,

        /// A tier of the configuration
        #[arg(value_name = "TIER")]
        tier: String,

        /// How long, such as 2h; without it, until it is moved again
        #[arg(long = "for", value_name = "DUR", value_parser = parse_seconds)]
        lasting: Option<Duration>,

        /// Why, for whoever looks later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let a tenant return to the tier in which it is listed
    Unset {
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub(super) fn run(verb: Verb, context: &Context) -> anyhow::Result<()> {
    match verb {
        Verb::List { name, limit } => list(name, limit, context),
        Verb::Set {
            name,
            tier,
            lasting,
            reason,
        } => {
            let request = TenantRequest {
                name,
                tier,
                seconds: lasting.map(|lasting| lasting.as_secs()),
                reason,
            };
            let client = context.client();
            let changed: Changed<Moved> = client.send(Method::POST, "/v1/tenants", &request)?;
            output::changed(&changed, context, |moved| {
                let until = output::until(moved.note.until);
                format!("{} is in tier {}{until}\n", moved.name, moved.tier)
            })
        }
        Verb::Unset { name } => {
            let request = TenantName { name };
            let client = context.client();
            let changed: Changed<Moved> = client.send(Method::DELETE, "/v1/tenants", &request)?;
            output::changed(&changed, context, |moved| {
                format!(
                    "{} is no longer kept in tier {}: it is where it is listed again\n",
                    moved.name, moved.tier
                )
            })
        }
    }
}

fn list(name: Option<String>, limit: usize, context: &Context) -> anyhow::Result<()> {
    let mut query = vec![("limit", limit.to_string())];
    query.extend(name.clone().map(|name| ("name", name)));
    let list: TenantList = context.client().ask("/v1/tenants", &query)?;
    if context.format == Format::Json {
        return output::json(&list);
    }
    let mut text = String::new();
    for tenant in &list.tenants {
        let own = if tenant.own { ", own numbers" } else { "" };
        write!(
            text,
            "{:<40} {:<20} {}",
            output::plain(&tenant.name),
            format!("{}{own}", tenant.tier),
            output::plain(&tenant.source)
        )?;
        if tenant.told_by != tenant.name {
            write!(text, "  told by {}", output::plain(&tenant.told_by))?;
        }
        if let Some(until) = tenant.until {
            write!(text, "  until {}", output::time(until))?;
        }
        if let Some(reason) = &tenant.reason {
            write!(text, "  {}", output::plain(reason))?;
        }
        text.push('\n');
    }
    output::text(&text)?;
    match (name, list.tenants.len()) {
        (Some(name), 0) => eprintln!(
            "{name} is not listed; unlisted tenants are in tier {}",
            list.unlisted
        ),
        (Some(_), _) => {}
        (None, shown) if shown < list.listed => {
            eprintln!("{shown} of {} tenants; more with --limit", list.listed);
        }
        (None, _) => eprintln!(
            "{} tenants, told by {}; all others are in tier {}",
            list.listed, list.from, list.unlisted
        ),
    }
    Ok(())
}
