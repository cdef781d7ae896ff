//! `tidegate tail`: what is decided, as it happens, and at no cost for who is decided about.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::harness::{App, Connection, Gate, Load, PATIENCE, ROOMY, eventually};

/// Somebody who listens: the lines, without what frames them.
struct Listening(BufReader<UnixStream>);

fn ask(gate: &Gate, query: &str) -> (String, Listening) {
    let mut stream = UnixStream::connect(gate.folder.path("admin.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /v1/tail{query} HTTP/1.1\r\nHost: admin\r\n\r\n"
    )
    .unwrap();
    let mut listening = Listening(BufReader::new(stream));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(listening.0.read_line(&mut head).unwrap() > 0, "{head}");
    }
    (head, listening)
}

fn listen(gate: &Gate, query: &str) -> Listening {
    let (head, listening) = ask(gate, query);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("application/x-ndjson"), "{head}");
    listening
}

impl Listening {
    fn line(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if line.starts_with('{') {
                return serde_json::from_str(&line).expect("a line is JSON");
            }
        }
    }
}

fn gate(app: &App) -> Gate {
    Gate::before(
        app,
        "[client]\nmax_tracked = 1000\naddress_from = \"x-forwarded-for\"\ntrusted_proxies = [\"127.0.0.1\"]\nlimit = { rate = \"1/h\", burst = 2 }\n[tenant]\nfrom = \"header:x-tenant\"\ntier = \"usual\"\n[tier.usual]\n[tenants]\nacme = \"usual\"\nother = \"usual\"\n[log]\nfile = \"stdout\"\nsample = { forwarded = 0.0, refused = 0.0, failed = 0.0 }",
    )
}

/// A request of a client to a path of a tenant.
fn request(gate: &Gate, client: &str, path: &str, tenant: &str) -> u16 {
    let fields = [
        format!("X-Forwarded-For: {client}"),
        format!("X-Tenant: {tenant}"),
    ];
    let fields = fields.each_ref().map(String::as_str);
    gate.connect().get_with(path, &fields).status
}

#[test]
fn each_decision_is_told_with_the_names_of_the_log_whatever_the_log_samples() {
    let app = App::echoing_paths();
    let gate = gate(&app);
    let mut all = listen(&gate, "");
    for (status, outcome, reason) in [
        (200, "forwarded", "none"),
        (200, "forwarded", "none"),
        (429, "refused", "client_rate"),
    ] {
        assert_eq!(request(&gate, "192.0.2.1", "/a?secret=1", "acme"), status);
        let line = all.line();
        assert_eq!(line["outcome"], outcome, "{line}");
        assert_eq!(line["reason"], reason, "{line}");
        assert_eq!(line["client.address"], "192.0.2.1", "{line}");
        assert_eq!(line["url.path"], "/a", "{line}");
        assert_eq!(line["http.response.status_code"], status, "{line}");
        assert_eq!(line["tenant"], "acme", "{line}");
        assert!(line["time"].is_string(), "{line}");
        assert!(line["sample_rate"].is_null(), "{line}");
    }
    gate.verb(&["block", "add", "127.0.0.2", "--force"]).good();
    let mut blocked = Connection::open_from("127.0.0.2", gate.address);
    assert!(blocked.is_closed());
    let line = all.line();
    assert_eq!(line["event.name"], "connection", "{line}");
    assert_eq!(line["reason"], "blocked", "{line}");
}

/// A request each: who asks for what, in whose name.
const ASKED: [(&str, &str, &str); 6] = [
    ("192.0.2.1", "/a", "acme"),
    ("192.0.2.1", "/a", "acme"),
    ("192.0.2.1", "/a", "acme"),
    ("2001:db8::1", "/b/c", "acme"),
    ("192.0.2.9", "/bc", "acme"),
    ("192.0.2.10", "/a", "other"),
];

#[test]
fn who_listens_says_what_to() {
    let app = App::echoing_paths();
    let cases = [
        ("client=192.0.2.9", 4),
        ("client=192.0.2.8/30", 4),
        ("client=2001:db8::/32", 3),
        ("tenant=other", 5),
        ("path=/b", 3),
        ("outcome=refused", 2),
        ("reason=client_rate", 2),
        ("status=429", 2),
        ("status=4xx", 2),
        ("outcome=forwarded&tenant=other&path=/a", 5),
        ("path=/a&client=192.0.2.10", 5),
    ];
    for some in cases.chunks(4) {
        let gate = gate(&app);
        let mut listening = some
            .iter()
            .map(|(query, _)| listen(&gate, &format!("?{query}")));
        let mut listening: Vec<_> = listening.by_ref().collect();
        for (client, path, tenant) in ASKED {
            request(&gate, client, path, tenant);
        }
        for ((query, first), listening) in some.iter().zip(&mut listening) {
            let line = listening.line();
            let (client, path, tenant) = ASKED[*first];
            assert_eq!(line["client.address"], client, "{query}: {line}");
            assert_eq!(line["url.path"], path, "{query}: {line}");
            assert_eq!(line["tenant"], tenant, "{query}: {line}");
        }
    }
}

#[test]
fn what_is_asked_for_wrongly_is_told() {
    let app = App::echoing_paths();
    let gate = gate(&app);
    for query in [
        "client=here",
        "outcome=lost",
        "status=9",
        "status=600",
        "status=x",
        "reason=nothing",
        "lines=0",
        "lines=1001",
        "lines=x",
        "colour=red",
    ] {
        let (head, _) = ask(&gate, &format!("?{query}"));
        assert!(head.starts_with("HTTP/1.1 400 "), "{query}: {head}");
        assert!(head.contains("problem+json"), "{query}: {head}");
    }
}

#[test]
fn a_flood_is_told_at_the_rate_that_was_asked_for_and_the_rest_as_numbers() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("{ROOMY}max_tracked = 1000\n"));
    let mut all = listen(&gate, "?lines=10");
    let load = Load::from(&["127.0.0.1"], &gate);
    load.wait_for(500);
    let (mut told, mut left_out) = (0, 0);
    while left_out == 0 {
        let line = all.line();
        match line["event.name"].as_str() {
            Some("tail.left_out") => {
                left_out += line["over_rate"].as_u64().unwrap();
                left_out += line["not_looked_at"].as_u64().unwrap();
            }
            _ => told += 1,
        }
    }
    drop(load);
    assert!(
        told <= 40,
        "{told} lines within about a second, and 10 were asked for"
    );
    assert!(left_out > told, "{left_out}");
}

#[test]
fn one_that_never_reads_costs_the_gate_nothing_and_is_dropped() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("{ROOMY}max_tracked = 1000\n"));
    let deaf: Vec<_> = (0..4).map(|_| ask(&gate, "?lines=1000")).collect();
    let (head, _) = ask(&gate, "");
    assert!(head.starts_with("HTTP/1.1 503 "), "a fifth: {head}");
    let load = Load::from(&["127.0.0.1"], &gate);
    load.wait_for(2000);
    assert_eq!(gate.status()["requests"]["failed"], 0);
    let before = gate.memory();
    // All four are dropped once what the system holds for them is full.
    eventually("a place among those who listen", || {
        ask(&gate, "").0.starts_with("HTTP/1.1 200 ")
    });
    let after = gate.memory();
    assert!(after < before + 8192, "{before} KiB became {after}");
    drop((deaf, load));
}

#[test]
fn who_goes_leaves_a_place() {
    let app = App::echoing_paths();
    let gate = gate(&app);
    for _ in 0..20 {
        let (head, listening) = ask(&gate, "");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        listening.0.get_ref().shutdown(Shutdown::Both).unwrap();
        drop(listening);
        eventually("the place to be free", || {
            let (head, _) = ask(&gate, "");
            head.starts_with("HTTP/1.1 200 ")
        });
    }
}

/// The verb, as it is running.
fn verb(gate: &Gate, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("--admin")
        .arg(gate.folder.path("admin.sock"))
        .arg("tail")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Its first line; requests are made until there is one.
fn first_line(gate: &Gate, child: &mut Child) -> String {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let reading = thread::spawn(move || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line
    });
    eventually("a line", || {
        request(gate, "192.0.2.1", "/a", "acme");
        reading.is_finished()
    });
    reading.join().unwrap()
}

#[test]
fn the_verb_prints_a_line_each_for_people_and_programs() {
    let app = App::echoing_paths();
    let gate = gate(&app);
    let mut json = verb(&gate, &["-o", "json", "--client", "192.0.2.0/24"]);
    let line: Value = serde_json::from_str(&first_line(&gate, &mut json)).unwrap();
    assert_eq!(line["client.address"], "192.0.2.1");
    // Its reader has had enough, which it learns when it writes.
    let ended = thread::spawn(move || json.wait().unwrap());
    eventually("its end", || {
        request(&gate, "192.0.2.1", "/", "acme");
        ended.is_finished()
    });
    assert!(ended.join().unwrap().success());
    let mut human = verb(&gate, &["--outcome", "refused", "--path", "/"]);
    let line = first_line(&gate, &mut human);
    for part in ["refused", "429", "192.0.2.1", "GET", "client_rate"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    assert!(!line.trim_end().contains(char::is_control), "{line:?}");
    let _ = human.kill();
    let mut said = String::new();
    human
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    human.wait().unwrap();
    assert!(!said.contains("panicked"), "{said}");
    let mut wrong = verb(&gate, &["--client", "here"]);
    assert_eq!(wrong.wait().unwrap().code(), Some(1));
}

#[test]
fn who_listens_is_told_of_the_end() {
    let app = App::echoing_paths();
    let mut gate = gate(&app);
    let mut listening = listen(&gate, "");
    gate.signal("TERM");
    assert!(gate.wait().success());
    let mut rest = String::new();
    listening
        .0
        .read_to_string(&mut rest)
        .expect("an end in order");
}
