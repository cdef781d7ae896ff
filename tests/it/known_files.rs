//! Files of known customers while the gate runs: a change is taken over by itself when it is good, and
//! the customers before stay when it is not.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::harness::{App, Folder, Gate, Load, ROOMY, eventually, tidegate, with_upstream};

/// A gate that reads these files of its folder.
fn gate_with(folder: Folder, app: &App, patterns: &str) -> Gate {
    let text = format!("{ROOMY}max_tracked = 1000\n[known]\nfiles = [{patterns}]\n");
    Gate::start_in(folder, &with_upstream(&[app.address], &text))
}

fn gate_of(lines: &str) -> (App, Gate) {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.write("known.txt", lines);
    let gate = gate_with(folder, &app, "\"known.txt\"");
    (app, gate)
}

fn prefixes(gate: &Gate) -> u64 {
    gate.status()["known"]["prefixes"].as_u64().unwrap()
}

#[track_caller]
fn eventually_knows(gate: &Gate, count: u64) {
    eventually(&format!("{count} known prefixes"), || {
        prefixes(gate) == count
    });
}

fn is_known(gate: &Gate, address: &str) -> bool {
    gate.verb(&["known", "list", address])
        .good()
        .contains(address)
}

fn said(gate: &Gate, text: &str) -> usize {
    let messages = gate.messages();
    messages.iter().filter(|line| line.contains(text)).count()
}

/// So many lines with an address each.
fn lines(count: u8) -> String {
    (1..=count)
        .map(|last| format!("192.0.2.{last}\n"))
        .collect()
}

#[test]
fn an_entry_is_told_with_its_file_and_line() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let text = folder.write("a.txt", "# ours\n\n192.0.2.1\n198.51.100.0/24 # office\n");
    let csv = folder.write(
        "b.csv",
        "# exported\n\nid;\"IP\" ;note\r\n1;192.0.2.7;\"says \"\"hi\"\",\ntwice; # really\"\r\n\n\
         2;;nothing\r\n3; 2001:db8::/48 ;caf\u{e9}\r\n",
    );
    folder.write("c.csv", "cidr\n203.0.113.0/24\n");
    folder.write(
        "d.csv",
        "name,Network\n\"Office, main\",\"203.0.112.0/24\"\n",
    );
    folder.write("e.csv", "\u{feff}name\tprefix\nx\t203.0.111.1/32\n");
    let gate = gate_with(folder, &app, "\"*.txt\", \"*.csv\"");
    assert_eq!(prefixes(&gate), 7);
    for (address, place) in [
        ("192.0.2.1", format!("{text}:3")),
        ("198.51.100.77", format!("{text}:4")),
        ("192.0.2.7", format!("{csv}:4")),
        ("2001:db8::9", format!("{csv}:8")),
        ("203.0.112.5", "d.csv:2".to_owned()),
        ("203.0.111.1", "e.csv:2".to_owned()),
    ] {
        let list = gate.verb(&["known", "list", address]).good();
        assert!(list.trim_end().ends_with(&place), "{address}: {list}");
        let explained = gate.verb(&["explain", address]).good();
        assert!(explained.contains(&place), "{address}: {explained}");
    }
    let list = gate
        .verb(&["known", "list", "192.0.2.7", "-o", "json"])
        .json();
    assert_eq!(list["entries"][0]["line"], 4);
    assert_eq!(list["entries"][0]["source"], csv.as_str());
}

#[test]
fn csv_that_is_wrong_is_named_by_its_line_and_nothing_of_it_is_taken() {
    let folder = Folder::new();
    let text = "[known]\nfiles = [\"known.csv\"]\n";
    let config = folder.configure(&with_upstream(&["127.0.0.1:9".parse().unwrap()], text));
    let long = format!("ip,note\n192.0.2.1,\"{}\"\n", "x".repeat(70_000));
    for (contents, line, part) in [
        ("ip,note\n192.0.2.1,a\nexample.com,b\n", 3, "192.0.2.7"),
        (
            "ip,note\n192.0.2.1,a\n192.0.2.2\n",
            3,
            "1 fields where the header has 2",
        ),
        ("ip,note\n192.0.2.1,a,b\n", 2, "3 fields"),
        (
            "ip,note\n192.0.2.1,\"a\n192.0.2.2,b\n",
            2,
            "not closed before the end",
        ),
        ("ip,note\n192.0.2.1,a\n192.0.2.2,b", 3, "no end"),
        ("ip,note", 1, "no end"),
        ("ip,cidr\n192.0.2.1,192.0.2.1\n", 1, "several columns"),
        (
            "name,host\na,192.0.2.1\n",
            1,
            "names its columns, one of them address",
        ),
        ("ip,note\n10.0.0.1/8,\n", 2, "10.0.0.0/8"),
        ("ip,note\r192.0.2.1,a\r\n", 1, "such as 192.0.2.7"),
        ("ip,note\n192.0.2.1,a\rb\n", 2, "carriage return"),
        (&long, 2, "65536 bytes"),
    ] {
        folder.write("known.csv", contents);
        let output = tidegate(&["validate", config.to_str().unwrap()]);
        assert_eq!(output.code, 2, "{contents:.60?}: {output:#?}");
        let place = format!("known.csv:{line}:");
        assert!(
            output.stderr.contains(&place) && output.stderr.contains(part),
            "{contents:.60?}: no {place:?} with {part:?} in {}",
            output.stderr
        );
    }
    folder.write("known.csv", b"ip,note\n\xff\xfe,\n");
    let output = tidegate(&["validate", config.to_str().unwrap()]);
    assert!(output.stderr.contains("not UTF-8"), "{output:#?}");
    // A field that nobody reads may be in any encoding.
    folder.write("known.csv", b"ip,note\n192.0.2.1,caf\xe9\n");
    tidegate(&["validate", config.to_str().unwrap()]).good();
}

#[test]
fn a_change_is_taken_over_by_itself() {
    let (_app, gate) = gate_of("192.0.2.1\n");
    let path = gate.folder.path("known.txt");
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"192.0.2.2\n").unwrap();
    eventually_knows(&gate, 2);
    assert!(
        gate.has_said("taken over: known prefixes: 1 -> 2 ("),
        "{:#?}",
        gate.messages()
    );
    assert!(gate.has_said("known.txt 1 -> 2)"), "{:#?}", gate.messages());
    assert!(is_known(&gate, "192.0.2.2"));
    // As editors and `mv` do it.
    gate.folder.write("beside.txt", lines(3));
    fs::rename(gate.folder.path("beside.txt"), &path).unwrap();
    eventually_knows(&gate, 3);
    // As `cp` and a shell do it, with a number that is the same.
    gate.folder
        .write("known.txt", "192.0.2.1\n192.0.2.2\n192.0.2.9\n");
    eventually("the other address", || is_known(&gate, "192.0.2.9"));
    assert!(!is_known(&gate, "192.0.2.3"));
    let taken = "tidegate_known_files_changes_total{outcome=\"taken\"}";
    assert_eq!(gate.metric(taken), 3.0);
    assert_eq!(gate.metric("tidegate_known_files_rejected"), 0.0);
}

#[test]
fn a_file_that_keeps_its_date_is_read_all_the_same() {
    let (_app, gate) = gate_of("192.0.2.1\n");
    let path = gate.folder.path("known.txt");
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    gate.folder.write("known.txt", "192.0.2.2\n");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(written)
        .unwrap();
    eventually("the other address", || is_known(&gate, "192.0.2.2"));
}

#[test]
fn what_a_pattern_matches_comes_and_goes() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    fs::create_dir_all(folder.path("d")).unwrap();
    folder.write("d/a.txt", lines(4));
    let gate = gate_with(folder, &app, "\"d/*.txt\"");
    gate.folder.write("d/b.txt", "198.51.100.1\n");
    eventually_knows(&gate, 5);
    assert!(gate.has_said("b.txt is new, 1"), "{:#?}", gate.messages());
    fs::remove_file(gate.folder.path("d/b.txt")).unwrap();
    eventually_knows(&gate, 4);
    assert!(gate.has_said("b.txt is gone, 1"), "{:#?}", gate.messages());
    fs::rename(
        gate.folder.path("d/a.txt"),
        gate.folder.path("d/renamed.txt"),
    )
    .unwrap();
    eventually("the new name", || gate.has_said("renamed.txt is new, 4"));
    assert_eq!(prefixes(&gate), 4);
}

#[test]
fn a_link_that_is_turned_is_followed() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    // As Kubernetes mounts a ConfigMap: the file is a link through a folder that is a link.
    for (version, count) in [("v1", 1), ("v2", 2)] {
        fs::create_dir(folder.path(version)).unwrap();
        folder.write(&format!("{version}/known.txt"), lines(count));
    }
    symlink("v1", folder.path("data")).unwrap();
    symlink("data/known.txt", folder.path("known.txt")).unwrap();
    let gate = gate_with(folder, &app, "\"known.txt\"");
    symlink("v2", gate.folder.path("next")).unwrap();
    fs::rename(gate.folder.path("next"), gate.folder.path("data")).unwrap();
    eventually_knows(&gate, 2);
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let (_app, gate) = gate_of(&lines(2));
    let mut file = File::create(gate.folder.path("known.txt")).unwrap();
    for last in 1..=12 {
        write!(file, "192.0.2.").unwrap();
        thread::sleep(Duration::from_millis(200));
        writeln!(file, "{last}").unwrap();
    }
    drop(file);
    eventually_knows(&gate, 12);
    assert_eq!(said(&gate, "taken over"), 1, "{:#?}", gate.messages());
}

/// Puts something in a file's place.
type Make = fn(&Path);

/// Replaces a file by something that is not good, and what is said of it. Nothing of it may be taken, and
/// it is told once; when the file is good again, it is taken.
fn is_not_taken(name: &str, make: Make, part: &str) {
    let (_app, gate) = gate_of(&lines(5));
    let path = gate.folder.path("known.txt");
    fs::remove_file(&path).unwrap();
    make(&path);
    let rejected = || gate.metric("tidegate_known_files_rejected") == 1.0;
    eventually(&format!("{name}: the metric"), rejected);
    let told = "files of known customers not taken over, the 5 prefixes before stay: ";
    let problem = gate.status()["known"]["files_problem"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        problem.contains("known.txt") && problem.contains(part),
        "{name}: {problem}"
    );
    assert!(
        gate.has_said(&format!("{told}{problem}")),
        "{name}: {:#?}",
        gate.messages()
    );
    let status = gate.verb(&["status"]).good();
    assert!(
        status.contains("FILES NOT TAKEN OVER: "),
        "{name}: {status}"
    );
    // One that was under way already, and a whole one.
    let looks = || gate.metric("tidegate_known_files_looks_total");
    let before = looks();
    eventually(&format!("{name}: two more looks"), || {
        looks() >= before + 2.0
    });
    assert_eq!(said(&gate, told), 1, "{name}: {:#?}", gate.messages());
    assert_eq!(prefixes(&gate), 5, "{name}");
    assert!(is_known(&gate, "192.0.2.5"), "{name}");
    assert_eq!(gate.get("/").status, 200, "{name}");
    let count = gate.metric("tidegate_known_files_changes_total{outcome=\"rejected\"}");
    assert_eq!(count, 1.0, "{name}");
    let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
    gate.folder.write("known.txt", lines(6));
    eventually_knows(&gate, 6);
    assert_eq!(gate.metric("tidegate_known_files_rejected"), 0.0, "{name}");
    assert!(gate.status()["known"]["files_problem"].is_null(), "{name}");
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success(), "mkfifo {}", path.display());
}

fn unreadable(path: &Path) {
    fs::write(path, lines(5)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(path).is_ok() {
        // Nothing is unreadable for this user but what is no file.
        fs::remove_file(path).unwrap();
        symlink("/proc/self/mem/none", path).unwrap();
    }
}

#[test]
fn what_is_not_good_is_not_taken_and_told_once() {
    let cases: [(&str, Make, &str); 12] = [
        ("empty", |path| fs::write(path, "").unwrap(), "only 0 of 5"),
        (
            "only comments",
            |path| fs::write(path, "# none\n").unwrap(),
            "only 0 of 5",
        ),
        (
            "shrunk",
            |path| fs::write(path, lines(2)).unwrap(),
            "only 2 of 5",
        ),
        (
            "cut",
            |path| fs::write(path, lines(5).trim_end()).unwrap(),
            ":5: ",
        ),
        (
            "a bad line",
            |path| fs::write(path, lines(5) + "nobody\n").unwrap(),
            ":6: found \"nobody\"",
        ),
        ("gone", |_| {}, "does not exist"),
        (
            "a folder",
            |path| fs::create_dir(path).unwrap(),
            "it is a folder",
        ),
        (
            "a link loop",
            |path| symlink("known.txt", path).unwrap(),
            "symbolic links",
        ),
        (
            "a dangling link",
            |path| symlink("nowhere", path).unwrap(),
            "known.txt",
        ),
        ("a named pipe", pipe, "not a regular file"),
        ("unreadable", unreadable, "cannot be read"),
        (
            "1 GiB",
            |path| File::create(path).unwrap().set_len(1 << 30).unwrap(),
            "larger than 268435456 bytes",
        ),
    ];
    thread::scope(|scope| {
        let running =
            cases.map(|(name, make, part)| scope.spawn(move || is_not_taken(name, make, part)));
        for case in running {
            case.join().expect("the case holds");
        }
    });
}

#[test]
fn one_file_that_is_not_good_keeps_all_of_them_as_they_were() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.write("a.txt", lines(3));
    folder.write("b.txt", "198.51.100.1\n");
    let gate = gate_with(folder, &app, "\"?.txt\"");
    gate.folder.write("a.txt", "");
    gate.folder.write(
        "b.txt",
        "198.51.100.1\n198.51.100.2\n198.51.100.3\n198.51.100.4\n",
    );
    eventually("the refusal", || {
        gate.has_said("only 0 of 3 prefixes are left in")
    });
    assert_eq!(prefixes(&gate), 4);
    let output = gate.verb(&["reload"]);
    assert!(output.stderr.contains("--force"), "{output:#?}");
    gate.verb(&["reload", "--force"]).good();
    assert_eq!(prefixes(&gate), 4);
    assert!(is_known(&gate, "198.51.100.4"));
    assert_eq!(gate.metric("tidegate_known_files_rejected"), 0.0);
    // What was insisted on is what the next change is compared with.
    gate.folder.write("a.txt", "192.0.2.9\n");
    eventually_knows(&gate, 5);
}

#[test]
fn a_change_that_is_taken_back_is_no_problem_any_more() {
    let (_app, gate) = gate_of(&lines(5));
    let [path, aside] = ["known.txt", "aside.txt"].map(|name| gate.folder.path(name));
    fs::rename(&path, &aside).unwrap();
    eventually("the refusal", || {
        gate.metric("tidegate_known_files_rejected") == 1.0
    });
    fs::rename(&aside, &path).unwrap();
    eventually("the end of it", || {
        gate.metric("tidegate_known_files_rejected") == 0.0
    });
    assert_eq!(prefixes(&gate), 5);
}

#[test]
fn files_that_change_under_load_disturb_nobody() {
    let (_app, gate) = gate_of(&lines(5));
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    gate.verb(&["mode", "known-only"]).good();
    let load = Load::from(&["127.0.0.1"], &gate);
    for count in [20_000_u32, 30_000] {
        let line =
            |number: u32| format!("{}\n", std::net::Ipv4Addr::from_bits(0x0a00_0000 + number));
        gate.folder
            .write("known.txt", (0..count).map(line).collect::<String>());
        eventually_knows(&gate, u64::from(count) + 1);
        load.wait_for(20);
    }
    let tally = load.stop();
    assert_eq!(tally.other_than(200), 0, "{tally:?}");
}
