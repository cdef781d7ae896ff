//! Files that are begun anew: by the gate, and from outside.

use super::*;

#[test]
fn files_stay_within_their_total() {
    let app = App::echoing_paths();
    let gate = gate_into(
        Folder::new(),
        &app,
        "access.log",
        "rotate = { size = \"4KiB\", keep = 2 }",
    );
    let mut client = gate.connect();
    for number in 0..100 {
        assert_eq!(client.get(&format!("/{number}")).status, 200);
    }
    eventually("all lines to be written", || {
        count(&gate, "written") == 100.0
    });
    let named = |number: &str| gate.folder.path(&format!("access.log{number}"));
    assert!(!named(".3").exists(), "no more than two are kept");
    let files = [".2", ".1", ""].map(named);
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 4096, "{file:?}");
    }
    let kept: Vec<String> = files.iter().flat_map(|file| paths(file)).collect();
    let last = (100 - kept.len()..100).map(|number| format!("/{number}"));
    assert_eq!(kept, last.collect::<Vec<_>>(), "the last lines, each once");
}

#[test]
fn a_reload_changes_how_files_rotate() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let file = folder.path("rotated.log");
    let with = |size: &str| {
        let log =
            format!("{ROOMY}\n[log]\nfile = {file:?}\n{ALL}\nrotate = {{ size = \"{size}\" }}");
        with_upstream(&[app.address], &log)
    };
    let gate = Gate::start_in(folder, &with("1MiB"));
    let mut client = gate.connect();
    let mut ask = || (0..20).for_each(|_| assert_eq!(client.get("/").status, 200));
    ask();
    eventually("the lines to be written", || {
        count(&gate, "written") == 20.0
    });
    let ports = fs::read_to_string(gate.folder.path("tidegate.toml")).unwrap();
    fs::write(
        gate.folder.path("tidegate.toml"),
        ports.replace("1MiB\" }", "4KiB\" }"),
    )
    .unwrap();
    gate.verb(&["reload"]).good();
    ask();
    eventually("the lines to be written", || {
        count(&gate, "written") == 40.0
    });
    assert!(fs::metadata(gate.folder.path("rotated.log.1")).is_ok());
}

#[test]
fn after_an_outside_rotation_lines_go_into_the_new_file() {
    let app = App::echoing_paths();
    let gate = gate_into(Folder::new(), &app, "access.log", "");
    let named = |name: &str| gate.folder.path(name);
    let mut client = gate.connect();
    client.get("/one");
    eventually("its line", || paths(&named("access.log")) == ["/one"]);
    fs::rename(named("access.log"), named("moved.1")).unwrap();
    let told = gate.verb(&["log", "reopen"]).good();
    assert!(told.contains("access.log"), "{told}");
    assert_eq!(paths(&named("moved.1")), ["/one"], "before the answer");
    client.get("/two");
    eventually("the next line", || paths(&named("access.log")) == ["/two"]);
    fs::rename(named("access.log"), named("moved.2")).unwrap();
    gate.signal("USR1");
    eventually("a file of its own again", || named("access.log").exists());
    client.get("/three");
    eventually("the next line", || {
        paths(&named("access.log")) == ["/three"]
    });
    assert_eq!(paths(&named("moved.2")), ["/two"]);
}

#[test]
fn a_file_that_was_moved_away_without_a_word_is_noticed() {
    let app = App::echoing_paths();
    let gate = gate_into(Folder::new(), &app, "access.log", "");
    let mut client = gate.connect();
    client.get("/one");
    let file = gate.folder.path("access.log");
    eventually("its line", || lines(&file).len() == 1);
    fs::remove_file(&file).unwrap();
    eventually("a line in a new file", || {
        client.get("/two");
        !paths(&file).is_empty()
    });
    assert_eq!(count(&gate, "lost"), 0.0, "as far as anybody could know");
}

#[test]
fn standard_output_has_nothing_to_open_anew() {
    let app = App::echoing_paths();
    let gate = gate_into(Folder::new(), &app, "stdout", "");
    let told = gate.verb(&["log", "reopen"]).good();
    assert!(told.contains("standard output"), "{told}");
    let told = gate.verb(&["-o", "json", "log", "reopen"]).json();
    assert_eq!(told["file"], Value::Null);
}
