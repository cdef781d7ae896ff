//! `tidegate demo`: the story holds on this machine, and nothing stays of it, however it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::harness::{PATIENCE, eventually};

/// A demo of which everything temporary is in a folder of the test.
struct Demo {
    process: Child,
    stdout: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Demo {
    /// Ten times as fast as it is told to people.
    fn start(arguments: &[&str]) -> Demo {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["demo", "--pace", "0.1"])
            .args(arguments)
            .env("TMPDIR", folder.path())
            // Another gate's, which the demo must leave alone.
            .env("TIDEGATE_ADMIN", "/nonexistent/admin.sock")
            .env("TIDEGATE_METRICS__ADDRESS", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Demo {
            process,
            stdout,
            folder,
        }
    }

    /// What the demo has left, or has not yet removed.
    fn leftovers(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The process of its gate, once that serves.
    fn gate(&self) -> u64 {
        let mut gate = None;
        eventually("the demo's gate", || {
            gate = self
                .leftovers()
                .first()
                .and_then(|folder| pid_behind(folder));
            gate.is_some()
        });
        gate.unwrap()
    }

    /// Reads the story up to a line with this text, and gives what has been read.
    fn read_to(&mut self, text: &str) -> String {
        let mut read = String::new();
        while !read.contains(text) {
            let length = self.stdout.read_line(&mut read).unwrap();
            assert!(length > 0, "the story ended without {text:?}: {read}");
        }
        read
    }

    fn assert_nothing_is_left(&self, gate: u64) {
        assert!(self.leftovers().is_empty(), "{:?}", self.leftovers());
        assert!(!is_running(gate), "the gate outlives the demo");
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success());
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the demo did not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Everything that it has printed and has not been read.
    fn rest(&mut self) -> String {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pid_behind(folder: &Path) -> Option<u64> {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["status", "-o", "json", "--admin"])
        .arg(folder.join("admin.sock"))
        .output()
        .unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    status["pid"].as_u64()
}

fn is_running(pid: u64) -> bool {
    let status = Command::new("kill")
        .args(["-s", "0", &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    status.unwrap().success()
}

/// The cells of a row of the summary, for each act.
fn row<'story>(story: &'story str, name: &str) -> Vec<&'story str> {
    let (_, summary) = story.split_once("What was measured").expect("a summary");
    let row = summary.lines().find_map(|line| line.split_once(name));
    let (_, cells) = row.unwrap_or_else(|| panic!("no {name:?} in {summary}"));
    cells
        .split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect()
}

fn assert_story_holds(story: &str) {
    assert!(story.contains(" requests, 0 failed."), "{story}");
    assert_eq!(row(story, "failed"), ["0"; 6], "{story}");
    // The first such row is the visitors'.
    let flood = story.split_once("flood     sent").unwrap().1;
    let flood = format!("What was measured{flood}");
    let refused = row(&flood, "refused");
    assert_eq!((refused[0], refused[3]), ("-", "100.0 %"), "{story}");
    assert_ne!(refused[1], "0.0 %", "{story}");
    assert_eq!(row(story, "reached the app")[3], "0", "{story}");
    for told in [
        "unknown so far: 503 at /, 200 at /login",
        "known: 200 at /\n",
        "given at 127.30.0.1: 200 at /\n",
        "$ CARGO preview known-only",
        "requests let in were refused\n",
        "tidegate: mode normal: no sign of an attack",
    ] {
        let told = told.replace("CARGO", env!("CARGO_BIN_EXE_tidegate"));
        assert!(story.contains(&told), "no {told:?} in {story}");
    }
    let escapes = story.contains('\x1b');
    assert!(!escapes, "a pipe gets no colour: {story}");
}

#[test]
fn known_customers_are_served_while_the_flood_is_refused_and_nothing_stays() {
    let mut demo = Demo::start(&["--once"]);
    let gate = demo.gate();
    let story = demo.rest();
    assert_eq!(demo.wait().code(), Some(0), "{story}");
    assert_story_holds(&story);
    demo.assert_nothing_is_left(gate);
}

#[test]
fn where_loopback_has_one_address_the_story_is_the_same() {
    let mut demo = Demo::start(&["--once", "--one-address"]);
    let story = demo.rest();
    assert_eq!(demo.wait().code(), Some(0), "{story}");
    assert!(story.contains("note: loopback has one address"), "{story}");
    assert_story_holds(&story);
}

#[test]
fn ctrl_c_ends_it_in_the_middle_of_the_story() {
    let mut demo = Demo::start(&["--once"]);
    demo.read_to("2. ");
    let gate = demo.gate();
    demo.signal("INT");
    assert_eq!(demo.wait().code(), Some(130));
    assert!(demo.rest().contains("their folder is removed"));
    demo.assert_nothing_is_left(gate);
}

#[test]
fn after_the_story_the_gate_stays_until_ctrl_c() {
    let mut demo = Demo::start(&[]);
    let story = demo.read_to("Edit, and then type");
    let gate = demo.gate();
    let (_, typed) = story.split_once("Type, in another terminal").unwrap();
    let socket = typed
        .lines()
        .find_map(|line| line.split_once("TIDEGATE_ADMIN="));
    let verb = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(arguments)
            .env("TIDEGATE_ADMIN", socket.unwrap().1)
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(verb(&["status"]).contains("serving"));
    assert!(verb(&["known", "list"]).contains("127.10.0.1/32"));
    let switched = verb(&["mode", "known-only", "--for", "5m", "--reason", "try"]);
    assert!(switched.contains("known-only"), "{switched}");
    demo.signal("INT");
    assert_eq!(demo.wait().code(), Some(0));
    demo.assert_nothing_is_left(gate);
}

#[test]
fn when_the_demo_is_killed_its_gate_ends_by_itself() {
    let mut demo = Demo::start(&[]);
    let gate = demo.gate();
    demo.signal("KILL");
    demo.wait();
    eventually("the gate's end", || !is_running(gate));
}

#[test]
fn when_its_gate_dies_the_demo_says_so_and_ends() {
    let mut demo = Demo::start(&[]);
    let gate = demo.gate().to_string();
    let status = Command::new("kill").args(["-s", "KILL", &gate]).status();
    assert!(status.unwrap().success());
    assert_eq!(demo.wait().code(), Some(1));
    assert!(demo.rest().contains("tidegate: the gate has ended"));
    assert!(demo.leftovers().is_empty());
}
