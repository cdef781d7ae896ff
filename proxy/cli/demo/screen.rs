//! How the story looks: at most 80 columns, colour only on a terminal that wants it.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use super::super::output;
use super::tally::{Act, Counts, Party, Tally};

/// Standard output, as the story uses it.
pub(super) struct Screen {
    colour: bool,
}

/// Styles, as terminals have understood them since the VT100.
#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Red,
    Green,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
        }
    }
}

impl Screen {
    pub(super) fn new() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        Screen {
            colour: std::io::stdout().is_terminal() && !unwanted && !dumb,
        }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{}m{text}\x1b[0m", style.code()),
            false => text.to_owned(),
        }
    }

    /// Prints a paragraph.
    pub(super) fn say(&self, text: &str) -> anyhow::Result<()> {
        output::text(&format!("{text}\n"))
    }

    /// Begins a part of the story.
    pub(super) fn heading(&self, text: &str) -> anyhow::Result<()> {
        output::text(&format!("\n{}\n", self.paint(Style::Bold, text)))
    }

    /// Shows a command as it is typed, and what it printed.
    pub(super) fn typed(&self, command: &str, printed: &str) -> anyhow::Result<()> {
        let command = self.paint(Style::Bold, &format!("$ {command}"));
        output::text(&format!("\n{command}\n{printed}\n"))
    }

    /// What stands above the lines.
    pub(super) fn columns(&self) -> anyhow::Result<()> {
        let titles = format!("{:9}{:32}{:15}flood", "", "customers", "visitors");
        let customers = format!(
            "{:>7}{:>7}{:>8}{:>9}",
            "served", "failed", "median", "slowest"
        );
        let visitors = format!("{:>6}{:>6}", "served", "503");
        let flood = format!("{:>7}{:>6}{:>6}{:>6}", "served", "429", "503", "none");
        let names = format!("{:8}{customers}  {visitors}  {flood}", "");
        output::text(&self.paint(Style::Dim, &format!("{titles}\n{names}")))?;
        output::text("\n")
    }

    /// What was answered since the line before.
    pub(super) fn line(
        &self,
        at: Duration,
        parties: &BTreeMap<Party, Counts>,
    ) -> anyhow::Result<()> {
        let none = Counts::default();
        let of = |party| parties.get(&party).unwrap_or(&none);
        let (customers, visitors, flood) =
            (of(Party::Customers), of(Party::Visitors), of(Party::Flood));
        let unserved = customers.limited + customers.refused + customers.lost;
        let served = self.paint(Style::Green, &format!("{:>7}", customers.served));
        let failed = match unserved {
            0 => format!("{unserved:>7}"),
            _ => self.paint(Style::Red, &format!("{unserved:>7}")),
        };
        output::text(&format!(
            "{:>6.1} s{served}{failed}{:>8}{:>9}  {:>6}{:>6}  {:>7}{:>6}{:>6}{:>6}\n",
            at.as_secs_f64(),
            time(customers.percentile(50)),
            time(customers.percentile(100)),
            visitors.served,
            visitors.refused,
            flood.served,
            flood.limited,
            flood.refused,
            flood.lost,
        ))
    }

    /// All that was measured. `reached`: how many searches reached the app in each act.
    pub(super) fn summary(
        &self,
        tally: &Tally,
        reached: &BTreeMap<Act, u64>,
    ) -> anyhow::Result<()> {
        let titles = ["calm", "flood", "switch", "known", "reopen", "after"].map(str::to_owned);
        output::text(&self.paint(Style::Dim, &row("", "", &titles)))?;
        let cells = |party, cell: &dyn Fn(&Counts) -> String| {
            Act::ALL.map(|act| cell(&tally.of(act, party)))
        };
        let count = |count: u64| {
            if count == 0 {
                "-".to_owned()
            } else {
                count.to_string()
            }
        };
        let mut text = String::new();
        for (name, what, cells) in [
            (
                "customers",
                "sent",
                cells(Party::Customers, &|c| count(c.sent)),
            ),
            (
                "",
                "failed",
                cells(Party::Customers, &|c| c.failed().to_string()),
            ),
            (
                "",
                "median",
                cells(Party::Customers, &|c| time(c.percentile(50))),
            ),
            (
                "",
                "99 % within",
                cells(Party::Customers, &|c| time(c.percentile(99))),
            ),
            (
                "visitors",
                "served",
                cells(Party::Visitors, &|c| count(c.served)),
            ),
            ("", "refused", cells(Party::Visitors, &|c| count(c.refused))),
            ("flood", "sent", cells(Party::Flood, &|c| count(c.sent))),
            (
                "",
                "refused",
                cells(Party::Flood, &|c| share(c.refused_share())),
            ),
            (
                "",
                "reached the app",
                Act::ALL.map(|act| searches(act, tally, reached)),
            ),
        ] {
            text.push_str(&row(name, what, &cells));
        }
        output::text(&text)
    }
}

fn row(name: &str, what: &str, cells: &[String; 6]) -> String {
    let mut row = format!("{name:<10}{what:<15}");
    for cell in cells {
        row.push_str(&format!("{cell:>9}"));
    }
    row.push('\n');
    row
}

/// A dash where there was no flood, and a number, even none, where there was.
fn searches(act: Act, tally: &Tally, reached: &BTreeMap<Act, u64>) -> String {
    match tally.of(act, Party::Flood).sent {
        0 => "-".to_owned(),
        _ => reached.get(&act).copied().unwrap_or(0).to_string(),
    }
}

/// A share as a percentage; never rounded up to all.
fn share(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| {
        format!("{:.1} %", (share * 1000.0).floor() / 10.0)
    })
}

/// A time as a person compares it: `7 ms`, `1.04 s`.
fn time(time: Option<Duration>) -> String {
    match time {
        None => "-".to_owned(),
        Some(time) if time < Duration::from_secs(1) => format!("{} ms", time.as_millis()),
        Some(time) => format!("{:.2} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(share(Some(0.9999)), "99.9 %");
        assert_eq!(share(Some(1.0)), "100.0 %");
        assert_eq!(share(None), "-");
    }

    #[test]
    fn times_are_read_at_a_glance() {
        assert_eq!(time(Some(Duration::from_micros(7_900))), "7 ms");
        assert_eq!(time(Some(Duration::from_millis(1_044))), "1.04 s");
    }

    #[test]
    fn a_row_fits_a_terminal() {
        let cells = std::array::from_fn(|_| "12.34 s".to_owned());
        assert!(row("customers", "reached the app", &cells).trim_end().len() <= 80);
    }
}
