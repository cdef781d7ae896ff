//! Servers that are asked whether they are well: left out while they say that they are not.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};

use super::{gate, servers};
use crate::harness::{App, Gate, Latch, ROOMY, Reply, eventually, unused_address, with_upstream};

/// An app that answers `/healthz?deep` with the status of the moment.
pub(super) fn checked_app(status: u16) -> (App, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(status));
    let now = status.clone();
    let app = App::answering(move |request| match request.path.as_str() {
        "/healthz?deep" => Reply::status(now.load(SeqCst)),
        path => Reply::text(path),
    });
    (app, status)
}

/// Requests to its path, which the health checks do not ask for.
fn asked(app: &App, gate: &Gate) -> bool {
    let mut client = gate.connect();
    (0..4).any(|_| {
        assert_eq!(client.get("/").status, 200);
        app.last().path == "/"
    })
}

pub(super) const CHECKED: &str = "health = { path = \"/healthz?deep\", host = \"checked.example.com\", \
     every = \"100ms\", timeout = \"1s\", rise = 2, fall = 2 }\nslow_start = \"1ms\"\n";

#[test]
fn a_server_that_fails_its_checks_is_left_out_until_they_are_good() {
    let ((first, status), (second, _)) = (checked_app(200), checked_app(200));
    let gate = gate(&[first.address, second.address], CHECKED);
    eventually("checks", || first.requests() > 4);
    let check = first.last();
    assert_eq!(check.field("host").as_deref(), Some("checked.example.com"));
    assert_eq!(servers(&gate, "available"), 2.0);
    status.store(503, SeqCst);
    eventually("it to be left out", || servers(&gate, "unhealthy") == 1.0);
    assert!(!asked(&first, &gate), "it is asked all the same");
    let human = gate.verb(&["status"]).good();
    let line = format!(
        "{} fails its health check and is OUT: status 503",
        first.address
    );
    assert!(human.contains(&line), "{human}");
    eventually("it to be told", || {
        gate.said("fails its health check and is left out: status 503") == 1
    });
    status.store(302, SeqCst);
    eventually("it to come back", || servers(&gate, "available") == 2.0);
    eventually("requests to reach it", || asked(&first, &gate));
    eventually("its return to be told", || gate.said("is asked again") == 1);
    // A check is no request.
    let forwarded = gate.status()["upstreams"][0]["succeeded"].as_u64().unwrap();
    assert!(forwarded < first.requests() + second.requests());
    assert_eq!(gate.status()["upstreams"][0]["failed"], 0);
}

#[test]
fn when_no_server_is_well_all_are_used() {
    let ((first, _), (second, _)) = (checked_app(500), checked_app(404));
    let gate = gate(&[first.address, second.address], CHECKED);
    eventually("both to be left out", || servers(&gate, "unhealthy") == 2.0);
    assert!(asked(&first, &gate) && asked(&second, &gate));
}

#[test]
fn without_a_path_it_is_enough_to_take_a_connection() {
    let (app, dead) = (App::echoing_paths(), unused_address());
    let gate = gate(
        &[app.address, dead],
        "health = { every = \"100ms\", rise = 1, fall = 1 }\nslow_start = \"1ms\"\n",
    );
    eventually("the dead one to be left out", || {
        servers(&gate, "unhealthy") == 1.0
    });
    assert_eq!(app.requests(), 0, "nothing is asked");
    let _back = App::on(&dead.to_string(), |_| Reply::text("back"));
    eventually("it to come back", || servers(&gate, "available") == 2.0);
}

#[test]
fn answers_that_are_none_fail_a_check() {
    let endless = |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200");
        while stream.write_all(&[b'x'; 1000]).is_ok() {}
    };
    let silent = |mut stream: TcpStream| drop(stream.read_to_end(&mut Vec::new()));
    let garbage = |mut stream: TcpStream| drop(stream.write_all(b"\0\xff\r\n\r\n"));
    let closed = |_: TcpStream| {};
    let apps = [
        App::accepting(endless),
        App::accepting(silent),
        App::accepting(garbage),
        App::accepting(closed),
    ];
    let (good, _) = checked_app(200);
    let mut all: Vec<SocketAddr> = apps.iter().map(|app| app.address).collect();
    all.push(good.address);
    let gate = gate(
        &all,
        "health = { path = \"/healthz\", every = \"100ms\", timeout = \"200ms\", fall = 1 }\n",
    );
    eventually("all of them to be left out", || {
        servers(&gate, "unhealthy") == 4.0
    });
    assert_eq!(gate.get("/").text(), "/");
}

/// Whether the other side has closed it.
fn is_closed(mut stream: TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut rest = [0; 1000];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn no_server_is_checked_twice_at_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (checks, twice) = (Arc::new(AtomicU16::new(0)), Arc::new(AtomicU16::new(0)));
    let (counted, overlapping) = (checks.clone(), twice.clone());
    // Nobody answers, so that each lasts until it is late. One thread sees them in their order, and
    // what the system knows of the one before does not depend on when it looks.
    std::thread::spawn(move || {
        let mut before = None;
        for stream in listener.incoming().flatten() {
            if before
                .replace(stream)
                .is_some_and(|before| !is_closed(before))
            {
                overlapping.fetch_add(1, SeqCst);
            }
            counted.fetch_add(1, SeqCst);
        }
    });
    let some_more = |what| {
        let before = checks.load(SeqCst);
        eventually(what, || checks.load(SeqCst) > before + 4);
    };
    let check = "health = { path = \"/\", every = \"100ms\", timeout = \"200ms\" }\n";
    let gate = gate(&[address], check);
    some_more("some checks");
    assert_eq!(twice.load(SeqCst), 0);
    // The new configuration's checks replace those of the old one, which end when it is in force.
    let config = with_upstream(&[address], ROOMY) + &check.replace("100ms", "150ms");
    gate.folder.configure(&config);
    gate.verb(&["reload"]).good();
    some_more("checks of both");
    let before = twice.load(SeqCst);
    some_more("checks of the new one");
    assert_eq!(twice.load(SeqCst), before, "the old checks go on");
}

#[test]
fn a_request_that_outlives_its_configuration_does_not_keep_its_checks() {
    let latch = Latch::new();
    let (old, new) = (Arc::new(AtomicU16::new(0)), Arc::new(AtomicU16::new(0)));
    let (waiting, olds, news) = (latch.clone(), old.clone(), new.clone());
    let app = App::answering(move |request| {
        match request.path.as_str() {
            "/slow" => waiting.wait(),
            "/old" => drop(olds.fetch_add(1, SeqCst)),
            "/new" => drop(news.fetch_add(1, SeqCst)),
            _ => {}
        }
        Reply::text(&request.path)
    });
    let checking = |path: &str| {
        let keys = format!("health = {{ path = \"{path}\", every = \"100ms\" }}\n");
        with_upstream(&[app.address], ROOMY) + &keys
    };
    let gate = Gate::start(&checking("/old"));
    let mut client = gate.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the first checks", || {
        old.load(SeqCst) > 0 && app.requests() > 2
    });
    gate.folder.configure(&checking("/new"));
    gate.verb(&["reload"]).good();
    // One may be under way.
    let last = old.load(SeqCst) + 1;
    eventually("the new checks", || new.load(SeqCst) > 5);
    assert!(old.load(SeqCst) <= last, "the old checks go on");
    latch.open();
    assert_eq!(client.response().text(), "/slow");
}
