//! Disks that are full or read-only.

use super::*;

/// A gate whose folder `logs` is a file system of 64 KiB that nobody else sees.
fn on_a_small_disk(app: &App) -> Gate {
    let folder = Folder::new();
    fs::create_dir(folder.path("logs")).unwrap();
    let log = format!("{ROOMY}\n[log]\nfile = \"logs/access.log\"\n{ALL}");
    folder.configure(&with_upstream(&[app.address], &log));
    let mount = "mount -t tmpfs -o size=64k tmpfs \"$LOGS\" && exec \"$0\" \"$@\"";
    let mut command = tool("unshare", "util-linux");
    command.env("LOGS", folder.path("logs"));
    command.args(["-rm", "sh", "-c", mount, env!("CARGO_BIN_EXE_tidegate")]);
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
    let gate = on_a_small_disk(&app);
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
    assert_eq!(gate.said("the log cannot be written: No space left"), 1);
}

#[test]
fn a_disk_that_becomes_read_only_holds_nobody_up() {
    let app = App::echoing_paths();
    let gate = on_a_small_disk(&app);
    let mut client = gate.connect();
    assert_eq!(client.get("/before").status, 200);
    there(&gate, "mount -t tmpfs -o ro tmpfs \"$LOGS\"");
    eventually("a lost line to be counted", || {
        assert_eq!(client.get("/meanwhile").status, 200);
        count(&gate, "lost") > 0.0
    });
    assert!(is_failing(&gate));
    assert_eq!(gate.said("the log cannot be written: Read-only"), 1);
    there(&gate, "umount \"$LOGS\"");
    goes_on(&gate);
}
