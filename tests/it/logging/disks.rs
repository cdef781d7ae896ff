//! Disks that are full, gone or read-only.

use super::*;

/// Says what is missing where nobody may have file systems of their own.
fn may_mount() {
    let mut probe = tool("unshare", "util-linux");
    probe.args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]);
    let output = probe.output().unwrap();
    assert!(
        output.status.success(),
        "this test mounts a file system in a user namespace, which this system does not let it do \
         (kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, \
         user.max_user_namespaces, or the seccomp profile of a container): {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A gate whose folder `logs` is a file system of this size that nobody else sees.
fn on_a_disk(app: &App, size: &str) -> Gate {
    may_mount();
    let folder = Folder::new();
    fs::create_dir(folder.path("logs")).unwrap();
    let log = format!("{ROOMY}\n[log]\nfile = \"logs/access.log\"\n{ALL}");
    folder.configure(&with_upstream(&[app.address], &log));
    let mount = format!("mount -t tmpfs -o size={size} tmpfs \"$LOGS\" && exec \"$0\" \"$@\"");
    let mut command = tool("unshare", "util-linux");
    command.env("LOGS", folder.path("logs"));
    command.args(["-rm", "sh", "-c", &mount, env!("CARGO_BIN_EXE_tidegate")]);
    Gate::run(folder, &mut command)
}

/// Runs this where the gate sees its small disk.
fn there(gate: &Gate, script: &str) -> String {
    let mut command = tool("nsenter", "util-linux");
    let process = gate.pid().to_string();
    command.args([
        "-t",
        &process,
        "-U",
        "-m",
        "--preserve-credentials",
        "sh",
        "-c",
        script,
    ]);
    let output = command
        .env("LOGS", gate.folder.path("logs"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn lines_there(gate: &Gate) -> Vec<Value> {
    let text = there(gate, "cat \"$LOGS/access.log\"");
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
    let parse = |line: &str| serde_json::from_str(line).expect("a whole line");
    text.lines().map(parse).collect()
}

/// The log is written again by itself, and says what was lost.
fn goes_on(gate: &Gate) {
    eventually("the log to go on without another request", || {
        !is_failing(gate)
    });
    let told = summaries(lines_there(gate));
    let lost = count(gate, "lost");
    assert_eq!(told[0]["forwarded"]["lost"], lost, "{told:?}");
}

#[test]
fn a_full_disk_has_whole_lines_and_the_log_goes_on_when_there_is_room() {
    let app = App::echoing_paths();
    let gate = on_a_disk(&app, "64k");
    let mut client = gate.connect();
    let mut asked = 0.0;
    eventually("the disk to be full", || {
        for _ in 0..100 {
            assert_eq!(client.get("/on-a-full-disk").status, 200);
        }
        asked += 100.0;
        count(&gate, "lost") > 0.0
    });
    assert!(is_failing(&gate));
    eventually("every line to be counted", || {
        count(&gate, "written") + count(&gate, "lost") == asked
    });
    assert_eq!(lines_there(&gate).len() as f64, count(&gate, "written"));
    there(&gate, ": > \"$LOGS/access.log\"");
    goes_on(&gate);
    gate.says_once("the log cannot be written: No space left");
}

#[test]
fn a_disk_that_becomes_read_only_holds_nobody_up() {
    let app = App::echoing_paths();
    // More than is written in the second until the other file system is noticed.
    let gate = on_a_disk(&app, "64m");
    let mut client = gate.connect();
    assert_eq!(client.get("/before").status, 200);
    there(&gate, "mount -t tmpfs -o ro tmpfs \"$LOGS\"");
    eventually("a lost line to be counted", || {
        assert_eq!(client.get("/meanwhile").status, 200);
        count(&gate, "lost") > 0.0
    });
    assert!(is_failing(&gate));
    gate.says_once("the log cannot be written: Read-only");
    there(&gate, "umount \"$LOGS\"");
    goes_on(&gate);
}

#[test]
fn a_folder_that_goes_and_comes_back_is_told_of_once_and_recovered_from() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let logs = folder.path("logs");
    fs::create_dir(&logs).unwrap();
    let gate = gate_into(folder, &app, "logs/access.log", "");
    let mut client = gate.connect();
    client.get("/before");
    let file = logs.join("access.log");
    eventually("its line", || lines(&file).len() == 1);
    fs::remove_dir_all(&logs).unwrap();
    eventually("a lost line to be counted", || {
        assert_eq!(client.get("/meanwhile").status, 200);
        count(&gate, "lost") > 0.0
    });
    assert!(is_failing(&gate));
    assert_eq!(gate.metric("tidegate_log_failing"), 1.0);
    let status = gate.verb(&["status"]).good();
    assert!(
        status.contains("CANNOT BE WRITTEN: No such file"),
        "{status}"
    );
    let refused = gate.verb(&["log", "reopen"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("No such file"), "{refused:?}");
    fs::create_dir(&logs).unwrap();
    eventually("the log to go on by itself", || {
        assert_eq!(client.get("/after").status, 200);
        !is_failing(&gate)
    });
    eventually("a line again", || {
        paths(&file).contains(&"/after".to_owned())
    });
    assert_eq!(gate.metric("tidegate_log_failing"), 0.0);
    gate.says_once("the log can be written again");
    gate.says_once("the log cannot be written");
}

#[test]
fn a_log_that_is_opened_anew_in_time_is_well_without_another_line() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let [logs, away] = ["logs", "away"].map(|name| folder.path(name));
    fs::create_dir(&logs).unwrap();
    let gate = gate_into(folder, &app, "logs/access.log", "");
    fs::rename(&logs, &away).unwrap();
    assert_eq!(gate.verb(&["log", "reopen"]).code, 1);
    assert!(is_failing(&gate));
    fs::rename(&away, &logs).unwrap();
    gate.verb(&["log", "reopen"]).good();
    eventually("the log to be well", || !is_failing(&gate));
}
