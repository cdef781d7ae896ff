//! The admin side: its verbs, its socket, and that nobody who abuses it disturbs it or the traffic.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::{Command, Stdio};

use crate::harness::{App, Folder, Gate, eventually, tidegate};

mod api;
mod crowds;
mod described;
mod over_tcp;

fn gate() -> (App, Gate) {
    let app = App::echoing_paths();
    // Few buckets: the status counts them, which takes its time without optimisation.
    let gate = Gate::before(
        &app,
        "[client]\nmax_tracked = 1000\n[connections]\ntotal = 2000",
    );
    (app, gate)
}

#[test]
fn without_a_gate_every_verb_says_so_and_fails() {
    let folder = Folder::new();
    let absent = folder.path("absent.sock");
    let stale = folder.path("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let file = folder.path("file");
    fs::write(&file, "").unwrap();
    for path in [absent, stale, file] {
        let path = path.to_str().unwrap();
        for verb in [
            &["status"][..],
            &["mode"],
            &["mode", "normal"],
            &["known", "list"],
            &["known", "add", "192.0.2.1"],
            &["reload"],
            &["healthcheck"],
        ] {
            let output = tidegate(&[&["--admin", path], verb].concat());
            assert_eq!(
                (output.code, output.stdout.as_str()),
                (1, ""),
                "{verb:?}: {output:#?}"
            );
            for part in ["no gate answers at", path, "tidegate run", "--admin"] {
                assert!(
                    output.stderr.contains(part),
                    "no {part:?} in {}",
                    output.stderr
                );
            }
        }
    }
}

#[test]
fn words_that_are_not_understood_are_a_matter_of_usage() {
    for (arguments, part) in [
        (&["mode", "panic"][..], "known-only"),
        (&["mode", "normal", "--for", "soon"], "\"5s\""),
        (&["mode", "normal", "--for", "0s"], "1s"),
        (&["mode", "normal", "--for", "1ms"], "1s"),
        (&["mode", "normal", "--for", "-5m"], "-5"),
        (&["mode", "--for", "5m"], "<MODE>"),
        (&["mode", "--reason", "x"], "<MODE>"),
        (&["known", "add"], "<ADDRESS>"),
        (&["known", "list", "somewhere"], "somewhere"),
        (&["known", "add", "192.0.2.1", "--for", "ever"], "\"5s\""),
        (&["stauts"], "status"),
        (&["validate"], "<FILE>"),
        (&["status", "-o", "xml"], "json"),
        (&["completions", "clay"], "bash"),
        (&[], "Usage"),
    ] {
        let output = tidegate(arguments);
        assert_eq!(output.code, 2, "{arguments:?}: {output:#?}");
        assert!(
            output.stderr.contains(part),
            "{arguments:?}: no {part:?} in {}",
            output.stderr
        );
    }
}

#[test]
fn customers_are_added_listed_changed_and_removed() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let file = folder.write("ours.txt", "198.51.100.0/24\n");
    let gate = Gate::before(&app, &format!("[known]\nfiles = [\"{file}\"]"));
    let added = gate.verb(&[
        "known",
        "add",
        "192.0.2.0/24",
        "--for",
        "2h",
        "--reason",
        "office",
    ]);
    assert!(added.good().starts_with("192.0.2.0/24 is known until "));
    gate.verb(&["known", "add", "192.0.2.0/24", "--reason", "for good"])
        .good();
    gate.verb(&["known", "add", "::ffff:203.0.113.9"]).good();
    let list = gate.verb(&["known", "list", "-o", "json"]).json();
    assert_eq!(list["prefixes"], 3, "added twice is known once: {list:#}");
    assert_eq!(list["entries"][0]["prefix"], "192.0.2.0/24");
    assert_eq!(list["entries"][0]["reason"], "for good");
    assert!(
        list["entries"][0]["until"].is_null(),
        "the later word holds: {list:#}"
    );
    assert_eq!(
        list["entries"][1]["prefix"], "203.0.113.9/32",
        "IPv4 in its own form"
    );
    assert_eq!(list["entries"][2]["source"], file.as_str());
    let of_one = gate.verb(&["known", "list", "192.0.2.77"]).good();
    assert_eq!(of_one.lines().count(), 1, "{of_one}");
    let of_none = gate.verb(&["known", "list", "192.0.3.1"]);
    assert!(
        of_none.stderr.contains("192.0.3.1 is not known"),
        "{of_none:#?}"
    );
    assert_eq!(
        gate.verb(&["known", "remove", "192.0.2.0/24"]).good(),
        "192.0.2.0/24 is no longer known\n"
    );
    for (arguments, parts) in [
        (["add", "example.com"], ["\"example.com\"", "192.0.2.7"]),
        (["add", ""], ["\"\"", "192.0.2.7"]),
        (["add", "10.0.0.1/8"], ["10.0.0.0/8", "10.0.0.1"]),
        (["add", "192.0.2.0/33"], ["192.0.2.0/33", "198.51.100.0/24"]),
        (["remove", "192.0.2.0/24"], ["was not added", "known list"]),
        (
            ["remove", "198.51.100.0/24"],
            ["stands in a file", "remove its line"],
        ),
        (["remove", "nonsense"], ["nonsense", "192.0.2.7"]),
    ] {
        let output = gate.verb(&[&["known"], &arguments[..]].concat());
        assert_eq!(output.code, 1, "{arguments:?}: {output:#?}");
        for part in parts {
            assert!(
                output.stderr.contains(part),
                "{arguments:?}: no {part:?} in {}",
                output.stderr
            );
        }
    }
    assert_eq!(gate.status()["known"]["prefixes"], 2);
}

#[test]
fn the_status_tells_what_is_asked_first() {
    let (_app, gate) = gate();
    gate.get("/");
    gate.send("TRACE / HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("both are counted", || {
        gate.status()["requests"]["refused"] == 1
    });
    let status = gate.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["draining"], false);
    assert_eq!(status["mode"]["mode"], "normal");
    assert_eq!(status["requests"]["forwarded"], 1);
    assert_eq!(status["requests"]["failed"], 0);
    assert_eq!(status["connections"]["accepted"], 2);
    assert_eq!(status["connections"]["limit"], 2000);
    assert!(status["clients"]["capacity"].as_u64() >= Some(1000));
    assert_eq!(status["upstreams"][0]["name"], "app");
    assert!(status["upstreams"][0]["addresses"][0]["address"].is_string());
    assert_eq!(status["upstreams"][0]["succeeded"], 1);
    assert_eq!(status["listeners"][0]["address"], gate.address.to_string());
    assert_eq!(status["metrics"], gate.metrics.to_string());
    assert_eq!(status["log"]["lost"], 0);
    let text = gate.verb(&["status"]).good();
    for part in [
        "serving",
        "normal",
        "1, 1, 0 in all",
        "of 2000, the last 100 for known clients; 2 accepted",
        "app: 1 server; 1 answered",
        "known ",
        "lines written",
        &gate.address.to_string(),
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert_eq!(gate.verb(&["healthcheck"]).good(), "serving\n");
    assert_eq!(
        gate.verb(&["healthcheck", "-o", "json"]).json()["state"],
        "serving"
    );
}

#[test]
fn generated_files_are_what_they_say() {
    let schema = tidegate(&["schema"]).json();
    assert!(schema["properties"]["listener"].is_object(), "{schema:#}");
    assert!(
        tidegate(&["completions", "bash"])
            .good()
            .contains("complete -F _tidegate")
    );
    let man = tidegate(&["man"]).good();
    assert!(
        man.contains(".TH tidegate") && man.contains("healthcheck"),
        "{man}"
    );
    assert_eq!(
        tidegate(&["--version"]).good(),
        format!("tidegate {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn init_writes_a_valid_configuration_and_overwrites_nothing() {
    let folder = Folder::new();
    let file = folder.path("new.toml").to_str().unwrap().to_owned();
    let output = tidegate(&["init", &file]);
    assert!(
        output.stderr.contains(&format!("tidegate validate {file}")),
        "{output:#?}"
    );
    tidegate(&["validate", &file]).good();
    fs::write(&file, "mine").unwrap();
    let output = tidegate(&["init", &file]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(output.stderr.contains("exists already"), "{output:#?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert!(tidegate(&["init", "-"]).good().contains("[[listener]]"));
    let output = tidegate(&["init", &format!("{file}/x.toml")]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(output.stderr.contains("new.toml/x.toml"), "{output:#?}");
}

#[test]
fn the_socket_is_its_owners_alone_and_gone_with_the_gate() {
    let (_app, mut gate) = gate();
    let path = gate.folder.path("admin.sock");
    let meta = fs::metadata(&path).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    gate.signal("TERM");
    assert!(gate.wait().success());
    assert!(!path.exists(), "the socket is left behind");
}

#[test]
fn when_nothing_can_be_saved_a_change_holds_and_says_that_it_will_not_last() {
    let (_app, gate) = gate();
    let state = gate.folder.path("state");
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "not a folder any more").unwrap();
    for arguments in [
        &["known", "add", "127.0.0.1"][..],
        &["mode", "known-only", "--for", "1s"],
    ] {
        let output = gate.verb(arguments);
        assert!(output.stderr.starts_with("warning: "), "{output:#?}");
        assert!(
            output.stderr.contains("would not survive a restart"),
            "{output:#?}"
        );
        output.good();
    }
    assert_eq!(gate.status()["mode"]["mode"], "known-only");
    assert_eq!(gate.get("/").status, 200, "the new customer is known");
    eventually("the mode ends by itself", || {
        gate.status()["mode"]["mode"] == "normal"
    });
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let (_app, gate) = gate();
    let admin = gate.folder.path("admin.sock");
    for verb in [
        &["status"][..],
        &["status", "-o", "json"],
        &["mode"],
        &["known", "list"],
        &["schema"],
        &["man"],
        &["completions", "bash"],
        &["init", "-"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(verb)
            .env("TIDEGATE_ADMIN", &admin)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !said.contains("panicked") && !said.contains("ipe"),
            "{verb:?}: {said}"
        );
        assert_eq!(output.status.code(), Some(0), "{verb:?}: {said}");
    }
}
