//! TLS on a listener: versions, names, and HTTP over it.

use std::io::Read;

use tokio_rustls::rustls::{HandshakeKind, ProtocolVersion};

use crate::harness::{
    App, Authority, Folder, Gate, ROOMY, Reply, Trust, eventually, pattern, tls_listener,
    with_upstream,
};
use crate::upgrades::{HANDSHAKE, echo, masked, upgrading};

const NAME: &str = "one.example";

/// A gate with one certificate, before an app.
fn serving(app: &App, more: &str) -> (Gate, Trust) {
    let (folder, authority) = (Folder::new(), Authority::new());
    let certificate = authority.issue(&[NAME]).write(&folder, "gate");
    let listener = tls_listener(&[certificate], "");
    let config = with_upstream(&[app.address], &format!("{ROOMY}{more}{listener}"));
    (Gate::start_in(folder, &config), Trust::of(&authority))
}

#[test]
fn both_versions_of_tls_carry_requests() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    for (trust, version) in [
        (trust.clone(), ProtocolVersion::TLSv1_3),
        (trust.over_1_2(), ProtocolVersion::TLSv1_2),
    ] {
        let mut client = gate.encrypted(&trust, NAME);
        assert_eq!(client.session().protocol_version(), Some(version));
        for path in ["/first", "/second"] {
            assert_eq!(client.get(path).text(), path, "{version:?}");
        }
        assert_eq!(
            app.last().field("x-forwarded-proto").as_deref(),
            Some("https")
        );
    }
    assert_eq!(
        gate.metric("tidegate_connections_total{outcome=\"accepted\",reason=\"none\"}"),
        2.0
    );
    gate.says(&format!("listening on https://{}", gate.address));
}

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let app = App::echoing_paths();
    let (folder, authority) = (Folder::new(), Authority::new());
    let one = authority.issue(&["one.example", "127.0.0.1"]);
    let two = authority.issue(&["two.example", "*.two.example"]);
    let three = authority.issue(&["three.example", "two.example"]);
    let written = [
        one.write(&folder, "one"),
        two.write(&folder, "two"),
        three.write(&folder, "three"),
    ];
    let config = format!("{ROOMY}{}", tls_listener(&written, ""));
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &config));
    let trust = Trust::of(&authority);
    for (name, certificate) in [
        ("one.example", &one),
        ("two.example", &two),
        ("any.two.example", &two),
        ("three.example", &three),
        // An address is not asked for by name.
        ("127.0.0.1", &one),
    ] {
        let mut client = gate.encrypted(&trust, name);
        assert_eq!(client.certificate(), certificate.leaf(), "for {name}");
        assert_eq!(client.get("/").status, 200);
    }
    for name in ["unknown.example", "too.deep.two.example", "xtwo.example"] {
        let refused = gate
            .try_encrypted(&trust, name)
            .err()
            .expect(name)
            .to_string();
        assert!(
            refused.contains("one.example"),
            "{name} got another certificate: {refused}"
        );
    }
}

#[test]
fn a_protocol_that_is_not_offered_ends_the_handshake() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    let agreed = |protocols: &[&str]| {
        let client = gate.encrypted(&trust.clone().speaking(protocols), NAME);
        client.session().alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(agreed(&["h2", "http/1.1"]), Some(b"http/1.1".to_vec()));
    assert_eq!(agreed(&[]), None);
    let only_h2 = trust.clone().speaking(&["h2"]);
    let refused = gate
        .try_encrypted(&only_h2, NAME)
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("NoApplicationProtocol"),
        "the client is not told: {refused}"
    );
    assert_eq!(gate.closed("tls_failed"), 1.0);
}

#[test]
fn sessions_are_taken_up_again_without_a_whole_handshake() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    for trust in [trust.clone(), trust.over_1_2()] {
        let config = trust.config();
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut client = gate.connect().try_encrypt(config.clone(), NAME).unwrap();
            assert_eq!(client.session().handshake_kind(), Some(kind));
            // Tickets of TLS 1.3 come behind the handshake.
            assert_eq!(client.get("/").status, 200);
        }
        gate.verb(&["reload"]).good();
        let again = gate.connect().try_encrypt(config, NAME).unwrap();
        assert_eq!(
            again.session().handshake_kind(),
            Some(HandshakeKind::Resumed),
            "after a reload"
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    let mut client = gate.encrypted(&trust, NAME);
    let request = |at: usize| format!("GET /{at} HTTP/1.1\r\nHost: test\r\n\r\n");
    let requests: Vec<String> = (0..200).map(request).collect();
    for (at, answer) in client.pipeline(&requests).iter().enumerate() {
        assert_eq!(answer.text(), format!("/{at}"));
    }
}

#[test]
fn large_bodies_go_through_unharmed_both_ways() {
    let app = App::answering(|request| Reply::Full(200, Vec::new(), request.body.clone()));
    let (gate, trust) = serving(&app, "");
    let body = pattern(5_000_001);
    for trust in [trust.clone(), trust.over_1_2()] {
        let mut client = gate.encrypted(&trust, NAME);
        assert!(
            client.post("/", &body).body == body,
            "another body came back"
        );
        assert!(app.last().body == body, "another body went up");
        assert_eq!(client.get("/").status, 200, "the connection is kept");
    }
}

#[test]
fn a_response_reaches_the_client_part_by_part() {
    let app = App::accepting(|mut stream| {
        crate::harness::read_head(&mut stream);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst";
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        // The rest never comes; the app waits for the client to go.
        let _ = stream.read(&mut [0]);
    });
    let (gate, trust) = serving(&app, "");
    let mut client = gate.encrypted(&trust, NAME);
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.read_head().map(|head| head.status), Some(200));
    assert_eq!(client.read_exact(5), b"first");
}

#[test]
fn a_websocket_runs_over_tls() {
    let app = upgrading(echo);
    let (gate, trust) = serving(&app, "");
    let mut client = gate.encrypted(&trust, NAME);
    client.send(HANDSHAKE);
    assert_eq!(client.response().status, 101);
    for text in ["hello", "once more"] {
        let frame = masked(text);
        client.send(&frame);
        assert_eq!(client.read_exact(frame.len()), frame);
    }
}

#[test]
fn a_refusal_is_not_lost_though_the_client_still_sends() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    let rest = pattern(30_000);
    for trust in [trust.clone(), trust.over_1_2()] {
        for (request, status) in [
            ("nonsense\r\n\r\n", 400),
            (
                "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3, 3\r\n\r\n",
                400,
            ),
            (
                "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip\r\n\r\n",
                400,
            ),
        ] {
            let mut client = gate.encrypted(&trust, NAME);
            client.send([request.as_bytes(), &rest].concat());
            let answer = client.response();
            assert_eq!(answer.status, status, "{request:?}");
            // An error here would be an end without TLS's own word for it.
            assert_eq!(client.read_to_end(), b"", "{request:?}");
        }
    }
}

#[test]
fn the_end_of_a_connection_is_said_in_tls() {
    let app = App::echoing_paths();
    let more = "[deadlines]\nkeepalive = \"200ms\"\n\
                [[route]]\npath = \"/limited\"\nupstream = \"app\"\nlimit = { rate = \"1/h\" }\n\
                [[route]]\nupstream = \"app\"\n";
    let (gate, trust) = serving(&app, more);
    let mut closing = gate.encrypted(&trust, NAME);
    assert_eq!(closing.get_with("/", &["Connection: close"]).status, 200);
    assert_eq!(closing.read_to_end(), b"", "closed after the answer");
    let mut refused = gate.encrypted(&trust, NAME);
    assert_eq!(refused.get("/limited").status, 200);
    let last = refused.get_with("/limited", &["Connection: close"]);
    assert_eq!(last.status, 429);
    assert_eq!(refused.read_to_end(), b"", "closed after a refusal");
    let mut idle = gate.encrypted(&trust, NAME);
    assert_eq!(idle.get("/").status, 200);
    assert_eq!(idle.read_to_end(), b"", "closed for being idle");
}

#[test]
fn a_client_that_does_not_read_is_let_go() {
    let body = pattern(20_000_000);
    let app = App::answering(move |_| Reply::Full(200, Vec::new(), body.clone()));
    let (gate, trust) = serving(&app, "[deadlines]\nresponse_body_idle = \"500ms\"\n");
    let mut client = gate.encrypted(&trust, NAME);
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the connection to be ended", || {
        gate.metric("tidegate_connections_open") == 0.0 && app.requests() == 1
    });
    assert_eq!(gate.requests("failed", "response_stalled"), 1.0);
    let cut = client.try_response();
    assert!(
        cut.is_none(),
        "a response that is cut is not passed off as whole"
    );
}
