//! The report of an incident, as it is written during it and after a restart.

use crate::harness::{App, Connection, Folder, Gate, ROOMY, eventually, with_upstream};

/// A gate with a limit of one route, and some traffic: four served and three refused requests.
fn flooded(folder: Folder) -> (App, Gate) {
    let app = App::echoing_paths();
    let route = "[[route]]\npath = \"/login\"\nupstream = \"app\"\nlimit = { rate = \"1/h\", burst = 1, per = \"client\" }\n[[route]]\nupstream = \"app\"\n";
    let text = with_upstream(&[app.address], &format!("{ROOMY}{route}"));
    let gate = Gate::start_in(folder, &text);
    let mut client = Connection::open_from("127.0.6.1", gate.address);
    for path in ["/", "/a", "/b", "/login", "/login", "/login", "/login"] {
        client.get_with(path, &["User-Agent: bot|`x`"]);
    }
    eventually("the sources to be counted", || {
        let seen = gate.verb(&["top", "-o", "json"]).json();
        seen["all"]["requests"] == 7
    });
    (app, gate)
}

fn says(text: &str, said: &str) {
    assert!(text.contains(said), "no {said:?} in\n{text}");
}

#[test]
fn it_tells_what_went_through_what_was_changed_and_who_it_was() {
    let (_app, gate) = flooded(Folder::new());
    gate.verb(&[
        "mode",
        "known-only",
        "--for",
        "10m",
        "--reason",
        "flood",
        "--force",
    ])
    .good();
    gate.verb(&["block", "add", "198.51.100.0/24", "--for", "10m"])
        .good();
    let report = gate.verb(&["report"]).good();
    for said in [
        "# Incident report: ",
        "- Requests: 7, of which 4 were served (57.1%), 3 refused, 0 failed.",
        "- Requests refused: `route_rate` 3.",
        "**mode known-only** until ",
        ": `flood`",
        "**block 198.51.100.0/24** until ",
        "| `127.0.6.1` | 7 | 3 |",
        "| `127.0.6.0/24` | 7 | 3 |",
        "| `/login` | 4 | 3 |",
        "| `bot¦'x'` | 7 | 3 |",
    ] {
        says(&report, said);
    }
    assert!(report.contains('█') && report.contains('░'), "{report}");
    let raw = gate.verb(&["report", "--since", "1m", "-o", "json"]).json();
    let minutes = raw["minutes"].as_array().expect("a list");
    assert_eq!(minutes.len(), 1, "{raw:#}");
    assert_eq!(minutes[0]["requests"]["forwarded"], 4, "{raw:#}");
    assert_eq!(minutes[0]["mode"], "known-only", "{raw:#}");
    assert_eq!(raw["changes"].as_array().map(Vec::len), Some(2), "{raw:#}");
}

#[test]
fn what_was_written_before_a_restart_is_in_it_and_half_a_line_is_not() {
    let now = jiff::Timestamp::now().as_second();
    let line = |ago: i64, forwarded: u32| {
        format!(
            r#"{{"until":{},"seconds":60,"mode":"normal","requests":{{"forwarded":{forwarded},"refused":{{"client_rate":900}},"failed":{{}}}},"known":{{"forwarded":0,"refused":{{}},"failed":{{}}}},"closed":{{"blocked":5}},"connections":1,"upstreams":[{{"name":"app","servers":2,"out":1,"answered":100,"failed":17}}],"sources":{{"seconds":60,"all":{{"requests":0,"refused":0,"bytes":0,"upstream_seconds":0.0}},"one_in":1,"missed":0,"clients":[],"networks":[],"tenants":[],"paths":[],"user_agents":[]}}}}"#,
            now - ago
        )
    };
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("state")).unwrap();
    let (old, first, second) = (line(8000, 7), line(600, 100), line(540, 200));
    let cut = &second[..100];
    folder.write(
        "state/minutes.jsonl",
        format!("{old}\n{first}\nnonsense\n{second}\n{cut}"),
    );
    let (_app, gate) = flooded(folder);
    let report = gate.verb(&["report", "--since", "1h"]).good();
    says(&report, "- Requests: 2107, of which 304 were served");
    says(&report, "- Connections closed at the door: `blocked` 10.");
    says(
        &report,
        "34 requests failed, 200 were answered; 1 of 2 servers left out",
    );
    says(&report, "**Nothing was written down before");
    let longer = gate.verb(&["report", "--since", "3h"]).good();
    says(&longer, "- Requests: 3014, of which 311 were served");
}

#[test]
fn the_minute_in_which_the_gate_ends_is_in_it() {
    let (app, mut gate) = flooded(Folder::new());
    gate.signal("TERM");
    assert!(gate.wait().success(), "{:#?}", gate.messages());
    let gate = Gate::start_in(gate.kill(), &with_upstream(&[app.address], ROOMY));
    let report = gate.verb(&["report"]).good();
    says(
        &report,
        "- Requests: 7, of which 4 were served (57.1%), 3 refused, 0 failed.",
    );
    says(&report, "| `127.0.6.1` | 7 | 3 |");
}

#[test]
fn a_span_that_cannot_be_is_refused() {
    let gate = Gate::before(&App::echoing_paths(), "");
    for since in ["8d", "soon", "0s"] {
        let refused = gate.verb(&["report", "--since", since]);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
    }
}
