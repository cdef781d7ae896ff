use std::fs;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{gate_before, install, install_script, real_program, stays, upgrade};
use crate::harness::{
    App, Connection, Folder, Gate, Load, Process, ROOMY, eventually, with_upstream,
};

/// As the new process: says its version, and then does this with the connection `$s`, where `say` sends
/// a message.
fn misbehaving(then: &str) -> String {
    format!(
        r#"#!/usr/bin/perl
use Socket;
if ($ARGV[0] eq '--version') {{ print "tidegate 9.9.9\n"; exit }}
socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die;
connect($s, pack_sockaddr_un($ARGV[-1])) or die;
$s->autoflush(1);
sub say_it {{ syswrite($s, pack('N/a*', $_[0])) }}
sub hello {{ say_it('{{"protocol":2,"version":"9.9.9"}}') }}
{then}
"#
    )
}

#[test]
fn a_bad_configuration_leaves_the_old_process_serving() {
    let app = App::echoing_paths();
    let gate = gate_before(&app, ROOMY);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = format!(
        "[[listener]]\naddress = \"{}\"",
        taken.local_addr().unwrap()
    );
    let load = Load::from(&["127.0.0.1"], &gate);
    for (text, parts) in [
        (
            "[client]\nconections = 3\n",
            &["conections", "tidegate.toml"][..],
        ),
        (&*busy, &["another program listens there"]),
        (
            "[state]\ndirectory = \"/tmp\"\n",
            &["state.directory", "would be lost"],
        ),
        (
            "[known]\nfiles = [\"/nonexistent/known.txt\"]\n",
            &["/nonexistent/known.txt"],
        ),
    ] {
        gate.folder.configure(&with_upstream(&[app.address], text));
        let output = gate.verb(&["upgrade"]);
        stays(&gate, &output, &[parts, &["goes on serving"]].concat());
    }
    gate.folder.write("tidegate.toml", "nonsense");
    stays(&gate, &gate.verb(&["upgrade"]), &["goes on serving"]);
    assert_eq!(load.stop().other_than(200), 0);
    gate.says("upgrade: failed");
    gate.folder.configure(&with_upstream(&[app.address], ROOMY));
    upgrade(&gate);
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn a_program_that_is_another_one_crashes_or_hangs_leaves_the_old_process_serving() {
    let app = App::echoing_paths();
    let gate = gate_before(&app, "");
    let version = "[ \"$1\" = --version ] && echo tidegate 9.9.9 && exit\n";
    for (script, parts) in [
        (
            "#!/bin/sh\necho hello\n".to_owned(),
            &["is no tidegate", "hello"][..],
        ),
        (
            format!("#!/bin/sh\n{version}exit 3\n"),
            &["ended before it connected", "exit status: 3"],
        ),
        (
            format!("#!/bin/sh\n{version}kill -9 $$\n"),
            &["ended before it connected", "signal: 9"],
        ),
        (
            format!("#!/bin/sh\n{version}exec sleep 1000\n"),
            &["did not connect in time"],
        ),
    ] {
        install_script(&gate.folder, &script);
        stays(&gate, &gate.verb(&["upgrade", "--within", "1s"]), parts);
    }
    fs::remove_file(gate.folder.path("tidegate")).unwrap();
    stays(&gate, &gate.verb(&["upgrade"]), &["cannot be started"]);
    install(&gate.folder, real_program());
    upgrade(&gate);
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn a_new_process_that_fails_in_the_middle_leaves_the_old_one_serving() {
    let app = App::echoing_paths();
    let gate = gate_before(&app, ROOMY);
    let load = Load::from(&["127.0.0.1"], &gate);
    let built = r#"hello(); say_it('{"Built":{"counters":false}}'); "#;
    let ready = format!(
        r#"{built} say_it('{{"Ready":{{"admin":true,"handed_over":[],"not_handed_over":[]}}}}'); "#
    );
    for (then, part) in [
        ("syswrite($s, 'GET / HTTP/1.1'); sleep 1000", "more than"),
        (
            "syswrite($s, pack('N', 4_000_000_000)); sleep 1000",
            "more than",
        ),
        ("say_it('{{{{'); sleep 1000", "key must be"),
        (
            "syswrite($s, pack('N', 40) . '{'); sleep 1000",
            "not ready in time",
        ),
        ("sleep 1000", "not ready in time"),
        ("kill 9, $$", "signal: 9"),
        ("hello(); kill 9, $$", "signal: 9"),
        ("hello(); sleep 1000", "not ready in time"),
        // Never reads the counters, which are larger than what a socket buffers.
        (
            r#"hello(); say_it('{"Built":{"counters":true}}'); sleep 1000"#,
            "the counters",
        ),
        (
            r#"hello(); say_it('{"Failed":"no luck"}'); sleep 1000"#,
            "no luck",
        ),
        (
            r#"hello(); say_it('"Serving"'); sleep 1000"#,
            "should have been built",
        ),
        (
            r#"say_it('{"protocol":77,"version":"9.9.9"}'); sleep 1000"#,
            "version 9.9.9 hands over in another way",
        ),
        (&format!("{built} kill 9, $$"), "signal: 9"),
        (&format!("{ready} sleep 1000"), "not ready in time"),
        (&format!("{ready} kill 9, $$"), "signal: 9"),
    ] {
        install_script(&gate.folder, &misbehaving(then));
        let started = Instant::now();
        stays(&gate, &gate.verb(&["upgrade", "--within", "1s"]), &[part]);
        let taken = started.elapsed();
        assert!(taken < Duration::from_secs(8), "{then}: {taken:?}");
    }
    assert_eq!(load.stop().other_than(200), 0);
    install(&gate.folder, real_program());
    upgrade(&gate);
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn a_new_process_that_is_killed_on_its_way_leaves_the_old_one_serving() {
    let app = App::echoing_paths();
    let real = real_program().display();
    let mut died = 0;
    for delay in ["0", "0.005", "0.02", "0.05"] {
        let gate = gate_before(&app, ROOMY);
        install_script(
            &gate.folder,
            &format!(
                "#!/bin/sh\n[ \"$1\" = --version ] && exec {real} --version\n(until [ /proc/$$/exe -ef {real} ]; do :; done; sleep {delay}; kill -9 $$) &\nexec {real} \"$@\"\n"
            ),
        );
        let output = gate.verb(&["upgrade"]);
        // By then it may be serving: it is killed as any other gate would be.
        if output.code == 0 {
            continue;
        }
        died += 1;
        stays(&gate, &output, &["signal: 9"]);
        install(&gate.folder, real_program());
        upgrade(&gate);
        assert_eq!(gate.get("/").status, 200);
    }
    assert!(died > 0, "none was killed early enough");
}

#[test]
fn a_signal_ends_the_gate_with_the_process_that_was_to_follow() {
    let app = App::echoing_paths();
    let mut gate = gate_before(&app, "");
    let left = gate.folder.path("pid");
    install_script(
        &gate.folder,
        &misbehaving(&format!(
            "open(my $f, '>', '{}'); print $f $$; close($f); sleep 1000",
            left.display()
        )),
    );
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| gate.verb(&["upgrade"]));
        eventually("the new process", || {
            fs::read_to_string(&left).is_ok_and(|pid| !pid.is_empty())
        });
        gate.signal("TERM");
        let output = asked.join().unwrap();
        assert_eq!(output.code, 1, "{output:#?}");
    });
    assert!(gate.wait().success());
    let pid = fs::read_to_string(&left).unwrap();
    assert!(
        !std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "{pid} is left over"
    );
    assert!(
        Connection::try_open(gate.address).is_err(),
        "somebody still listens"
    );
}

#[test]
fn a_signal_while_the_program_is_asked_which_one_it_is_leaves_nothing_behind() {
    let app = App::echoing_paths();
    let mut gate = gate_before(&app, "");
    install_script(
        &gate.folder,
        r#"#!/bin/sh
echo $$ >> "${0%/*}/pids"
until [ -e "${0%/*}/go" ]; do sleep 0.01; done
[ "$1" = --version ] && echo tidegate 9.9.9 && exit
exec sleep 1000
"#,
    );
    let pids = gate.folder.path("pids");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| gate.verb(&["upgrade"]));
        eventually("the program to be asked", || {
            fs::read_to_string(&pids).is_ok_and(|pids| pids.ends_with('\n'))
        });
        gate.signal("TERM");
        eventually("the signal to be told", || gate.has_said("draining"));
        fs::write(gate.folder.path("go"), "").unwrap();
        let output = asked.join().unwrap();
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.contains("on its way out"), "{output:#?}");
    });
    assert!(gate.wait().success());
    for pid in fs::read_to_string(&pids).unwrap().lines() {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "{pid} is left over"
        );
    }
}

/// A gate that was started without being asked to take over does not find a socket to take from.
#[test]
fn taking_over_from_nobody_says_what_it_is_for() {
    let app = App::echoing_paths();
    let gate: Gate = gate_before(&app, "");
    let socket = gate.folder.path("state/upgrade.sock");
    let output = crate::harness::tidegate(&["run", "--take-over", socket.to_str().unwrap()]);
    assert_eq!(output.code, 1);
    assert!(
        output
            .stderr
            .contains("this is for `tidegate upgrade` alone"),
        "{output:#?}"
    );
}

#[test]
fn what_could_not_be_written_is_not_left_behind() {
    let app = App::echoing_paths();
    let gate = gate_before(&app, "");
    // What is written first goes into a file of this name.
    let in_the_way = gate.folder.path("state/blocks.json.new");
    fs::create_dir(&in_the_way).unwrap();
    let blocked = gate.verb(&["block", "add", "192.0.2.7"]);
    assert!(blocked.stderr.contains("blocks.json"), "{blocked:?}");
    let output = gate.verb(&["upgrade"]);
    stays(&gate, &output, &["blocks.json", "not begun"]);
    fs::remove_dir(&in_the_way).unwrap();
    gate.verb(&["upgrade"]).good();
    let listed = gate.verb(&["block", "list"]).good();
    assert!(listed.contains("192.0.2.7"), "{listed}");
}

#[test]
fn signals_that_come_before_their_handlers_end_nothing() {
    let folder = Folder::new();
    let socket = folder.path("before.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    for signal in ["USR1", "HUP"] {
        let mut gate = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        gate.args(["run", "--take-over"]).arg(&socket);
        let mut gate = Process(gate.stderr(Stdio::null()).spawn().unwrap());
        // It has said who it is, and waits for what it takes over.
        let (mut waiting, _) = listener.accept().unwrap();
        waiting.read_exact(&mut [0]).unwrap();
        let process = gate.0.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &process]).status();
        assert!(sent.unwrap().success());
        drop(waiting);
        let ended = gate.0.wait().unwrap();
        assert_eq!(ended.code(), Some(1), "after SIG{signal}: {ended}");
    }
}
