//! A gate that cannot start says why, in words that help, and leaves nothing half running; one that
//! finds damaged state starts without it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::harness::{App, Connection, Folder, Gate, Output, tidegate, with_upstream};

/// Runs a gate that must not start, and gives what it said.
#[track_caller]
fn fails(folder: &Folder, text: &str, parts: &[&str]) -> Output {
    let config = folder.configure(&with_upstream(&["127.0.0.1:9".parse().unwrap()], text));
    let output = tidegate(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(!output.stderr.contains("panicked"), "{output:#?}");
    for part in parts {
        assert!(
            output.stderr.contains(part),
            "no {part:?} in: {}",
            output.stderr
        );
    }
    output
}

#[test]
fn a_port_in_use_is_named_with_the_key_that_asks_for_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let listener = format!("[[listener]]\naddress = \"{address}\"");
    fails(
        &folder,
        &listener,
        &[
            "listener.address",
            &address,
            "another program listens there",
        ],
    );
    let metrics = format!("[metrics]\naddress = \"{address}\"");
    fails(
        &folder,
        &metrics,
        &["metrics.address", &address, "another program listens there"],
    );
    assert!(
        !folder.path("admin.sock").exists(),
        "the admin socket is left behind"
    );
}

#[test]
fn an_address_that_is_not_ours_is_named() {
    let folder = Folder::new();
    let listener = "[[listener]]\naddress = \"192.0.2.1:8080\"";
    fails(
        &folder,
        listener,
        &["listener.address", "192.0.2.1:8080", "no interface"],
    );
}

#[test]
fn the_admin_socket_of_a_running_gate_is_left_to_it() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let socket = gate.folder.path("admin.sock");
    let admin = format!("[admin]\nsocket = {socket:?}");
    fails(
        &Folder::new(),
        &admin,
        &["admin.socket", "admin.sock", "another gate answers there"],
    );
    assert_eq!(
        gate.status()["pid"].as_u64(),
        Some(u64::from(gate.pid())),
        "the first still answers"
    );
}

#[test]
fn the_admin_socket_of_a_gate_that_was_killed_is_taken_over() {
    let app = App::echoing_paths();
    let folder = Gate::before(&app, "").kill();
    assert!(
        folder.path("admin.sock").exists(),
        "a killed gate cannot remove it"
    );
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], ""));
    assert_eq!(gate.status()["pid"].as_u64(), Some(u64::from(gate.pid())));
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn an_admin_socket_that_cannot_be_made_is_named_with_the_reason() {
    let folder = Folder::new();
    let file = folder.write("file", "keep me");
    let of = |path: &str| format!("[admin]\nsocket = \"{path}\"");
    fails(
        &folder,
        &of(&file),
        &["admin.socket", "file", "not a socket"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "keep me");
    fails(
        &folder,
        &of(&format!("{file}/admin.sock")),
        &["admin.socket", "folder cannot be made"],
    );
    // Nobody may make files there, not even root.
    fails(
        &folder,
        &of("/proc/tidegate/admin.sock"),
        &["admin.socket", "/proc/tidegate"],
    );
    let left: Vec<_> = fs::read_dir(folder.as_ref() as &std::path::Path)
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(left.len(), 2, "the configuration and the file: {left:?}");
}

#[test]
fn a_state_directory_or_a_log_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    let file = folder.write("file", "");
    let state = format!("[state]\ndirectory = \"{file}/state\"");
    fails(
        &folder,
        &state,
        &["state.directory", "file/state", "irectory"],
    );
    let log = format!("[log]\nfile = \"{file}/access.log\"");
    fails(&folder, &log, &["log.file", "file/access.log", "irectory"]);
}

#[test]
fn damaged_state_is_told_set_aside_and_never_stops_the_start() {
    let app = App::echoing_paths();
    let record = r#"{"mode":"known-only","since":1,"until":null,"reason":null,"set_by":null,"before":"normal"}"#;
    for (name, contents) in [
        ("empty", Vec::new()),
        ("cut in half", record.as_bytes()[..40].to_vec()),
        ("garbage", vec![0xff; 100]),
        (
            "another mode",
            record.replace("known-only", "panic").into_bytes(),
        ),
        ("another shape", b"[1, {\"prefix\": 7}]".to_vec()),
        ("nested deeply", vec![b'['; 100_000]),
    ] {
        let folder = Folder::new();
        fs::create_dir(folder.path("state")).unwrap();
        folder.write("state/mode.json", &contents);
        folder.write("state/known.json", &contents);
        let gate = Gate::start_in(folder, &with_upstream(&[app.address], ""));
        assert_eq!(gate.get("/").status, 200, "{name}");
        for file in ["mode", "known"] {
            gate.says(&format!("{file}.json: damaged"));
            let aside = fs::read(gate.folder.path(&format!("state/{file}.damaged"))).unwrap();
            assert_eq!(aside, contents, "{name}: what could be recovered is kept");
        }
        gate.verb(&["mode", "observe"]).good();
        gate.verb(&["known", "add", "192.0.2.1"]).good();
        let gate = Gate::start_in(gate.kill(), &with_upstream(&[app.address], ""));
        assert_eq!(
            gate.status()["mode"]["mode"],
            "observe",
            "{name}: what is set next is kept"
        );
        assert_eq!(gate.status()["known"]["from_operators"], 1, "{name}");
    }
}

#[test]
fn state_that_is_huge_or_no_file_does_not_stop_the_start() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    fs::create_dir_all(folder.path("state/known.json")).unwrap();
    let huge = fs::File::create(folder.path("state/mode.json")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], ""));
    assert_eq!(gate.get("/").status, 200);
    gate.says("mode.json: cannot be read");
    gate.says("known.json: cannot be read");
}

#[test]
fn the_mode_and_the_added_customers_survive_a_restart_and_nobody_else_reads_them() {
    let app = App::echoing_paths();
    let open = "[known_only]\nexempt_paths = [\"/login\"]\n";
    let gate = Gate::before(&app, open);
    gate.verb(&["known", "add", "192.0.2.0/24", "--reason", "office"])
        .good();
    gate.verb(&["mode", "known-only", "--for", "1h", "--reason", "attack"])
        .good();
    for name in ["state/mode.json", "state/known.json"] {
        let mode = fs::metadata(gate.folder.path(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let gate = Gate::start_in(gate.kill(), &with_upstream(&[app.address], open));
    let status = gate.status();
    assert_eq!(status["mode"]["mode"], "known-only");
    assert_eq!(status["mode"]["reason"], "attack");
    assert_eq!(status["known"]["from_operators"], 1);
    assert_eq!(gate.get("/").status, 503);
}

#[test]
fn a_gate_without_metrics_serves() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let text = with_upstream(&[app.address], "[metrics]\naddress = \"off\"");
    let config = folder.configure(&text);
    let mut gate = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["run", "--config"])
        .arg(config)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let socket = folder.path("admin.sock");
    let health = || tidegate(&["healthcheck", "--admin", socket.to_str().unwrap()]).code;
    crate::harness::eventually("it serves", || health() == 0);
    let status = tidegate(&["status", "-o", "json", "--admin", socket.to_str().unwrap()]).json();
    assert!(status["metrics"].is_null(), "{status:#}");
    gate.kill().unwrap();
    gate.wait().unwrap();
}

#[test]
fn what_cannot_be_served_is_a_matter_of_usage() {
    for (arguments, part) in [
        (["--upstream", "nonsense"], "nonsense"),
        (["--upstream", "127.0.0.1:0"], "127.0.0.1:0"),
        (["--listen", "localhost"], "localhost"),
        (["--config", ""], "--config"),
    ] {
        let output = tidegate(&[&["run"], &arguments[..]].concat());
        assert_eq!(output.code, 2, "{output:#?}");
        assert!(output.stderr.contains(part), "no {part:?} in: {output:#?}");
    }
}

#[test]
fn run_without_a_file_watches_and_says_so() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let mut gate = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["run", "--listen", "127.0.0.1:0", "--upstream"])
        .arg(app.address.to_string())
        .env("TIDEGATE_ADMIN", folder.path("admin.sock"))
        .env("TIDEGATE_METRICS__ADDRESS", "off")
        .env("TIDEGATE_STATE__DIRECTORY", folder.path("state"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(gate.stderr.take().unwrap()).lines();
    let said: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.contains("INFO mode "))
        .collect();
    let address = said
        .iter()
        .find_map(|line| line.split_once("listening on http://"));
    let address = address
        .expect("the gate says where it listens")
        .1
        .parse()
        .unwrap();
    assert_eq!(Connection::open(address).get("/seen").text(), "/seen");
    assert!(said[0].contains("no configuration file"), "{said:#?}");
    gate.kill().unwrap();
    gate.wait().unwrap();
}
