//! `tidegate top`: who sends the most, on a terminal and as text.

mod actions;
mod gate;
mod screen;
mod state;
mod table;
mod terminal;

use std::fmt::{self, Write};
use std::io::{IsTerminal, stdin, stdout};

use super::{Context, Format, output};
use crate::admin::wire::TopQuery;
use crate::top::{Kind, Measure, Sources, Window};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Over the last 10s, 1m or 10m
    #[arg(long, value_name = "WINDOW", default_value = "10s", value_parser = ["10s", "1m", "10m"])]
    window: String,

    /// By what to compare
    #[arg(long, value_name = "MEASURE", default_value = "requests",
          value_parser = ["requests", "refused", "bytes", "upstream"])]
    by: String,

    /// How many of each kind to print, 1 to 100
    #[arg(long, value_name = "NUMBER", default_value_t = 10,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,

    /// Print once and end, as without a terminal
    #[arg(long)]
    once: bool,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    window: Window,
    by: Measure,
}

impl View {
    fn query(self, limit: u8) -> TopQuery {
        TopQuery {
            window: Some(self.window.label().to_owned()),
            by: Some(self.by.label().to_owned()),
            limit: Some(limit.into()),
        }
    }
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<()> {
    let view = View {
        window: arguments.window.parse().map_err(anyhow::Error::msg)?,
        by: arguments.by.parse().map_err(anyhow::Error::msg)?,
    };
    let json = context.format == Format::Json;
    if !json && !arguments.once && stdin().is_terminal() && stdout().is_terminal() {
        return terminal::run(view, context.client());
    }
    let query = view.query(arguments.limit);
    let sources: Sources = context.client().ask("/v1/top", &query)?;
    if json {
        return output::json(&sources);
    }
    let mut out = String::new();
    write_sources(&sources, view.by, &mut out)?;
    output::text(&out)
}

fn write_sources(sources: &Sources, by: Measure, out: &mut String) -> fmt::Result {
    writeln!(out, "{}", table::summary(sources))?;
    if let Some(note) = table::note(sources) {
        writeln!(out, "({note})")?;
    }
    for kind in Kind::ALL {
        let named = sources.by_kind(kind);
        if named.is_empty() {
            continue;
        }
        let [title, columns @ ..] = table::headings(kind, by);
        writeln!(
            out,
            "\n{title:<44}{}",
            columns.map(|name| format!("{name:>13}")).concat()
        )?;
        for source in named {
            let [name, cells @ ..] = table::row(source, sources.seconds);
            let cells = cells.map(|cell| format!("{cell:>13}")).concat();
            let row = format!("{name:<44}{cells}  {}", source.standing());
            writeln!(out, "{}", row.trim_end())?;
        }
    }
    Ok(())
}
