//! What goes on beside an upgrade: strangers at its socket, another upgrade, the service manager.

use super::*;

/// Upgrades, with a program that waits for a file called `go` beside it, and does this while the socket
/// is there.
fn while_upgrading(gate: &Gate, then: impl FnOnce(&Path)) {
    let real = real_program().display();
    install_script(
        &gate.folder,
        &format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && exec {real} --version\nwhile ! [ -e \"${{0%/*}}/go\" ]; do sleep 0.01; done\nexec {real} \"$@\"\n"
        ),
    );
    let socket = gate.folder.path("state/upgrade.sock");
    std::thread::scope(|scope| {
        let upgrade = scope.spawn(|| gate.verb(&["upgrade"]));
        eventually("the upgrade to be under way", || socket.exists());
        then(&socket);
        fs::write(gate.folder.path("go"), "").unwrap();
        upgrade.join().unwrap().good();
    });
}

#[test]
fn one_upgrade_at_a_time_and_no_change_meanwhile() {
    let app = App::echoing_paths();
    let gate = gate_before(&app, "");
    while_upgrading(&gate, |socket| {
        let mode = fs::metadata(socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for verb in [
            &["upgrade"][..],
            &["mode", "observe"],
            &["known", "add", "192.0.2.1"],
            &["reload"],
        ] {
            let output = gate.verb(verb);
            assert_eq!(output.code, 1, "{verb:?}: {output:#?}");
            assert!(
                output.stderr.contains("an upgrade is under way"),
                "{output:#?}"
            );
        }
        gate.signal("HUP");
        eventually("the signal to be told", || {
            gate.has_said("not reloaded: an upgrade")
        });
        assert_eq!(gate.get("/").status, 200);
    });
    gate.verb(&["mode", "observe"]).good();
    assert_eq!(gate.status()["mode"]["mode"], "observe");
}

#[test]
fn a_stranger_at_the_socket_gets_nothing_and_disturbs_nobody() {
    let app = App::echoing_paths();
    let gate = gate_before(&app, "");
    while_upgrading(&gate, |socket| {
        for _ in 0..20 {
            let mut stranger = std::os::unix::net::UnixStream::connect(socket).unwrap();
            stranger.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut got = Vec::new();
            std::io::Read::read_to_end(&mut stranger, &mut got).unwrap();
            assert!(got.is_empty(), "a stranger is told {got:?}");
        }
    });
    gate.says("a stranger at the socket");
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn a_socket_that_is_left_over_is_replaced_and_anything_else_is_left_alone() {
    let app = App::echoing_paths();
    let gate = gate_before(&app, "");
    let socket = gate.folder.path("state/upgrade.sock");
    drop(UnixListener::bind(&socket).unwrap());
    upgrade(&gate);
    assert!(!socket.exists(), "the socket is left over");
    fs::write(&socket, "keep me").unwrap();
    let output = gate.verb(&["upgrade"]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(output.stderr.contains("not a socket"), "{output:#?}");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "keep me");
    fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    let output = gate.verb(&["upgrade"]);
    assert!(
        output.stderr.contains("another gate answers there"),
        "{output:#?}"
    );
    drop(other);
    upgrade(&gate);
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn a_service_manager_is_told_which_process_serves() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.configure(&with_upstream(&[app.address], ""));
    install(&folder, real_program());
    let manager = Manager::in_folder(&folder);
    let mut command = Command::new(folder.path("tidegate"));
    let mut gate = Gate::run(folder, manager.told_by(&mut command));
    assert_eq!(manager.next("READY="), "READY=1");
    let upgraded = upgrade(&gate);
    let pid = &upgraded["new"]["pid"];
    assert_eq!(manager.next("MAINPID="), format!("MAINPID={pid}"));
    assert!(gate.wait().success());
    // All that the old one had to say: nobody is told that the service stops.
    assert!(!manager.all().contains(&"STOPPING=1".to_owned()));
    manager.next("WATCHDOG=1");
    let killed = Command::new("kill").arg(pid.to_string()).status();
    assert!(killed.unwrap().success());
    assert_eq!(manager.next("STOPPING="), "STOPPING=1");
}
