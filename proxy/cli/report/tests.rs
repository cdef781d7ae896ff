use super::*;
use crate::audit::{Record, Traffic};
use crate::minutes::UpstreamMinute;
use crate::top::{Measured, Source, Sources};

fn minute(number: u64, forwarded: u64, refused: u64) -> Minute {
    let source = Source {
        name: "203.0.113.7".to_owned(),
        measured: Measured {
            requests: refused,
            refused,
            ..Measured::default()
        },
        share: 0.9,
        error: 0.0,
        known: false,
        blocked: true,
    };
    Minute {
        until: 1_800_000_000 + 60 * (number + 1),
        seconds: 60,
        mode: "normal".to_owned(),
        requests: Ends {
            forwarded,
            refused: [("client_rate".to_owned(), refused)].into(),
            failed: BTreeMap::new(),
        },
        known: Ends {
            forwarded: 10,
            ..Ends::default()
        },
        closed: BTreeMap::new(),
        connections: 7,
        upstreams: Vec::new(),
        sources: Sources {
            clients: vec![source],
            ..Sources::default()
        },
    }
}

fn report(minutes: Vec<Minute>) -> Report {
    Report {
        from: 1_800_000_000,
        until: 1_800_007_200,
        version: "1.0.0".to_owned(),
        minutes,
        changes: Vec::new(),
    }
}

fn written(report: &Report) -> String {
    let mut out = String::new();
    write_report(report, &mut out).unwrap();
    out
}

#[test]
fn the_sums_are_those_of_the_minutes() {
    let minutes = (0..120).map(|number| minute(number, 60, 540)).collect();
    let text = written(&report(minutes));
    for said in [
        "- Requests: 72000, of which 7200 were served (10.0%), 64800 refused, 0 failed.",
        "- Of known customers: 1200, of which 1200 were served (100.0%), 0 refused, 0 failed.",
        "10 requests/s",
        "until       all/s  refused   failed  closed/s  known served",
        "- Requests refused: `client_rate` 64800.",
        "Nothing was changed, and no upstream was in trouble.",
        "| `203.0.113.7` | 64800 | 64800 | 0.0 | 0.0 | 120 | blocked |",
    ] {
        assert!(text.contains(said), "no {said:?} in\n{text}");
    }
    let bars = text.lines().filter(|line| line.contains('█'));
    let bars: Vec<&str> = bars.filter(|line| line.contains('░')).collect();
    assert_eq!(bars.len(), 61, "two minutes a row, and the legend");
    assert!(
        bars[1].contains(&format!("{}{}  ", "█".repeat(4), "░".repeat(36))),
        "{}",
        bars[1]
    );
}

#[test]
fn a_trouble_that_goes_on_is_one() {
    let trouble = |failed, out| UpstreamMinute {
        name: "app".to_owned(),
        servers: 3,
        out,
        answered: 50,
        failed,
        problem: None,
    };
    let mut minutes: Vec<Minute> = (0..6).map(|number| minute(number, 60, 0)).collect();
    minutes[1].upstreams.push(trouble(5, 1));
    minutes[2].upstreams.push(trouble(7, 2));
    minutes[5].upstreams.push(trouble(1, 0));
    let text = written(&report(minutes));
    let told: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("**upstream app**"))
        .collect();
    assert!(!text.contains("**nothing was written down**"), "{text}");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].ends_with("12 requests failed, 100 were answered; 2 of 3 servers left out"));
    assert!(told[1].ends_with("1 requests failed, 50 were answered"));
}

#[test]
fn changes_tell_what_they_did_and_nobody_writes_markdown_into_it() {
    let traffic = |refused| Traffic {
        forwarded: 1.0,
        refused,
        failed: 0.0,
        connections: 3,
    };
    let mut report = report(vec![minute(0, 1, 0)]);
    report.changes.push(Record {
        time: 1_800_000_010,
        by: "ann".to_owned(),
        what: "mode".to_owned(),
        to: "known-only".to_owned(),
        until: None,
        reason: Some("`flood` | [x](y)\u{1b}[2J".to_owned()),
        before: Some(traffic(900.0)),
        after: Some(traffic(2.0)),
    });
    report.minutes[0].sources.clients[0].name = "a`|b\nc".to_owned();
    let text = written(&report);
    assert!(
        text.contains("**mode known-only**, by ann: `'flood' ¦ [x](y) [2J`"),
        "{text}"
    );
    assert!(
        text.contains("before 1.0/s served, 900.0/s refused"),
        "{text}"
    );
    assert!(
        text.contains("a minute later 1.0/s served, 2.0/s refused"),
        "{text}"
    );
    assert!(text.contains("| `a'¦b c` |"), "{text}");
}

#[test]
fn nothing_at_all_is_a_report_too() {
    let text = written(&report(Vec::new()));
    assert!(text.contains("- Requests: none."), "{text}");
    let late = Report {
        from: 0,
        ..report(vec![minute(0, 0, 0)])
    };
    assert!(written(&late).contains("Nothing was written down before"));
}

#[test]
fn a_gate_that_was_down_is_told_and_ends_a_trouble() {
    let mut minutes: Vec<Minute> = [0, 1, 20, 21].map(|number| minute(number, 60, 0)).into();
    for minute in &mut minutes {
        minute.upstreams.push(UpstreamMinute {
            name: "app".to_owned(),
            servers: 1,
            out: 1,
            answered: 0,
            failed: 4,
            problem: None,
        });
    }
    let text = written(&report(minutes));
    let told = |said: &str| text.lines().filter(|line| line.contains(said)).count();
    assert_eq!(told("**nothing was written down** until"), 1, "{text}");
    assert_eq!(told("8 requests failed, 0 were answered"), 2, "{text}");
}
