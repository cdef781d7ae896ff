//! `tidegate preview`: what a mode or a limit would have refused lately.

use std::fmt::{self, Write};
use std::num::NonZeroU32;

use ipnet::IpNet;
use tidegate_config::Rate;

use super::{Context, Format, output};
use crate::admin::wire::PreviewQuery;
use crate::recent::{Named, Preview, Share, Window};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("question").required(true).args(["mode", "client_limit"]))]
pub(crate) struct Arguments {
    /// normal or known-only
    #[arg(value_name = "MODE", value_parser = ["normal", "known-only"])]
    mode: Option<String>,

    /// A limit for each client in place of a mode, such as 10/s
    #[arg(long, value_name = "RATE")]
    client_limit: Option<Rate>,

    /// The burst of that limit; as many as the rate says unless given
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "client_limit",
        conflicts_with = "mode"
    )]
    burst: Option<NonZeroU32>,

    /// Name tenants and prefixes of the last 1, 10 or 60 minutes
    #[arg(long, value_name = "MINUTES", default_value = "10", value_parser = ["1", "10", "60"])]
    minutes: String,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<()> {
    let question = PreviewQuery {
        mode: arguments.mode.clone(),
        client_limit: arguments.client_limit.map(|rate| rate.to_string()),
        burst: arguments.burst,
    };
    let preview: Preview = context.client().ask("/v1/preview", &question)?;
    if context.format == Format::Json {
        return output::json(&preview);
    }
    let mut out = String::new();
    let known = preview.known;
    match (question.mode.as_deref(), &question.client_limit) {
        (Some("known-only"), _) => writeln!(
            out,
            "would be refused in known-only, with {known} known prefixes:"
        )?,
        (Some(mode), _) => writeln!(out, "would be refused in {mode}:")?,
        (None, limit) => writeln!(
            out,
            "would be refused, at least, if client.limit were {}:",
            limit.as_deref().unwrap_or_default()
        )?,
    }
    write_shares(&preview.windows, &mut out)?;
    let named = preview
        .windows
        .iter()
        .find(|one| one.minutes.to_string() == arguments.minutes);
    if let Some(window) = named {
        write_named(window, question.client_limit.is_some(), &mut out)?;
    }
    let normal = question.mode.as_deref() == Some("normal");
    write_left_out(&preview, normal, &mut out)?;
    if let Some(hour) = preview.windows.last() {
        write_rescue(hour, &mut out)?;
    }
    output::text(&out)
}

/// A column for each window.
fn write_shares(windows: &[Window], out: &mut String) -> fmt::Result {
    let row = |out: &mut String, name: &str, cell: &dyn Fn(&Window) -> String| {
        write!(out, "{name:<20}")?;
        windows
            .iter()
            .try_for_each(|window| write!(out, "{:>20}", cell(window)))?;
        writeln!(out)
    };
    row(out, "", &|window| format!("last {} min", window.minutes))?;
    row(out, "requests", &|window| share(&window.requests))?;
    row(out, "clients", &|window| share(&window.clients))?;
    row(out, "confirmed customers", &|window| {
        share(&window.customers)
    })?;
    row(out, "customers' requests", &|window| {
        share(&window.customer_requests)
    })?;
    let shortest = windows.iter().find(|one| one.seconds < one.minutes * 60);
    if let Some(window) = shortest {
        writeln!(
            out,
            "(the gate has counted for {})",
            output::duration(window.seconds)
        )?;
    }
    Ok(())
}

/// `12.4% of 8210`, and by how much that may be off.
fn share(share: &Share) -> String {
    let percent = 100.0 * share.part();
    match (share.all, share.error > 0.0) {
        (0, _) => "none".to_owned(),
        (all, false) => format!("{percent:.1}% of {all}"),
        (all, true) => format!("{percent:.0}% ±{:.0} of ~{all}", 100.0 * share.error),
    }
}

/// What is seen of the last minutes beside the shares.
fn write_named(window: &Window, limit: bool, out: &mut String) -> fmt::Result {
    let minutes = window.minutes;
    let worst = if limit {
        ", in its worst ten seconds"
    } else {
        ""
    };
    if !window.prefixes.is_empty() {
        writeln!(
            out,
            "\nmost refused in the last {minutes} min, by prefix{worst}:"
        )?;
    }
    for prefix in &window.prefixes {
        write_line(&host(prefix.name), prefix, out)?;
    }
    if !window.tenants.is_empty() {
        writeln!(
            out,
            "by tenant{}:",
            if limit {
                worst
            } else {
                ", as it was at the time"
            }
        )?;
    }
    for tenant in &window.tenants {
        write_line(&output::plain(&tenant.name), tenant, out)?;
    }
    if window.named_error > 0 {
        writeln!(out, "(each may be off by {} requests)", window.named_error)?;
    }
    Ok(())
}

/// What is not in the shares.
fn write_left_out(preview: &Preview, normal: bool, out: &mut String) -> fmt::Result {
    let Some(hour) = preview.windows.last() else {
        return Ok(());
    };
    if hour.closed > 0 {
        writeln!(
            out,
            "(not in it: {} connections that were closed before a request was read)",
            hour.closed
        )?;
    }
    if normal && hour.turned_away > 0 {
        writeln!(
            out,
            "({} requests were turned away by known-only: what a limit would say of them is not known)",
            hour.turned_away
        )?;
    }
    if hour.missed > 0 {
        writeln!(
            out,
            "(of {} requests only the total is known: they came too fast)",
            hour.missed
        )?;
    }
    if !preview.all_customers {
        writeln!(
            out,
            "(there are more customers than can be remembered for an hour)"
        )?;
    }
    Ok(())
}

fn write_rescue(hour: &Window, out: &mut String) -> fmt::Result {
    if hour.rescue.is_empty() {
        return Ok(());
    }
    let (named, all) = (hour.rescue.len() as u64, hour.customers.refused);
    match named < all {
        true => writeln!(
            out,
            "\nthe {named} confirmed customers with the most, of {all}; to let them in:"
        )?,
        false => writeln!(out, "\nthese are confirmed customers; to let them in:")?,
    }
    for customer in &hour.rescue {
        writeln!(out, "  tidegate known add {}", host(customer.name))?;
    }
    Ok(())
}

fn write_line<T>(name: &str, of: &Named<T>, out: &mut String) -> fmt::Result {
    write!(out, "  {name:<40} {:>10} requests", of.requests)?;
    match of.customers {
        None | Some(0) => writeln!(out),
        Some(1) => writeln!(out, ", 1 customer"),
        Some(customers) => writeln!(out, ", {customers} customers"),
    }
}

/// A prefix of a single address as that address.
fn host(prefix: IpNet) -> String {
    match prefix.prefix_len() == prefix.max_prefix_len() {
        true => prefix.addr().to_string(),
        false => prefix.to_string(),
    }
}
