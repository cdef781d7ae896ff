//! Certificates that clients show: asked for, checked, and whose tenant they tell.

use tokio_rustls::rustls::HandshakeKind;

use crate::harness::{
    App, Authority, Connection, Folder, Gate, Issued, ROOMY, Response, Trust, tls_listener,
    with_upstream,
};
use crate::tenants::tiers;

const NAME: &str = "gate.example";

/// A gate that asks clients for a certificate, and who signs these.
struct Asking {
    gate: Gate,
    trust: Trust,
    clients: Authority,
}

fn asking(app: &App, required: bool, more: &str) -> Asking {
    let (folder, authority, clients) = (Folder::new(), Authority::new(), Authority::new());
    let certificate = authority.issue(&[NAME]).write(&folder, "gate");
    folder.write("clients.pem", clients.pem());
    let asked =
        format!("client_certificates = {{ authorities = \"clients.pem\", required = {required} }}");
    let config = format!("{more}{}", tls_listener(&[certificate], &asked));
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &config));
    Asking {
        gate,
        trust: Trust::of(&authority),
        clients,
    }
}

impl Asking {
    fn shown(&self, own: Option<&Issued>) -> std::io::Result<Connection> {
        let trust = self.trust.clone();
        let trust = own.map_or(trust.clone(), |own| trust.showing(own));
        self.gate.try_encrypted(&trust, NAME)
    }

    /// The answer to a request, or `None` for a client that is turned away.
    fn ask(&self, own: Option<&Issued>) -> Option<Response> {
        let mut client = self.shown(own).ok()?;
        client
            .try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            .ok()?;
        client.try_response()
    }
}

#[test]
fn a_required_certificate_is_asked_of_everybody() {
    let app = App::echoing_paths();
    let asking = asking(&app, true, ROOMY);
    let good = asking.clients.issue(&["acme.example"]);
    assert_eq!(
        asking.ask(Some(&good)).map(|answer| answer.status),
        Some(200)
    );
    assert!(asking.ask(None).is_none(), "no certificate");
    let stranger = Authority::new().issue(&["acme.example"]);
    assert!(
        asking.ask(Some(&stranger)).is_none(),
        "another authority's certificate"
    );
    let expired = asking
        .clients
        .issue_for_years(&["acme.example"], 2020, 2021);
    assert!(
        asking.ask(Some(&expired)).is_none(),
        "an expired certificate"
    );
    assert_eq!(app.requests(), 1);
    assert_eq!(asking.gate.closed("tls_failed"), 3.0);
}

#[test]
fn a_client_is_told_why_it_is_turned_away() {
    let app = App::echoing_paths();
    let asking = asking(&app, true, ROOMY);
    // In TLS 1.3 a client is done before the gate has seen its certificate.
    let mut client = asking
        .shown(None)
        .expect("the client's side of the handshake");
    let why = client.try_read().expect_err("no certificate").to_string();
    assert!(why.contains("CertificateRequired"), "{why}");
    let old = asking.trust.clone().over_1_2();
    let why = asking
        .gate
        .try_encrypted(&old, NAME)
        .err()
        .expect("no certificate")
        .to_string();
    assert!(
        why.contains("HandshakeFailure") || why.contains("CertificateRequired"),
        "{why}"
    );
}

#[test]
fn an_optional_certificate_is_still_checked() {
    let app = App::echoing_paths();
    let asking = asking(&app, false, ROOMY);
    let good = asking.clients.issue(&["acme.example"]);
    for own in [None, Some(&good)] {
        assert_eq!(asking.ask(own).map(|answer| answer.status), Some(200));
    }
    let stranger = Authority::new().issue(&["acme.example"]);
    assert!(
        asking.ask(Some(&stranger)).is_none(),
        "another authority's certificate"
    );
}

/// How many of twelve requests of this client pass its tenant's limit.
fn passing(asking: &Asking, own: Option<&Issued>) -> usize {
    let mut client = asking.shown(own).expect("the client gets in");
    let answers = (0..12).map(|_| client.get("/").status);
    answers.filter(|status| *status == 200).count()
}

#[test]
fn a_certificate_names_the_tenant() {
    let app = App::echoing_paths();
    let asking = asking(&app, false, &tiers("client-cert"));
    let named = |name| asking.clients.issue(&[name]);
    assert_eq!(
        passing(&asking, Some(&named("gold"))),
        5,
        "a listed name has its tier"
    );
    assert_eq!(
        passing(&asking, Some(&named("gold"))),
        0,
        "every certificate of it is the same tenant"
    );
    let silver = asking.clients.issue_to_person("silver");
    assert_eq!(
        passing(&asking, Some(&silver)),
        5,
        "a common name, where there is no other"
    );
    assert_eq!(passing(&asking, Some(&named("unlisted"))), 2);
    assert_eq!(
        passing(&asking, None),
        0,
        "shares with all that are not listed"
    );
}

#[test]
fn what_a_certificate_does_not_say_cannot_be_claimed() {
    let app = App::echoing_paths();
    let asking = asking(&app, false, &tiers("client-cert"));
    assert_eq!(passing(&asking, None), 2, "the shared budget is spent");
    let mut client = asking.shown(None).unwrap();
    for claim in [
        "Host: gold",
        "X-Client-Cert: gold",
        "X-SSL-Client-S-DN: CN=gold",
    ] {
        assert_eq!(client.get_with("/", &[claim]).status, 429, "{claim}");
    }
}

#[test]
fn explain_takes_the_name_of_a_certificate() {
    let app = App::echoing_paths();
    let asking = asking(&app, false, &tiers("client-cert"));
    let explain = |more: &[&str]| {
        let arguments = [&["explain", "127.0.0.1", "-o", "json"], more].concat();
        asking.gate.verb(&arguments).json()["tenant"].clone()
    };
    let gold = explain(&["--certificate", "gold"]);
    assert_eq!(
        (&gold["name"], &gold["tier"]),
        (&"gold".into(), &"generous".into())
    );
    let nobody = explain(&[]);
    assert_eq!(
        (&nobody["name"], &nobody["tier"]),
        (&serde_json::Value::Null, &"strict".into())
    );
}

#[test]
fn a_session_that_is_taken_up_again_is_still_its_tenants() {
    let app = App::echoing_paths();
    let asking = asking(&app, false, &tiers("client-cert"));
    let gold = asking.clients.issue(&["gold"]);
    let config = asking.trust.clone().showing(&gold).config();
    let (mut statuses, mut kinds) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let mut client = asking
            .gate
            .connect()
            .try_encrypt(config.clone(), NAME)
            .unwrap();
        statuses.push(client.get("/").status);
        kinds.push(client.session().handshake_kind());
    }
    assert_eq!(kinds[1..], [Some(HandshakeKind::Resumed); 5]);
    assert_eq!(
        statuses,
        [200, 200, 200, 200, 200, 429],
        "gold's burst, and not what others share"
    );
}

#[test]
fn an_authority_that_is_gone_is_trusted_no_longer() {
    let app = App::echoing_paths();
    let asking = asking(&app, true, ROOMY);
    let own = asking.clients.issue(&["acme.example"]);
    let config = asking.trust.clone().showing(&own).config();
    let connect = || asking.gate.connect().try_encrypt(config.clone(), NAME);
    assert_eq!(connect().unwrap().get("/").status, 200);
    asking
        .gate
        .folder
        .write("clients.pem", Authority::new().pem());
    let said = asking.gate.verb(&["reload"]).good();
    assert!(said.contains("clients.pem: renewed"), "{said}");
    // With a ticket of before, too.
    let refused = connect().and_then(|mut client| {
        client.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")?;
        client.try_read()
    });
    assert!(refused.is_err(), "the authority of before is still trusted");
    assert_eq!(app.requests(), 1);
}
