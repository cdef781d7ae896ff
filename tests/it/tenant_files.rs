//! Tenants that files list: all of a file or nothing, and what is wrong in it is named.

use std::fs;
use std::path::Path;

use crate::harness::{App, Folder, Gate, Load, ROOMY, eventually, tidegate, with_upstream};
use crate::tenants::passing;

/// Two tiers, and tenants by `from` in files of this pattern.
fn listing(from: &str, files: &str, more: &str) -> String {
    format!(
        "{ROOMY}[tenant]\nfrom = \"{from}\"\ntier = \"strict\"\nfiles = [{files}]\n\
         [tier.strict]\nlimit = {{ rate = \"1/h\", burst = 2 }}\n\
         [tier.generous]\nlimit = {{ rate = \"1/h\", burst = 5 }}\n{more}"
    )
}

fn configure(folder: &Folder, text: &str) -> String {
    let path = folder.configure(&with_upstream(&["127.0.0.1:9".parse().unwrap()], text));
    path.to_str().unwrap().to_owned()
}

/// A gate that lists tenants by host in `tenants.txt`.
fn gate_with(app: &App, tenants: &str, more: &str) -> Gate {
    let folder = Folder::new();
    folder.write("tenants.txt", tenants);
    let text = listing("host", "\"tenants.txt\"", more);
    Gate::start_in(folder, &with_upstream(&[app.address], &text))
}

fn passed(gate: &Gate, host: &str) -> usize {
    passing(gate, "/", &[&format!("Host: {host}")])
}

/// What `validate` and `run` say of a configuration that is wrong: the same, with exit code 2.
#[track_caller]
fn refused(config: &str) -> String {
    let validated = tidegate(&["validate", config]);
    assert_eq!(validated.code, 2, "validate: {validated:#?}");
    assert_eq!(validated.stdout, "", "nothing is valid here");
    let ran = tidegate(&["run", "--config", config]);
    assert_eq!(ran.code, 2, "run: {ran:#?}");
    assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
    assert!(ran.stderr.ends_with(&validated.stderr), "{ran:#?}");
    validated.stderr
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn a_listed_tenant_has_the_numbers_of_its_tier_or_its_own() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    fs::create_dir(folder.path("tenants.d")).unwrap();
    folder.write(
        "tenants.d/a.txt",
        "# customers\n\n  plain.example \t generous  # an office\r\nUPPER.Example strict\n",
    );
    folder.write(
        "tenants.d/b.txt",
        "own.example strict rate=1/h burst=7\nrate.example generous rate=3/h\n\
         one.example strict name=acme rate=1/h burst=4\ntwo.example strict burst=4 name=acme rate=1/h\n",
    );
    folder.write("tenants.d/c.bak", "nonsense");
    let more = "[tenants]\n\"config.example\" = \"generous\"\n";
    let text = listing("host", "\"tenants.d/*.txt\"", more);
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &text));
    for (host, budget) in [
        ("plain.example", 5),
        ("upper.example", 2),
        ("own.example", 7),
        ("rate.example", 3),
        ("config.example", 5),
        ("one.example", 4),
        ("two.example", 0),
        ("unlisted.example", 2),
    ] {
        assert_eq!(passed(&gate, host), budget, "{host}");
    }
    assert_eq!(gate.status()["tenants"]["listed"], 7);
}

#[test]
fn a_file_that_begins_as_editors_save_it_is_read() {
    let app = App::echoing_paths();
    let gate = gate_with(&app, "\u{feff}first.example generous\r\n", "");
    assert_eq!(passed(&gate, "first.example"), 5);
}

#[test]
fn a_reload_takes_new_lines_over_and_keeps_what_tenants_used() {
    let app = App::echoing_paths();
    let gate = gate_with(&app, "old.example generous\n", "");
    let mut client = gate.connect();
    for _ in 0..3 {
        assert_eq!(client.get_with("/", &["Host: old.example"]).status, 200);
    }
    let lines = "old.example strict rate=1/h burst=10\nnew.example generous\n";
    gate.folder.write("tenants.txt", lines);
    let said = gate.verb(&["reload"]).good();
    let change = "listed tenants: 1 -> 2 (1 added, 0 gone, 1 changed)";
    assert!(said.contains(change), "{said}");
    assert_eq!(passed(&gate, "old.example"), 7, "three are used");
    assert_eq!(passed(&gate, "new.example"), 5);
    let said = gate.verb(&["reload"]).good();
    assert!(said.contains("nothing is different"), "{said}");
}

/// Lines that are wrong, and what is said of each.
const WRONG: [(&[u8], &[&str]); 20] = [
    (b"a generous", &["tenants.txt:2", "no end", "new line"]),
    (b"a gen", &["tenants.txt:2", "no end"]),
    (
        b"a\n",
        &["tenants.txt:2", "tier", "shop.example.com verified"],
    ),
    (
        b"a nosuch\n",
        &["tenants.txt:2", "no tier \"nosuch\"", "generous, strict"],
    ),
    (b"a generous rate=x\n", &["tenants.txt:2", "rate=x", "20/s"]),
    (b"a generous rate=0/s\n", &["tenants.txt:2", "at least 1"]),
    (
        b"a generous burst=9\n",
        &["tenants.txt:2", "a burst needs its rate"],
    ),
    (
        b"a generous rate=1/s burst=0\n",
        &["tenants.txt:2", "burst=0", "from 1 to"],
    ),
    (
        b"a generous in_flight=-1\n",
        &["tenants.txt:2", "in_flight=-1", "from 1 to"],
    ),
    (
        b"a generous color=red\n",
        &["tenants.txt:2", "color=red", "name=acme"],
    ),
    (
        b"a generous strict\n",
        &["tenants.txt:2", "\"strict\" says nothing", "rate=20/s"],
    ),
    (
        b"a generous rate=1/s rate=1/s\n",
        &["tenants.txt:2", "rate= stands there twice"],
    ),
    (
        b"a generous name=a/b\n",
        &["tenants.txt:2", "name=a/b", "letters"],
    ),
    (
        b"sha256:abc generous\n",
        &["tenants.txt:2", "64 hexadecimal digits", "sha256sum"],
    ),
    (b"a\0b generous\n", &["tenants.txt:2", "control"]),
    (b"a generous\0\n", &["tenants.txt:2", "no tier"]),
    (b"caf\xe9 generous\n", &["tenants.txt:2", "UTF-8"]),
    (&[b'a'; 3000], &["tenants.txt:2", "at most 1024 bytes"]),
    (
        b"first strict\n",
        &["tenants.txt:2", "tenants.txt:1 already", "keep one"],
    ),
    (
        b"b generous name=listed\n",
        &["tenants.txt:2", "[tenants] already", "one budget"],
    ),
];

#[test]
fn a_line_that_is_wrong_is_named_with_what_would_be_right() {
    let folder = Folder::new();
    let more = "[tenants]\nlisted = \"strict\"\n";
    let config = configure(&folder, &listing("header:X-Key", "\"tenants.txt\"", more));
    for (line, parts) in WRONG {
        folder.write("tenants.txt", [b"first generous\n", line].concat());
        assert_says(&refused(&config), parts);
    }
    folder.write("tenants.txt", format!("{} strict\n", "a".repeat(513)));
    assert_says(&refused(&config), &["tenants.txt:1", "1 to 512 bytes"]);
    folder.write("tenants.txt", "first generous # caf\u{e9}\n");
    tidegate(&["validate", &config]).good();
}

#[test]
fn a_reload_with_a_wrong_line_changes_nothing() {
    let app = App::echoing_paths();
    let more = "[tenants]\nlisted = \"strict\"\n";
    let text = listing("header:X-Key", "\"tenants.txt\"", more);
    let folder = Folder::new();
    folder.write("tenants.txt", "first generous\n");
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &text));
    for (line, parts) in WRONG {
        let lines = [b"first generous\n", line].concat();
        gate.folder.write("tenants.txt", lines);
        let output = gate.verb(&["reload"]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (1, ""),
            "{output:#?}"
        );
        assert_says(&output.stderr, parts);
        assert_eq!(gate.status()["tenants"]["listed"], 2);
    }
    assert_eq!(passing(&gate, "/", &["X-Key: first"]), 5);
    let status = gate.verb(&["status"]).good();
    assert!(status.contains("LAST RELOAD FAILED"), "{status}");
}

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success(), "mkfifo {}", path.display());
}

/// Puts something in a file's place.
type Make = fn(&Path);

fn sparse(path: &Path) {
    let file = fs::File::create(path).unwrap();
    file.set_len((256 << 20) + 1).unwrap();
}

#[test]
fn what_is_no_file_that_can_be_read_is_named_and_never_waited_for() {
    let folder = Folder::new();
    let tenants = configure(&folder, &listing("host", "\"list.txt\"", ""));
    let makers: [(Make, &str); 5] = [
        (|_| {}, "tenant.files: "),
        (|path| fs::create_dir(path).unwrap(), "it is a folder"),
        (pipe, "it is not a regular file"),
        (sparse, "larger than 268435456 bytes"),
        (
            |path| std::os::unix::fs::symlink("nowhere", path).unwrap(),
            "cannot be read",
        ),
    ];
    for (make, said) in makers {
        let path = folder.path("list.txt");
        make(&path);
        assert_says(&refused(&tenants), &["list.txt", said]);
        let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
    }
    pipe(&folder.path("list.txt"));
    let known = configure(&folder, "[known]\nfiles = [\"list.txt\"]\n");
    assert_says(&refused(&known), &["list.txt", "it is not a regular file"]);
}

#[test]
fn a_pipe_in_a_file_s_place_does_not_hold_a_reload_up() {
    let app = App::echoing_paths();
    let gate = gate_with(&app, "first.example generous\n", "");
    let path = gate.folder.path("tenants.txt");
    for make in [pipe, sparse] {
        fs::remove_file(&path).unwrap();
        make(&path);
        let output = gate.verb(&["reload"]);
        assert_eq!(output.code, 1, "{output:#?}");
        assert_says(&output.stderr, &["tenants.txt"]);
    }
    assert_eq!(passed(&gate, "first.example"), 5);
}

#[test]
fn files_that_contradict_each_other_are_refused_with_both_places() {
    let folder = Folder::new();
    let more = "[tenants]\n\"config.example\" = \"generous\"\n";
    let config = configure(&folder, &listing("host", "\"one.txt\", \"two.txt\"", more));
    for (one, two, parts) in [
        (
            "# list\na.example strict\n",
            "a.example generous\n",
            ["two.txt:1", "one.txt:2", "keep one of the two"],
        ),
        (
            "a.example strict\n",
            "A.EXAMPLE strict in_flight=3\n",
            ["two.txt:1", "one.txt:1", "keep one of the two"],
        ),
        (
            "a.example strict name=acme\n",
            "b.example generous name=acme\n",
            ["two.txt:1", "one.txt:1", "one name has one budget"],
        ),
        (
            "a.example strict name=x\n",
            "a.example strict name=y\n",
            ["two.txt:1", "one.txt:1", "keep one of the two"],
        ),
        (
            "config.example strict\n",
            "",
            ["one.txt:1", "[tenants]", "keep one of the two"],
        ),
    ] {
        folder.write("one.txt", one);
        folder.write("two.txt", two);
        assert_says(&refused(&config), &parts);
    }
    // Told by what another is called: no contradiction, as that one is called otherwise.
    folder.write("one.txt", "a.example strict name=x\n");
    folder.write("two.txt", "b.example generous name=a.example\n");
    tidegate(&["validate", &config]).good();
}

/// So many tenants, a line each, with the tier by turns.
fn many(count: usize) -> String {
    let line = |number| match number % 2 {
        0 => format!("t{number}.example generous\n"),
        _ => format!("t{number}.example strict rate=1/h burst=3\n"),
    };
    (0..count).map(line).collect()
}

#[test]
fn a_hundred_thousand_tenants_are_taken_over_while_requests_are_answered() {
    let app = App::echoing_paths();
    let gate = gate_with(
        &app,
        &many(1_000),
        "[tenants]\ntest = { tier = \"strict\", limit = { rate = \"100000/s\", burst = 100000 } }\n",
    );
    let load = Load::from(&["127.0.0.1", "127.0.0.2"], &gate);
    load.wait_for(20);
    let all = many(100_000);
    gate.folder.write("tenants.txt", &all);
    let said = gate.verb(&["reload"]).good();
    assert!(said.contains("listed tenants: 1001 -> 100001"), "{said}");
    load.wait_for(20);
    let tally = load.stop();
    assert_eq!(tally.other_than(200), 0, "{tally:?}");
    assert_eq!(passed(&gate, "t99998.example"), 5);
    assert_eq!(passed(&gate, "t99999.example"), 3);

    let cut = &all[..all.len() - 5];
    gate.folder.write("tenants.txt", cut);
    let output = gate.verb(&["reload"]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert_says(&output.stderr, &["tenants.txt:100000", "no end"]);
    gate.folder.write("tenants.txt", many(49_000));
    let output = gate.verb(&["reload"]);
    assert_eq!(output.code, 1, "{output:#?}");
    let parts = [
        "only 49001 of 100001 are left",
        "--force",
        "nothing was changed",
    ];
    assert_says(&output.stderr, &parts);
    assert_eq!(gate.status()["tenants"]["listed"], 100_001);
    gate.verb(&["reload", "--force"]).good();
    assert_eq!(gate.status()["tenants"]["listed"], 49_001);
    assert_eq!(passed(&gate, "t99998.example"), 2, "unlisted by now");
}

#[test]
fn what_is_listed_twice_is_counted_in_one_warning() {
    let folder = Folder::new();
    let config = configure(&folder, &listing("host", "\"tenants.txt\"", ""));
    folder.write("tenants.txt", many(100_000) + &many(1_000));
    let output = tidegate(&["validate", &config]);
    assert_eq!(output.code, 0, "{output:#?}");
    let parts = ["1000 lines repeat", "tenants.txt:100001", "tenants.txt:1\n"];
    assert_says(&output.stderr, &parts);
    assert_eq!(output.stderr.lines().count(), 1, "{output:#?}");
    assert_eq!(tidegate(&["validate", "--deny-warnings", &config]).code, 2);
    let contradicting = many(1_000).replace("generous", "strict");
    folder.write("tenants.txt", many(100_000) + &contradicting);
    let parts = ["tenants.txt:100001", "tenants.txt:1 already"];
    assert_says(&refused(&config), &parts);
}

#[test]
fn the_reload_that_loses_most_tenants_is_refused_unless_forced() {
    let app = App::echoing_paths();
    let gate = gate_with(&app, "a strict\nb strict\nc strict\nd strict\n", "");
    for (left, listed, code) in [
        ("a strict\n", 4, 1),
        ("", 4, 1),
        ("a strict\nb strict\n", 2, 0),
    ] {
        gate.folder.write("tenants.txt", left);
        let output = gate.verb(&["reload"]);
        assert_eq!(output.code, code, "{left:?}: {output:#?}");
        assert_eq!(gate.status()["tenants"]["listed"], listed, "{left:?}");
    }
    gate.folder.write("tenants.txt", "");
    gate.verb(&["reload", "--force"]).good();
    assert_eq!(gate.status()["tenants"]["listed"], 0);
}

#[test]
fn a_signal_reloads_the_files_too() {
    let app = App::echoing_paths();
    let gate = gate_with(&app, "a.example strict\n", "");
    gate.folder.write("tenants.txt", "a.example generous\n");
    gate.signal("HUP");
    eventually("the signal to be obeyed", || {
        gate.has_said("listed tenants: 1 -> 1 (0 added, 0 gone, 1 changed)")
    });
    assert_eq!(passed(&gate, "a.example"), 5);
}
