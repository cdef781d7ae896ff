//! Known customers that are brought in by the thousand: all or none, with an end, across restarts.

use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::harness::{App, Folder, Gate, Load, Output, ROOMY, eventually, with_upstream};

fn gate() -> (App, Gate) {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &text());
    (app, gate)
}

fn text() -> String {
    format!("{ROOMY}max_tracked = 1000\n")
}

/// Imports these lines from a file.
fn import(gate: &Gate, lines: impl AsRef<[u8]>, more: &[&str]) -> Output {
    let file = gate.folder.write("customers.txt", lines);
    gate.verb(&[&["known", "import", &file], more].concat())
}

fn prefixes(gate: &Gate) -> u64 {
    gate.status()["known"]["prefixes"].as_u64().unwrap()
}

fn of_one(gate: &Gate, address: &str) -> serde_json::Value {
    let list = gate.verb(&["known", "list", address, "-o", "json"]).json();
    list["entries"].clone()
}

/// So many addresses, a line each.
fn many(count: u32) -> String {
    let line = |number: u32| format!("{}\n", Ipv4Addr::from_bits(0x0a00_0000 + number));
    (0..count).map(line).collect()
}

/// The files that imports are kept in.
fn kept(gate: &Gate) -> usize {
    let entries = fs::read_dir(gate.folder.path("state")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("known-import-"))
        .count()
}

#[test]
fn an_import_is_known_at_once_with_its_end_and_reason_and_survives() {
    let (app, gate) = gate();
    let said = import(
        &gate,
        "127.0.0.1\n# ours\n198.51.100.0/24\n198.51.100.0/24\n2001:db8::/48\n",
        &["--for", "2h", "--reason", "crm export"],
    );
    let said = said.good();
    assert!(said.starts_with("3 prefixes are known until "), "{said}");
    gate.says("3 prefixes imported by ");
    gate.verb(&["mode", "known-only"]).good();
    assert_eq!(gate.get("/").status, 200, "the importer's own address");
    let check = |gate: &Gate| {
        assert_eq!(prefixes(gate), 3);
        assert_eq!(gate.status()["known"]["from_operators"], 3);
        let entries = of_one(gate, "198.51.100.9");
        assert_eq!(entries[0]["source"], "import 1", "{entries:#}");
        assert_eq!(entries[0]["reason"], "crm export");
        assert!(entries[0]["until"].as_u64().is_some(), "{entries:#}");
        assert_eq!(entries.as_array().unwrap().len(), 1);
    };
    check(&gate);
    let gate = Gate::start_in(gate.kill(), &with_upstream(&[app.address], &text()));
    check(&gate);
}

#[test]
fn csv_and_the_standard_input_are_read_too() {
    let (_app, gate) = gate();
    import(&gate, "id,ip\n7,192.0.2.1\n8,192.0.2.2\n", &[]).good();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("--admin")
        .arg(gate.folder.path("admin.sock"))
        .args(["known", "import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"192.0.2.3\n192.0").unwrap();
    // In two pieces, and the gate answers others meanwhile.
    assert_eq!(prefixes(&gate), 2);
    input.write_all(b".2.4\n").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(prefixes(&gate), 4);
}

#[test]
fn what_is_wrong_is_named_by_its_line_and_nothing_is_changed() {
    let (_app, gate) = gate();
    let long_reason = "x".repeat(300);
    let far = many(50_000) + "nobody\n" + &many(50_000);
    for (lines, more, part) in [
        (
            "192.0.2.1\nnobody\n",
            &[][..],
            "customers.txt:2: found \"nobody\"",
        ),
        (&far, &[], "customers.txt:50001: found \"nobody\""),
        (
            "ip,name\n192.0.2.1,a\nx,b\n",
            &[],
            "customers.txt:3: found \"x\"",
        ),
        (
            "192.0.2.1\n192.0.2.2",
            &[],
            "customers.txt:2: found \"192.0.2.2\"; the last line has no end",
        ),
        ("", &[], "there is no prefix in it"),
        ("# none\n", &[], "there is no prefix in it"),
        ("10.0.0.1/8\n", &[], "10.0.0.0/8"),
        (
            "192.0.2.1\n",
            &["--reason", &long_reason],
            "at most 256 bytes",
        ),
    ] {
        let output = import(&gate, lines, more);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (1, ""),
            "{output:#?}"
        );
        assert!(
            output.stderr.contains(part),
            "no {part:?} in {}",
            output.stderr
        );
        assert_eq!(prefixes(&gate), 0, "{part}");
    }
    for (file, part) in [
        (gate.folder.path("missing.txt"), "No such file"),
        (gate.folder.path("state"), "it is a folder"),
    ] {
        let output = gate.verb(&["known", "import", file.to_str().unwrap()]);
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.contains(part), "{}", output.stderr);
    }
    assert_eq!(kept(&gate), 0);
}

#[test]
fn the_last_word_holds_between_imports_additions_and_removals() {
    let (app, gate) = gate();
    gate.verb(&["known", "add", "192.0.2.1", "--reason", "by hand"])
        .good();
    import(
        &gate,
        "192.0.2.1\n192.0.2.2\n192.0.2.3\n",
        &["--reason", "first"],
    )
    .good();
    assert_eq!(of_one(&gate, "192.0.2.1")[0]["reason"], "first");
    assert_eq!(prefixes(&gate), 3, "each once");
    import(&gate, "192.0.2.2\n", &["--reason", "second"]).good();
    assert_eq!(of_one(&gate, "192.0.2.2")[0]["reason"], "second");
    gate.verb(&["known", "add", "192.0.2.3", "--reason", "by hand"])
        .good();
    assert_eq!(of_one(&gate, "192.0.2.3")[0]["source"], "operator");
    let removed = gate.verb(&["known", "remove", "192.0.2.1"]).good();
    assert_eq!(removed, "192.0.2.1/32 is no longer known\n");
    let check = |gate: &Gate| {
        assert_eq!(prefixes(gate), 2);
        assert_eq!(of_one(gate, "192.0.2.1").as_array().unwrap().len(), 0);
        assert_eq!(of_one(gate, "192.0.2.2")[0]["source"], "import 2");
        assert_eq!(of_one(gate, "192.0.2.3")[0]["reason"], "by hand");
        assert_eq!(kept(gate), 1, "what is empty is not kept");
    };
    check(&gate);
    let again = gate.verb(&["known", "remove", "192.0.2.1"]);
    assert!(again.stderr.contains("was not added"), "{again:#?}");
    let gate = Gate::start_in(gate.kill(), &with_upstream(&[app.address], &text()));
    check(&gate);
}

#[test]
fn an_import_ends_by_itself() {
    let (_app, gate) = gate();
    import(&gate, many(100), &["--for", "1s"]).good();
    eventually("the end", || prefixes(&gate) == 0);
    eventually("its file to go", || kept(&gate) == 0);
}

#[test]
fn a_kept_import_that_is_damaged_is_set_aside_and_stops_nothing() {
    let (app, gate) = gate();
    for number in 1..=4 {
        import(
            &gate,
            format!("192.0.2.{number}\n198.51.100.{number}\n"),
            &[],
        )
        .good();
    }
    let folder = gate.kill();
    let path = |number: u32| format!("state/known-import-{number}.txt");
    let text_of = |number| fs::read_to_string(folder.path(&path(number))).unwrap();
    let cut = text_of(1)
        .trim_end()
        .rsplit_once('\n')
        .unwrap()
        .0
        .to_owned()
        + "\n";
    folder.write(&path(1), cut);
    folder.write(&path(2), text_of(2).trim_end());
    folder.write(&path(3), "192.0.2.3\n");
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &text()));
    assert_eq!(prefixes(&gate), 2, "{:#?}", gate.messages());
    for number in 1..=3 {
        let aside = gate
            .folder
            .path(&format!("state/known-import-{number}.damaged"));
        assert!(aside.exists(), "{number}: {:#?}", gate.messages());
    }
    import(&gate, "192.0.2.9\n", &[]).good();
    assert_eq!(prefixes(&gate), 3);
}

#[test]
fn a_pipe_in_the_place_of_a_kept_import_does_not_hold_the_start_up() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    fs::create_dir(folder.path("state")).unwrap();
    let pipe = folder.path("state/known-import-1.txt");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success(), "mkfifo {}", pipe.display());
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &text()));
    assert_eq!(gate.get("/").status, 200);
    gate.says("not a regular file");
}

/// The beginning of an import, with a body that is said to be longer than it is.
fn begun(gate: &Gate) -> UnixStream {
    let mut stream = UnixStream::connect(gate.folder.path("admin.sock")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let head =
        "POST /v1/known/import?name=x HTTP/1.1\r\nHost: admin\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"192.0.2.1\n").unwrap();
    stream
}

#[test]
fn an_import_that_does_not_come_to_its_end_changes_nothing() {
    let (_app, gate) = gate();
    let first = begun(&gate);
    let mut refused = Output {
        code: 0,
        stdout: String::new(),
        stderr: String::new(),
    };
    eventually("the first to be under way", || {
        refused = import(&gate, "192.0.2.2\n", &[]);
        refused.code == 1
    });
    assert!(
        refused.stderr.contains("another import is under way"),
        "{refused:#?}"
    );
    let before = prefixes(&gate);
    drop(first);
    eventually("the next to be let in", || {
        import(&gate, "192.0.2.3\n", &[]).code == 0
    });
    assert_eq!(of_one(&gate, "192.0.2.1").as_array().unwrap().len(), 0);
    assert!(prefixes(&gate) > before);
}

#[test]
fn what_is_asked_for_wrongly_is_refused() {
    let (_app, gate) = gate();
    let mut stream = UnixStream::connect(gate.folder.path("admin.sock")).unwrap();
    let head = "POST /v1/known/import?seconds=ever HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 400 ") && text.contains("seconds"),
        "{text}"
    );
}

#[test]
fn a_large_import_under_load_holds_up_nobody() {
    let (_app, gate) = gate();
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    gate.verb(&["mode", "known-only"]).good();
    let load = Load::from(&["127.0.0.1"], &gate);
    load.wait_for(10);
    let answered = thread::scope(|scope| {
        let importing = scope.spawn(|| import(&gate, many(200_000), &[]).good());
        let mut answered = 0;
        while !importing.is_finished() {
            gate.status();
            gate.verb(&["mode"]).good();
            answered += 1;
        }
        importing.join().unwrap();
        answered
    });
    assert!(answered > 0, "no status was asked for meanwhile");
    assert_eq!(prefixes(&gate), 200_001);
    assert_eq!(of_one(&gate, "10.3.13.63")[0]["source"], "import 1");
    let tally = load.stop();
    assert_eq!(tally.other_than(200), 0, "{tally:?}");
}
