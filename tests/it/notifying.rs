//! What the service manager is told: reloads, the end, and that all is well, when it is.

use std::fs;
use std::process::Command;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::harness::{
    App, Connection, Folder, Gate, Latch, Manager, Reply, eventually, with_upstream,
};

/// A gate that tells a manager, which has heard that it serves.
fn managed(app: &App, text: &str) -> (Gate, Manager) {
    let folder = Folder::new();
    folder.configure(&with_upstream(&[app.address], text));
    let manager = Manager::in_folder(&folder);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let gate = Gate::run(folder, manager.told_by(&mut command));
    assert_eq!(manager.next("READY="), "READY=1");
    (gate, manager)
}

/// Microseconds on CLOCK_MONOTONIC.
fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (time.tv_sec * 1_000_000 + time.tv_nsec / 1000) as u64
}

/// When the reload began of which the manager hears next, and what it hears at its end.
fn reload(manager: &Manager) -> (u64, String) {
    let began = manager.next("RELOADING=");
    let micros = began.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    let micros = micros.unwrap_or_else(|| panic!("{began:?}"));
    let ready = manager.next("READY=");
    let status = ready.strip_prefix("READY=1\nSTATUS=");
    (micros.parse().unwrap(), status.unwrap().to_owned())
}

#[test]
fn a_reload_is_told_with_its_begin_and_its_end_by_signal_and_by_verb() {
    let app = App::echoing_paths();
    let (gate, manager) = managed(&app, "mode = \"normal\"");
    let before = monotonic();
    gate.signal("HUP");
    let (began, status) = reload(&manager);
    assert!((before..=monotonic()).contains(&began), "{before}, {began}");
    assert_eq!(status, "mode normal");
    gate.verb(&["reload"]).good();
    assert_eq!(reload(&manager).1, "mode normal");
}

#[test]
fn a_reload_that_fails_ends_too_and_the_status_says_why() {
    let app = App::echoing_paths();
    let (gate, manager) = managed(&app, "mode = \"normal\"");
    let good = fs::read_to_string(gate.folder.path("tidegate.toml")).unwrap();
    gate.folder.write("tidegate.toml", "nonsense = 1\n");
    gate.signal("HUP");
    let (_, status) = reload(&manager);
    assert!(
        status.starts_with("mode normal; NOT RELOADED: ") && status.contains("nonsense"),
        "{status}"
    );
    // As ExecReload= of the unit has it: the verb fails, and with it `systemctl reload`.
    assert_eq!(gate.verb(&["reload"]).code, 1);
    assert_eq!(reload(&manager).1, status);
    gate.folder.write("tidegate.toml", good);
    gate.signal("HUP");
    assert_eq!(reload(&manager).1, "mode normal");
}

#[test]
fn the_mode_is_in_the_status() {
    let app = App::echoing_paths();
    let (gate, manager) = managed(&app, "mode = \"normal\"");
    assert_eq!(manager.next("STATUS="), "STATUS=mode normal");
    gate.verb(&["mode", "known-only", "--for", "30m", "--force"])
        .good();
    let status = manager.next("STATUS=");
    assert!(
        status.starts_with("STATUS=mode known-only until 20"),
        "{status}"
    );
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.configure(&with_upstream(&[app.address], ""));
    let manager = Manager::in_folder(&folder);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env("WATCHDOG_PID", "1");
    let _gate = Gate::run(folder, manager.told_by(&mut command));
    // The status comes a second after the start, when three pings would have been due.
    manager.next("READY=");
    let status = manager.next("");
    assert!(status.starts_with("STATUS="), "{status}");
}

/// Threads of the gate that carry traffic, halted until this is dropped.
struct Halted(Vec<Pid>);

impl Halted {
    fn of(gate: &Gate) -> Halted {
        let folder = format!("/proc/{}/task", gate.pid());
        let threads = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let traffic = threads
            .filter(|entry| fs::read_to_string(entry.path().join("comm")).unwrap() == "traffic\n");
        let numbers = traffic.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap());
        let halted = Halted(numbers.map(Pid::from_raw).collect());
        assert!(!halted.0.is_empty());
        for &thread in &halted.0 {
            ptrace::attach(thread).expect("a child's thread can be traced");
            waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        }
        halted
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        for &thread in &self.0 {
            ptrace::detach(thread, None).unwrap();
        }
    }
}

#[test]
fn the_watchdog_is_fed_and_probes_are_answered_only_while_the_traffic_moves() {
    let app = App::echoing_paths();
    let (gate, manager) = managed(&app, "");
    manager.next("WATCHDOG=1");
    let halted = Halted::of(&gate);
    let complaints = || {
        let said = gate.messages();
        let told = said.iter().filter(|line| line.contains("is not alive"));
        told.count()
    };
    eventually("the gate to see that it hangs", || complaints() > 0);
    // The admin side, which feeds it, goes on.
    assert_eq!(gate.status()["mode"]["mode"], "normal");
    let alive = || Connection::open(gate.metrics).get("/livez").status;
    eventually("probes to be told", || alive() == 503);
    let health = gate.verb(&["healthcheck"]);
    assert_eq!((health.code, health.stdout.as_str()), (1, "hangs\n"));
    manager.all();
    let before = complaints();
    eventually("it to see it again", || complaints() > before);
    assert_eq!(manager.all(), [""; 0], "it is told that all is well");
    drop(halted);
    manager.next("WATCHDOG=1");
    eventually("probes to be told", || alive() == 200);
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn the_end_is_given_time_for_as_long_as_it_goes_on() {
    let latch = Latch::new();
    let waits = latch.clone();
    let app = App::answering(move |request| {
        waits.wait();
        Reply::text(&request.path)
    });
    let (mut gate, manager) = managed(&app, "[deadlines]\ndrain = \"10m\"");
    let mut client = gate.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request to reach the app", || app.requests() == 1);
    gate.signal("TERM");
    manager.next("STOPPING=1");
    for _ in 0..2 {
        let extended = manager.next("EXTEND_TIMEOUT_USEC=");
        assert_eq!(extended, "EXTEND_TIMEOUT_USEC=20000000");
        manager.next("WATCHDOG=1");
    }
    latch.open();
    assert_eq!(client.response().status, 200);
    assert!(gate.wait().success());
}
