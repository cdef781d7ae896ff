//! Files that are not good, and what was known before.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::*;

/// Makes something at a path where nothing is.
type Make = fn(&Path);

/// Puts something in a file's place in one step, so that no look at it can find less than that there.
fn replace(path: &Path, make: Make) {
    let beside = path.with_extension("next");
    make(&beside);
    if fs::symlink_metadata(&beside).is_err() {
        return fs::remove_file(path).unwrap();
    }
    renameat2(
        AT_FDCWD,
        &beside,
        AT_FDCWD,
        path,
        RenameFlags::RENAME_EXCHANGE,
    )
    .unwrap();
    fs::remove_file(beside).unwrap();
}

/// Replaces a file by something that is not good, and what is said of it. Nothing of it may be taken, and
/// it is told once; when the file is good again, it is taken.
fn is_not_taken(name: &str, make: Make, part: &str) {
    let (_app, gate) = gate_of(&lines(5));
    let path = gate.folder.path("known.txt");
    replace(&path, make);
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
    gate.says(&format!("{told}{problem}"));
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
    gate.says_once(told);
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
