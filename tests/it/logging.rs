//! The access log on disks that are full, gone or read-only, and through rotations: its lines are whole
//! or not there, what is lost is counted, and traffic knows nothing of it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{App, Folder, Gate, Load, ROOMY, Reply, eventually, tool, with_upstream};

mod disks;
mod durations;
mod rotating;

const ALL: &str = "sample = { forwarded = 1.0, refused = 1.0, failed = 1.0 }\nbudget = \"1MiB/s\"";

/// A gate that writes a line for each request into this file.
fn gate_into(folder: Folder, app: &App, file: &str, more: &str) -> Gate {
    let log = format!("{ROOMY}\n[log]\nfile = \"{file}\"\n{ALL}\n{more}");
    Gate::start_in(folder, &with_upstream(&[app.address], &log))
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "a torn line in {file:?}"
    );
    let parse = |line: &str| serde_json::from_str(line).expect("a whole line");
    text.lines().map(parse).collect()
}

fn paths(file: &Path) -> Vec<String> {
    let lines = lines(file).into_iter();
    lines
        .filter_map(|line| Some(line["url.path"].as_str()?.to_owned()))
        .collect()
}

fn count(gate: &Gate, outcome: &str) -> f64 {
    gate.metric(&format!(
        "tidegate_log_lines_total{{outcome=\"{outcome}\"}}"
    ))
}

fn is_failing(gate: &Gate) -> bool {
    gate.status()["log"]["problem"].is_string()
}

/// Requests that carry a secret wherever one may stand, and what would break a line of the log.
const SECRETS: [&str; 12] = [
    "GET /a?token=sesame HTTP/1.1\r\nHost: test\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer sesame\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: test\r\nCookie: session=sesame\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: test\r\nX-Api-Key: sesame\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: test\r\nReferer: http://test/?sesame\r\n\r\n",
    "GET http://me:sesame@test/a HTTP/1.1\r\nHost: test\r\n\r\n",
    "GET /a#sesame HTTP/1.1\r\nHost: test\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: me:sesame@test\r\n\r\n",
    "TRACE /a?sesame HTTP/1.1\r\nHost: test\r\n\r\n",
    "GET /\x1b[2J\x07sesame HTTP/1.1\r\nHost: test\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: \"},{sesame\r\n\r\n",
    "GET /a\u{202e}sesame HTTP/1.1\r\nHost: te\x00st\r\n\r\n",
];

#[test]
fn no_secret_is_ever_written_down_and_no_line_breaks() {
    let app = App::answering(|_| Reply::text("ok"));
    let tenant = "[tenant]\nfrom = \"header:x-api-key\"\ntier = \"all\"\n[tier.all]\nin_flight = 9";
    let gate = Gate::before(&app, tenant);
    for request in SECRETS {
        gate.send(request);
    }
    gate.log(SECRETS.len());
    let text = fs::read_to_string(gate.folder.path("access.log")).unwrap();
    assert_eq!(text.lines().count(), SECRETS.len(), "{text}");
    assert!(!text.contains("sesame"), "{text}");
    let is_plain = |byte: u8| byte == b'\n' || (0x20..0x7f).contains(&byte);
    assert!(text.bytes().all(is_plain), "{text}");
    assert!(!gate.has_said("sesame"), "{:?}", gate.messages());
}

#[test]
fn a_query_is_written_down_by_who_asks_for_it() {
    let app = App::answering(|_| Reply::text("ok"));
    let log = "[log]\nfile = \"access.log\"\nsample = { forwarded = 1.0 }\nbudget = \"1MiB/s\"\nquery = true";
    let limit = "[client]\nlimit = { rate = \"1/h\", burst = 3 }";
    let gate = Gate::before(&app, &format!("{limit}\n{log}"));
    let file = gate.folder.path("access.log");
    // Each character of it is two in a string of JSON.
    let long = "\\".repeat(600);
    let longest = format!("GET /?{long} HTTP/1.1\r\nHost: test\r\n\r\n");
    let asked = [
        longest.as_str(),
        "GET /a?token=sesame&x=%22 HTTP/1.1\r\nHost: test\r\nCookie: secret\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET http://test?refused HTTP/1.1\r\nHost: test\r\n\r\n",
    ];
    let expected = [
        Value::from(&long[..512]),
        "token=sesame&x=%22".into(),
        Value::Null,
        "refused".into(),
    ];
    for (at, (request, query)) in asked.iter().zip(expected).enumerate() {
        gate.send(request);
        eventually("its line", || lines(&file).len() > at);
        assert_eq!(lines(&file)[at]["url.query"], query, "{request}");
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("secret"), "{text}");
    let config = gate.folder.path("tidegate.toml");
    let rules = fs::read_to_string(&config).unwrap();
    fs::write(&config, rules.replace("query = true", "query = false")).unwrap();
    gate.verb(&["reload"]).good();
    gate.send(asked[1]);
    eventually("its line", || lines(&file).len() > asked.len());
    assert_eq!(lines(&file)[asked.len()]["url.query"], Value::Null);
}

fn summaries(lines: Vec<Value>) -> Vec<Value> {
    let lines = lines.into_iter();
    lines
        .filter(|line| line["event.name"] == "log.summary")
        .collect()
}

#[test]
fn what_was_held_back_is_told_at_the_end_to_the_last_line() {
    let app = App::echoing_paths();
    let log = "[log]\nfile = \"sum.log\"\nsample = { forwarded = 0.5, refused = 1.0 }\nbudget = \"1MiB/s\"";
    let mut gate = Gate::before(&app, &format!("{ROOMY}\n{log}"));
    let mut client = gate.connect();
    for _ in 0..200 {
        client.get("/");
    }
    gate.send("TRACE / HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("each to be accounted for", || {
        count(&gate, "written") + count(&gate, "sampled_out") == 201.0
    });
    gate.signal("TERM");
    assert!(gate.wait().success());
    let all = lines(&gate.folder.path("sum.log"));
    let written = all.iter().filter(|line| line["outcome"] == "forwarded");
    let written = written.count();
    let summaries = summaries(all);
    assert_eq!(summaries.len(), 1, "{summaries:?}");
    let forwarded = &summaries[0]["forwarded"];
    assert_eq!(forwarded["written"], written, "{forwarded}");
    assert_eq!(forwarded["sampled_out"], 200 - written, "{forwarded}");
    assert_eq!(summaries[0]["refused"]["written"], 1, "{summaries:?}");
}

#[test]
fn the_first_refusals_of_each_client_have_a_line_that_stands_for_itself() {
    let app = App::echoing_paths();
    let trust = "[client]\naddress_from = \"x-forwarded-for\"\ntrusted_proxies = [\"127.0.0.1\"]\nlimit = { rate = \"1/h\", burst = 1 }";
    let log = "[log]\nfile = \"firsts.log\"\nsample = { forwarded = 0.0, refused = 0.0 }";
    let gate = Gate::before(&app, &format!("{trust}\n{log}"));
    let mut connection = gate.connect();
    for client in ["192.0.2.1", "192.0.2.2"] {
        for number in 0..20 {
            let field = format!("X-Forwarded-For: {client}");
            connection.get_with(&format!("/{number}"), &[&field]);
        }
    }
    eventually("each to be accounted for", || {
        count(&gate, "sampled_out") >= 34.0
    });
    let told = lines(&gate.folder.path("firsts.log"));
    let of = |client: &str| -> Vec<&str> {
        let own = told.iter().filter(|line| line["client.address"] == client);
        own.map(|line| line["url.path"].as_str().unwrap()).collect()
    };
    // A minute that ends in between gives each three more.
    for client in ["192.0.2.1", "192.0.2.2"] {
        let own = of(client);
        assert_eq!(own[..3], ["/1", "/2", "/3"], "the first of {client}");
        assert!(own.len() <= 6, "{own:?}");
    }
    assert!(told.iter().all(|line| line["sample_rate"] == 1.0));
}

#[test]
fn what_is_held_back_is_told_while_it_goes_on() {
    let app = App::echoing_paths();
    let log = "[log]\nfile = \"sum.log\"\nsample = { forwarded = 0.0 }\nbudget = \"1KiB/s\"";
    let gate = Gate::before(&app, &format!("{ROOMY}\n{log}"));
    let mut client = gate.connect();
    for _ in 0..100 {
        client.get("/");
    }
    let file = gate.folder.path("sum.log");
    // The first ten seconds may end in the middle.
    eventually("all to be told of", || {
        let told = lines(&file).into_iter();
        told.filter_map(|line| line["forwarded"]["sampled_out"].as_u64())
            .sum::<u64>()
            == 100
    });
    eventually("the bytes of summaries to be counted", || {
        let bytes = gate.metric("tidegate_log_bytes_total{outcome=\"written\"}");
        fs::metadata(&file).unwrap().len() as f64 == bytes
    });
}

#[test]
fn an_end_in_which_nothing_was_held_back_has_no_summary() {
    let app = App::echoing_paths();
    let mut gate = gate_into(Folder::new(), &app, "access.log", "");
    gate.get("/");
    gate.signal("TERM");
    assert!(gate.wait().success());
    let lines = lines(&gate.folder.path("access.log"));
    assert_eq!(
        (lines.len(), &lines[0]["outcome"]),
        (1, &"forwarded".into())
    );
}

#[test]
fn a_flood_of_lines_does_not_silence_the_gate() {
    let app = App::echoing_paths();
    let log = "[log]\nfile = \"flood.log\"\nsample = { refused = 1.0 }\nbudget = \"4KiB/s\"";
    let limit = "[client]\nlimit = { rate = \"1/h\", burst = 1 }";
    let gate = Gate::before(&app, &format!("{limit}\n{log}"));
    let flood = Load::from(&["127.0.0.1"], &gate);
    eventually("lines to be over the budget", || {
        count(&gate, "over_budget") > 100.0
    });
    gate.verb(&["reload"]).good();
    eventually("the gate to say so", || {
        gate.has_said("reloaded: 0 changes")
    });
    let config = gate.folder.path("tidegate.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("4KiB/s", "64MiB/s")).unwrap();
    gate.verb(&["reload"]).good();
    let over = count(&gate, "over_budget");
    flood.wait_for(1000);
    assert_eq!(
        count(&gate, "over_budget"),
        over,
        "the budget is another one"
    );
    flood.stop();
}

#[test]
fn the_same_words_are_said_a_few_times_and_counted() {
    let app = App::echoing_paths();
    let gate = gate_into(Folder::new(), &app, "access.log", "");
    for _ in 0..25 {
        gate.verb(&["log", "reopen"]).good();
    }
    let repeated = gate.metric("tidegate_messages_total{outcome=\"repeated\"}");
    // Ten seconds that end in between let some more be said.
    assert!((10.0..=20.0).contains(&repeated), "{repeated}");
    eventually("the others to be said", || {
        gate.said("the log was opened anew") as f64 == 25.0 - repeated
    });
    let status = gate.verb(&["status"]).good();
    let told = format!("own messages {repeated} repeated, 0 over budget, 0 lost");
    assert!(status.contains(&told), "{status}");
}
