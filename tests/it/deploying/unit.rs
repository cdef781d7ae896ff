//! The unit for systemd: read by its own tools, and its sandbox leaves the gate what it needs.

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use super::{repository, said};
use crate::harness::{App, Folder, Gate, eventually, tool, with_upstream};

const UNIT: &str = include_str!("../../../deploy/tidegate.service");

/// The values of this key, in their order.
fn values(key: &str) -> impl Iterator<Item = &'static str> {
    let lines = UNIT.lines().filter_map(|line| line.split_once('='));
    lines.filter_map(move |(of, value)| (of == key).then_some(value))
}

fn analyze() -> Command {
    tool("systemd-analyze", "systemd")
}

#[test]
fn systemd_reads_it() {
    let folder = Folder::new();
    let program = format!("={} ", env!("CARGO_BIN_EXE_tidegate"));
    let unit = folder.write("tidegate.service", UNIT.replace("=tidegate ", &program));
    let said = said(analyze().args(["verify", "--man=no", &unit]));
    // Before systemd 253 the type is not known, and the one in the line before it holds.
    let other = said.lines().find(|line| !line.contains("notify-reload"));
    assert_eq!(other, None);
    assert!(UNIT.contains("\nType=notify\nType=notify-reload\n"));
}

#[test]
fn its_exposure_is_no_higher_than_the_documents_say() {
    let documents = fs::read_to_string(repository("deploy/README.md")).unwrap();
    let told = documents.split_once("`systemd-analyze security tidegate` says ");
    let score = told.unwrap().1.split_whitespace().next().unwrap();
    let tenths = (score.parse::<f64>().unwrap() * 10.0).round();
    assert!(tenths < 20.0, "{score}");
    let threshold = format!("--threshold={tenths}");
    let offline = ["security", "--offline=yes", "--no-pager", &threshold];
    said(
        analyze()
            .args(offline)
            .arg(repository("deploy/tidegate.service")),
    );
}

/// System calls of one of systemd's sets, all the way down.
fn calls(sets: &str, set: &str) -> HashSet<String> {
    let (_, after) = sets.split_once(&format!("\n{set}\n")).expect(set);
    let lines = after.lines().take_while(|line| line.starts_with("    "));
    let names = lines.map(str::trim).filter(|name| !name.starts_with('#'));
    names
        .flat_map(|name| match name.starts_with('@') {
            true => calls(sets, name),
            false => HashSet::from([name.to_owned()]),
        })
        .collect()
}

/// What the unit's filter lets through.
fn allowed() -> HashSet<String> {
    let sets = format!(
        "\n{}",
        said(analyze().args(["syscall-filter", "--no-pager"]))
    );
    let mut allowed = calls(&sets, "@default");
    for line in values("SystemCallFilter") {
        let (without, names) = match line.strip_prefix('~') {
            Some(names) => (true, names),
            None => (false, line),
        };
        for name in names.split(' ') {
            for call in calls(&sets, name) {
                match without {
                    true => allowed.remove(&call),
                    false => allowed.insert(call),
                };
            }
        }
    }
    allowed
}

/// Everything that a gate asks the system for, from its start over an upgrade to its end.
fn traced() -> String {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.configure(&with_upstream(&[app.address], ""));
    let trace = folder.path("trace");
    let mut strace = tool("strace", "strace");
    strace.args(["-f", "-qq", "-s", "0", "-o"]).arg(&trace);
    strace.arg(env!("CARGO_BIN_EXE_tidegate"));
    let mut gate = Gate::run(folder, &mut strace);
    assert_eq!(gate.get("/").status, 200);
    for verb in [
        &["reload"][..],
        &["known", "add", "192.0.2.1"],
        &["mode", "known-only", "--for", "1m"],
        &["mode", "normal"],
        &["log", "reopen"],
        &["status"],
    ] {
        gate.verb(verb).good();
    }
    gate.metric("tidegate_build_info");
    let upgraded = gate.verb(&["upgrade", "-o", "json"]).json();
    eventually("the old process to be gone", || {
        gate.has_said("drained; goodbye")
    });
    assert_eq!(gate.get("/").status, 200);
    let new = upgraded["new"]["pid"].to_string();
    assert!(Command::new("kill").arg(new).status().unwrap().success());
    assert!(gate.wait().success());
    fs::read_to_string(trace).unwrap()
}

#[test]
fn its_sandbox_leaves_the_gate_all_that_it_asks_the_system_for() {
    let trace = traced();
    let allowed = allowed();
    let families = values("RestrictAddressFamilies").next().unwrap();
    let mut asked = HashSet::new();
    for line in trace.lines() {
        // "PID call(...": no second half of a call, no end of a process.
        let call = line.split_once(' ').map(|(_, call)| call.trim_start());
        let call = call.filter(|call| call.starts_with(|c: char| c.is_ascii_lowercase()));
        let Some((call, after)) = call.and_then(|call| call.split_once('(')) else {
            continue;
        };
        assert!(allowed.contains(call), "the unit refuses it: {line}");
        let executable = after.contains("PROT_WRITE") && after.contains("PROT_EXEC");
        assert!(!executable, "MemoryDenyWriteExecute refuses it: {line}");
        if call == "socket" {
            let family = after.split(',').next().unwrap();
            assert!(families.contains(family), "the unit refuses it: {line}");
        }
        asked.insert(call.to_owned());
    }
    for call in ["accept4", "execve", "sendmsg", "epoll_wait"] {
        assert!(asked.contains(call), "{call} is not among {asked:?}");
    }
}
