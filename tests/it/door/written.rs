//! What is written of connections that the door closes.

use super::*;

/// Connections that are closed unread, one after the other.
fn refused(gate: &Gate, source: &str, count: usize) {
    for _ in 0..count {
        assert_eq!(status(gate, source, "/"), None);
    }
}

#[test]
fn the_first_few_refusals_of_a_client_are_written_and_then_a_sample() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let file = folder.path("door.log");
    let log = format!(
        "[log]\nfile = {file:?}\nsample = {{ forwarded = 0.0, refused = 0.0, failed = 0.0 }}\n"
    );
    let gate = Gate::before(&app, &format!("{ROOMY}{log}"));
    for client in ["127.0.0.2", "127.0.0.3"] {
        gate.verb(&["block", "add", client, "--force"]).good();
    }
    refused(&gate, "127.0.0.2", 2);
    refused(&gate, "127.0.0.3", 1);
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    };
    eventually("a line for each of the first", || lines().len() == 3);
    let line = &lines()[2];
    for (name, value) in [
        ("event.name", "connection".into()),
        ("outcome", "refused".into()),
        ("reason", "blocked".into()),
        ("client.address", "127.0.0.3".into()),
        ("network.local.address", "127.0.0.1".into()),
        ("sample_rate", serde_json::Value::from(1.0)),
    ] {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    refused(&gate, "127.0.0.2", 10);
    let count = |outcome| {
        gate.metric(&format!(
            "tidegate_log_lines_total{{outcome=\"{outcome}\"}}"
        ))
    };
    // The minute may have turned meanwhile, once.
    let written = count("written");
    assert!((4.0..=6.0).contains(&written), "{written} lines");
    eventually("they are in the file", || lines().len() as f64 == written);
    assert_eq!(
        (closed(&gate, "blocked"), written + count("sampled_out")),
        (13.0, 13.0),
        "each is accounted for once"
    );
}

#[test]
fn what_the_door_writes_is_within_the_budget_of_the_log() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let file = folder.path("small.log");
    let log =
        format!("[log]\nfile = {file:?}\nsample = {{ refused = 1.0 }}\nbudget = \"1KiB/s\"\n");
    let gate = Gate::before(&app, &format!("{ROOMY}{log}"));
    gate.verb(&["block", "add", "127.0.0.2", "--force"]).good();
    let started = Instant::now();
    refused(&gate, "127.0.0.2", 300);
    // So small a budget lets a few lines come at once.
    let allowed = 6144.0 + 1024.0 * started.elapsed().as_secs_f64();
    let written = gate.metric("tidegate_log_bytes_total{outcome=\"written\"}");
    assert!(
        written <= allowed,
        "{written} bytes, and {allowed} are allowed"
    );
    assert!(gate.metric("tidegate_log_lines_total{outcome=\"over_budget\"}") > 200.0);
}
