//! `tidegate upgrade`: another process goes on with the sockets and the counters, and nobody notices.

mod channel;
/// New processes that do not come to serve: the old one goes on, unharmed.
mod failing;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{
    App, Connection, Folder, Gate, Load, Manager, Output, PATIENCE, ROOMY, eventually,
    with_upstream,
};

/// Puts a link in the folder, behind which a test can put another program.
fn install(folder: &Folder, program: &Path) {
    let beside = folder.path("tidegate.new");
    symlink(program, &beside).unwrap();
    fs::rename(beside, folder.path("tidegate")).unwrap();
}

fn real_program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tidegate"))
}

/// Puts a script in the place of the program.
fn install_script(folder: &Folder, script: &str) {
    let path = folder.write("script", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    install(folder, path.as_ref());
}

/// A gate that can be upgraded.
fn gate_before(app: &App, text: &str) -> Gate {
    gate_in(Folder::new(), app, text)
}

/// A gate that can be upgraded, and finds its files in this folder.
pub fn gate_in(folder: Folder, app: &App, text: &str) -> Gate {
    folder.configure(&with_upstream(&[app.address], text));
    install(&folder, real_program());
    let program = folder.path("tidegate");
    Gate::run(folder, &mut Command::new(program))
}

/// Upgrades, and gives what is told.
#[track_caller]
pub fn upgrade(gate: &Gate) -> Value {
    gate.verb(&["upgrade", "-o", "json"]).json()
}

fn lines(upgraded: &Value, key: &str) -> String {
    let lines = upgraded[key].as_array().unwrap().iter();
    lines
        .map(|line| line.as_str().unwrap().to_owned() + "\n")
        .collect()
}

/// No upgrade, for this reason; the gate serves as before and can be changed.
#[track_caller]
fn stays(gate: &Gate, output: &Output, parts: &[&str]) {
    assert_eq!(output.code, 1, "{output:#?}");
    for part in parts {
        assert!(
            output.stderr.contains(part),
            "no {part:?} in: {}",
            output.stderr
        );
    }
    assert_eq!(gate.get("/").status, 200);
    gate.verb(&["mode", "normal"]).good();
    assert_eq!(gate.status()["draining"], false);
    assert!(
        !gate.folder.path("state/upgrade.sock").exists(),
        "a socket is left over"
    );
}

#[test]
fn no_request_fails_when_the_process_changes_under_load() {
    let app = App::echoing_paths();
    let mut gate = gate_before(&app, ROOMY);
    let kept = Load::from(&["127.0.0.1", "127.0.0.2", "127.0.0.3"], &gate);
    let fresh = Load::reconnecting(&["127.0.0.4", "127.0.0.5", "127.0.0.6"], &gate);
    let mut pids = vec![u64::from(gate.pid())];
    for _ in 0..3 {
        kept.wait_for(50);
        fresh.wait_for(50);
        let upgraded = upgrade(&gate);
        assert_eq!(upgraded["old"]["pid"].as_u64(), pids.last().copied());
        let pid = upgraded["new"]["pid"].as_u64().unwrap();
        assert!(!pids.contains(&pid), "{upgraded:#}");
        assert_eq!(gate.status()["pid"].as_u64(), Some(pid));
        pids.push(pid);
    }
    kept.wait_for(50);
    fresh.wait_for(50);
    let (kept, fresh) = (kept.stop(), fresh.stop());
    assert_eq!(
        (kept.other_than(200), fresh.other_than(200)),
        (0, 0),
        "{kept:?} {fresh:?}"
    );
    assert_eq!(
        app.requests(),
        kept.of(200) + fresh.of(200),
        "requests that were sent twice"
    );
    let status = gate.wait();
    assert!(status.success(), "the first process: {status}");
}

#[test]
fn requests_under_way_are_completed_by_the_process_that_has_them() {
    let (app, latch) = App::waiting_at_slow();
    let mut gate = gate_before(&app, ROOMY);
    let mut idle = gate.connect();
    assert_eq!(idle.get("/").status, 200);
    let mut busy = gate.connect();
    busy.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request to reach the app", || app.requests() == 2);
    let upgraded = upgrade(&gate);
    assert_eq!(upgraded["drain_seconds"], 30);
    assert!(idle.is_closed(), "an idle connection is closed");
    assert_eq!(gate.get("/new").text(), "/new");
    assert_eq!(
        gate.status()["earlier"]["pid"].as_u64(),
        Some(u64::from(gate.pid()))
    );
    let text = gate.verb(&["status"]).good();
    assert!(text.contains("still finishes its requests"), "{text}");
    latch.open();
    assert_eq!(busy.response().text(), "/slow");
    assert!(gate.wait().success());
    eventually("nobody is draining", || gate.status()["earlier"].is_null());
    assert_eq!(gate.get("/").status, 200);
    assert!(
        gate.folder.path("admin.sock").exists(),
        "the old one took the socket with it"
    );
}

#[test]
fn what_operators_set_survives_with_its_end() {
    let app = App::echoing_paths();
    let gate = gate_before(
        &app,
        "[tenant]\nfrom = \"host\"\ntier = \"low\"\n[tier.low]\nlimit = { rate = \"9/s\", burst = 9 }\n[tier.high]\nlimit = { rate = \"99/s\", burst = 99 }\n",
    );
    gate.verb(&[
        "known",
        "add",
        "127.0.0.1",
        "--for",
        "2h",
        "--reason",
        "office",
    ])
    .good();
    gate.verb(&["tenant", "set", "shop.example.com", "high", "--for", "2h"])
        .good();
    gate.verb(&["block", "add", "192.0.2.9", "--for", "2h"])
        .good();
    gate.verb(&["mode", "known-only", "--for", "1h", "--reason", "flood"])
        .good();
    let told = |gate: &Gate| {
        let mode = gate.status()["mode"].clone();
        let known = gate.verb(&["known", "list", "-o", "json"]).json();
        let tenants = gate.verb(&["tenant", "list", "-o", "json"]).json();
        let blocks = gate.verb(&["block", "list", "-o", "json"]).json();
        (mode, known, tenants, blocks)
    };
    let before = told(&gate);
    assert!(before.0["until"].is_u64(), "{before:#?}");
    upgrade(&gate);
    assert_eq!(told(&gate), before);
    assert_eq!(gate.get("/").status, 200, "a known customer");
    let mut stranger = Connection::open_from("127.0.0.2", gate.address);
    let _ = stranger.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = stranger.try_response();
    assert!(
        answer.is_none(),
        "a client that is not known gets {answer:?}"
    );
    gate.verb(&["mode", "known-only", "--for", "1s"]).good();
    upgrade(&gate);
    eventually("the mode to end in the new process", || {
        gate.status()["mode"]["mode"] == "normal"
    });
    upgrade(&gate);
    assert_eq!(gate.status()["mode"]["mode"], "normal");
}

#[test]
fn what_the_old_process_does_by_the_clock_is_not_written_over_later_changes() {
    let (app, latch) = App::waiting_at_slow();
    let mut gate = gate_before(&app, ROOMY);
    let mut busy = gate.connect();
    busy.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request to reach the app", || app.requests() == 1);
    gate.verb(&["mode", "observe", "--for", "3s"]).good();
    upgrade(&gate);
    gate.verb(&["mode", "observe", "--reason", "later"]).good();
    eventually("the mode to end in the old process", || {
        gate.has_said("mode observe has ended")
    });
    latch.open();
    assert_eq!(busy.response().status, 200);
    assert!(gate.wait().success());
    let written = fs::read_to_string(gate.folder.path("state/mode.json")).unwrap();
    assert!(written.contains("later"), "the old process wrote {written}");
    let changes = gate.verb(&["audit"]).good();
    assert!(!changes.contains("has passed"), "{changes}");
}

#[test]
fn a_client_that_has_used_up_its_limit_stays_limited() {
    let app = App::echoing_paths();
    let gate = gate_before(&app, "[client]\nlimit = { rate = \"1/h\", burst = 10 }\n");
    let ask = |source: &str| Connection::open_from(source, gate.address).get("/").status;
    for _ in 0..10 {
        assert_eq!(ask("127.0.0.1"), 200);
    }
    for _ in 0..4 {
        assert_eq!(ask("127.0.0.2"), 200);
    }
    for generation in 1..=2 {
        let upgraded = upgrade(&gate);
        let handed = lines(&upgraded, "handed_over");
        assert!(handed.contains("2 buckets in use"), "{handed}");
        assert_eq!(ask("127.0.0.1"), 429, "process {generation} forgives");
    }
    let left = (0..10).take_while(|_| ask("127.0.0.2") == 200).count();
    assert_eq!(left, 6, "4 of 10 were used before the upgrades");
    assert_eq!(ask("127.0.0.3"), 200);
}

#[test]
fn counters_that_do_not_fit_are_told_and_begin_anew() {
    let app = App::echoing_paths();
    let of = |tracked: u32| {
        let client =
            format!("[client]\nlimit = {{ rate = \"1/h\", burst = 1 }}\nmax_tracked = {tracked}\n");
        with_upstream(&[app.address], &client)
    };
    let gate = gate_before(&app, "");
    gate.folder.configure(&of(1000));
    upgrade(&gate);
    assert_eq!((gate.get("/").status, gate.get("/").status), (200, 429));
    gate.folder.configure(&of(2000));
    let anew = lines(&upgrade(&gate), "not_handed_over");
    assert!(anew.contains("client.max_tracked"), "{anew}");
    assert_eq!(gate.status()["clients"]["capacity"], 2000);
    assert_eq!((gate.get("/").status, gate.get("/").status), (200, 429));
}

#[test]
fn listeners_are_taken_over_added_and_closed_as_the_new_configuration_says() {
    let app = App::echoing_paths();
    let text = |listeners: &[&str], more: &str| {
        let listener = |address: &&str| format!("[[listener]]\naddress = \"{address}\"\n");
        let listeners: String = listeners.iter().map(listener).collect();
        with_upstream(&[app.address], &format!("{listeners}{more}"))
    };
    let any = "127.0.0.1:0";
    let folder = Folder::new();
    folder.configure(&text(&[any, any, "127.0.0.2:0"], ""));
    install(&folder, real_program());
    let program = folder.path("tidegate");
    let gate = Gate::run(folder, &mut Command::new(program));
    let listening = |gate: &Gate| -> Vec<SocketAddr> {
        let status = gate.status();
        let listeners = status["listeners"].as_array().unwrap().iter();
        let address = |listener: &serde_json::Value| listener["address"].as_str().unwrap().parse();
        listeners
            .map(|listener| address(listener).unwrap())
            .collect()
    };
    let before = listening(&gate);
    gate.folder.configure(&text(&["127.0.0.3:0", any, any], ""));
    let upgraded = upgrade(&gate);
    let after = listening(&gate);
    assert_eq!(after[1..], before[..2], "{upgraded:#}");
    for address in &after {
        assert_eq!(Connection::open(*address).get("/").status, 200, "{address}");
    }
    eventually("the listener that is gone to be closed", || {
        Connection::try_open(before[2]).is_err()
    });
    let anew = lines(&upgraded, "not_handed_over");
    for part in [
        "listener.address 127.0.0.2:0: closed",
        "listener.address 127.0.0.3:0: bound anew",
    ] {
        assert!(anew.contains(part), "no {part:?} in {anew}");
    }
    let metrics = Connection::open(gate.metrics).get("/readyz");
    assert_eq!((metrics.status, metrics.text().as_str()), (200, "ready\n"));
    let moved = gate.folder.path("other.sock");
    let elsewhere = format!("[admin]\nsocket = {moved:?}\n[metrics]\naddress = \"off\"\n");
    gate.folder.configure(&text(&[any], &elsewhere));
    upgrade(&gate);
    eventually("the old admin socket to go", || {
        !gate.folder.path("admin.sock").exists()
    });
    assert!(moved.exists());
    assert!(
        Connection::try_open(gate.metrics).is_err(),
        "metrics are off"
    );
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn the_program_is_found_anew_at_its_path() {
    let app = App::echoing_paths();
    let gate = gate_before(&app, "");
    // A package's upgrade: the file that runs is gone, another one has its name.
    let copy = gate.folder.path("copy");
    fs::copy(real_program(), &copy).unwrap();
    install(&gate.folder, &copy);
    let upgraded = upgrade(&gate);
    let running = fs::read_link(format!("/proc/{}/exe", upgraded["new"]["pid"])).unwrap();
    assert_eq!(running, copy.canonicalize().unwrap());
    fs::remove_file(&copy).unwrap();
    install(&gate.folder, real_program());
    let text = gate.verb(&["upgrade"]).good();
    assert!(text.contains("handed over  admin.socket"), "{text}");
    assert!(text.contains("finishes its requests within 30s"), "{text}");
    assert_eq!(gate.get("/").status, 200);
}
