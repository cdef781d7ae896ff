//! The state directory: what is wrong with it is told, what could not be written is written later, and
//! it is one gate's.

use std::fs;

use serde_json::Value;

use crate::harness::{App, Folder, Gate, ROOMY, eventually, tidegate, with_upstream};

fn problems(gate: &Gate) -> Vec<String> {
    let status = gate.status();
    let told = status["state_problems"].as_array().unwrap().iter();
    told.map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn saved_mode(gate: &Gate) -> String {
    let text = fs::read(gate.folder.path("state/mode.json")).unwrap_or_default();
    let kept: Value = serde_json::from_slice(&text).unwrap_or_default();
    kept["mode"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_the_disk_did_not_take_is_told_and_written_when_it_does() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    gate.verb(&["mode", "known-only", "--force"]).good();
    assert_eq!(saved_mode(&gate), "known-only");
    // As good as a full disk: the file beside it cannot be made.
    let in_the_way = gate.folder.path("state/mode.json.new");
    fs::create_dir(&in_the_way).unwrap();
    let output = gate.verb(&["mode", "normal"]);
    assert!(
        output.stderr.contains("would not survive a restart"),
        "{output:?}"
    );
    assert_eq!(
        saved_mode(&gate),
        "known-only",
        "which a restart would find"
    );
    let told = problems(&gate);
    assert!(told.len() == 1 && told[0].contains("mode.json"), "{told:?}");
    let status = gate.verb(&["status"]).good();
    assert!(status.contains("STATE "), "{status}");
    assert_eq!(gate.metric("tidegate_state_problems"), 1.0);
    fs::remove_dir(in_the_way).unwrap();
    eventually("the mode to be written", || saved_mode(&gate) == "normal");
    eventually("nothing to be wrong", || problems(&gate).is_empty());
    assert_eq!(gate.metric("tidegate_state_problems"), 0.0);
}

#[test]
fn what_was_damaged_at_the_start_is_told_until_it_is_written_anew() {
    let app = App::echoing_paths();
    for file in ["mode.json", "known.json", "blocks.json", "tenants.json"] {
        let folder = Folder::new();
        fs::create_dir(folder.path("state")).unwrap();
        fs::write(folder.path("state").join(file), "{\"mode\":\"known-").unwrap();
        let gate = Gate::start_in(folder, &with_upstream(&[app.address], ROOMY));
        let told = problems(&gate);
        assert!(
            told.len() == 1 && told[0].contains(file),
            "{file}: {told:?}"
        );
        eventually("the audit log to have it", || {
            gate.verb(&["audit"]).good().contains(file)
        });
        gate.verb(&["mode", "observe"]).good();
        let cured = problems(&gate).is_empty();
        assert_eq!(cured, file == "mode.json", "{file}");
    }
}

#[test]
fn a_directory_is_one_gates() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    let folder = Folder::new();
    let state = gate.folder.path("state");
    let more = format!("{ROOMY}[state]\ndirectory = {state:?}\n");
    let config = folder.configure(&with_upstream(&[app.address], &more));
    let output = tidegate(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(output.code, 1, "{output:?}");
    for word in ["state.directory", "is another gate's"] {
        assert!(output.stderr.contains(word), "{}", output.stderr);
    }
    assert_eq!(gate.get("/").status, 200);
    let folder = gate.kill();
    Gate::start_in(folder, &with_upstream(&[app.address], ROOMY));
}

#[test]
fn one_that_cannot_be_locked_keeps_nobody_from_serving() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    fs::create_dir_all(folder.path("state/lock")).unwrap();
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], ROOMY));
    assert_eq!(gate.get("/").status, 200);
    gate.says("cannot be used");
}

#[test]
fn an_audit_log_that_cannot_be_read_is_no_empty_one() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    fs::create_dir(gate.folder.path("state/audit.jsonl")).unwrap();
    let output = gate.verb(&["audit"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.contains("cannot be read"), "{output:?}");
}
