//! The access log on disks that are full, gone or read-only, and through rotations: its lines are whole
//! or not there, what is lost is counted, and traffic knows nothing of it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{App, Folder, Gate, Load, ROOMY, Reply, eventually, tool, with_upstream};

mod disks;
mod durations;

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

#[test]
fn files_stay_within_their_total() {
    let app = App::echoing_paths();
    let gate = gate_into(
        Folder::new(),
        &app,
        "access.log",
        "rotate = { size = \"4KiB\", keep = 2 }",
    );
    let mut client = gate.connect();
    for number in 0..100 {
        assert_eq!(client.get(&format!("/{number}")).status, 200);
    }
    eventually("all lines to be written", || {
        count(&gate, "written") == 100.0
    });
    let named = |number: &str| gate.folder.path(&format!("access.log{number}"));
    assert!(!named(".3").exists(), "no more than two are kept");
    let files = [".2", ".1", ""].map(named);
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 4096, "{file:?}");
    }
    let kept: Vec<String> = files.iter().flat_map(|file| paths(file)).collect();
    let last = (100 - kept.len()..100).map(|number| format!("/{number}"));
    assert_eq!(kept, last.collect::<Vec<_>>(), "the last lines, each once");
}

#[test]
fn a_reload_changes_how_files_rotate() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let file = folder.path("rotated.log");
    let with = |size: &str| {
        let log =
            format!("{ROOMY}\n[log]\nfile = {file:?}\n{ALL}\nrotate = {{ size = \"{size}\" }}");
        with_upstream(&[app.address], &log)
    };
    let gate = Gate::start_in(folder, &with("1MiB"));
    let mut client = gate.connect();
    let mut ask = || (0..20).for_each(|_| assert_eq!(client.get("/").status, 200));
    ask();
    eventually("the lines to be written", || {
        count(&gate, "written") == 20.0
    });
    let ports = fs::read_to_string(gate.folder.path("tidegate.toml")).unwrap();
    fs::write(
        gate.folder.path("tidegate.toml"),
        ports.replace("1MiB\" }", "4KiB\" }"),
    )
    .unwrap();
    gate.verb(&["reload"]).good();
    ask();
    eventually("the lines to be written", || {
        count(&gate, "written") == 40.0
    });
    assert!(fs::metadata(gate.folder.path("rotated.log.1")).is_ok());
}

#[test]
fn after_an_outside_rotation_lines_go_into_the_new_file() {
    let app = App::echoing_paths();
    let gate = gate_into(Folder::new(), &app, "access.log", "");
    let named = |name: &str| gate.folder.path(name);
    let mut client = gate.connect();
    client.get("/one");
    fs::rename(named("access.log"), named("moved.1")).unwrap();
    let told = gate.verb(&["log", "reopen"]).good();
    assert!(told.contains("access.log"), "{told}");
    assert_eq!(paths(&named("moved.1")), ["/one"], "before the answer");
    client.get("/two");
    eventually("the next line", || paths(&named("access.log")) == ["/two"]);
    fs::rename(named("access.log"), named("moved.2")).unwrap();
    gate.signal("USR1");
    eventually("a file of its own again", || named("access.log").exists());
    client.get("/three");
    eventually("the next line", || {
        paths(&named("access.log")) == ["/three"]
    });
    assert_eq!(paths(&named("moved.2")), ["/two"]);
}

#[test]
fn a_file_that_was_moved_away_without_a_word_is_noticed() {
    let app = App::echoing_paths();
    let gate = gate_into(Folder::new(), &app, "access.log", "");
    let mut client = gate.connect();
    client.get("/one");
    let file = gate.folder.path("access.log");
    eventually("its line", || lines(&file).len() == 1);
    fs::remove_file(&file).unwrap();
    eventually("a line in a new file", || {
        client.get("/two");
        !paths(&file).is_empty()
    });
    assert_eq!(count(&gate, "lost"), 0.0, "as far as anybody could know");
}

#[test]
fn standard_output_has_nothing_to_open_anew() {
    let app = App::echoing_paths();
    let gate = gate_into(Folder::new(), &app, "stdout", "");
    let told = gate.verb(&["log", "reopen"]).good();
    assert!(told.contains("standard output"), "{told}");
    let told = gate.verb(&["-o", "json", "log", "reopen"]).json();
    assert_eq!(told["file"], Value::Null);
}

#[test]
fn a_folder_that_goes_and_comes_back_is_told_of_once_and_recovered_from() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let logs = folder.path("logs");
    fs::create_dir(&logs).unwrap();
    let gate = gate_into(folder, &app, "logs/access.log", "");
    let mut client = gate.connect();
    client.get("/before");
    let file = logs.join("access.log");
    eventually("its line", || lines(&file).len() == 1);
    fs::remove_dir_all(&logs).unwrap();
    eventually("a lost line to be counted", || {
        assert_eq!(client.get("/meanwhile").status, 200);
        count(&gate, "lost") > 0.0
    });
    assert!(is_failing(&gate));
    assert_eq!(gate.metric("tidegate_log_failing"), 1.0);
    let status = gate.verb(&["status"]).good();
    assert!(
        status.contains("CANNOT BE WRITTEN: No such file"),
        "{status}"
    );
    let refused = gate.verb(&["log", "reopen"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("No such file"), "{refused:?}");
    fs::create_dir(&logs).unwrap();
    eventually("the log to go on by itself", || {
        assert_eq!(client.get("/after").status, 200);
        !is_failing(&gate)
    });
    eventually("a line again", || {
        paths(&file).contains(&"/after".to_owned())
    });
    assert_eq!(gate.metric("tidegate_log_failing"), 0.0);
    assert_eq!(gate.said("the log cannot be written"), 1);
    assert_eq!(gate.said("the log can be written again"), 1);
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
    eventually("a summary", || !lines(&file).is_empty());
    let told = lines(&file);
    assert_eq!(told[0]["event.name"], "log.summary");
    assert_eq!(told[0]["forwarded"]["sampled_out"], 100, "{told:?}");
    let bytes = gate.metric("tidegate_log_bytes_total{outcome=\"written\"}");
    assert_eq!(fs::metadata(&file).unwrap().len() as f64, bytes);
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
