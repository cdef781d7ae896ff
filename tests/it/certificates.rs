//! Certificates of listeners: renewed while the gate runs, told of, and looked at before they are used.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::harness::{
    App, Authority, Folder, Gate, Issued, Output, ROOMY, Trust, eventually, tidegate, tls_listener,
    with_upstream,
};

const NAME: &str = "one.example";

fn configuration(app: &App, certificates: &[String]) -> String {
    let listener = tls_listener(certificates, "");
    with_upstream(&[app.address], &format!("{ROOMY}{listener}"))
}

/// A gate with one certificate, its authority, and the configuration.
struct Serving {
    gate: Gate,
    authority: Authority,
    trust: Trust,
    app: App,
    first: Issued,
}

fn serving() -> Serving {
    let app = App::echoing_paths();
    let (folder, authority) = (Folder::new(), Authority::new());
    let first = authority.issue(&[NAME]);
    let written = first.write(&folder, "gate");
    let gate = Gate::start_in(folder, &configuration(&app, &[written]));
    Serving {
        gate,
        trust: Trust::of(&authority),
        authority,
        app,
        first,
    }
}

impl Serving {
    fn shown(&self) -> CertificateDer<'static> {
        self.gate.encrypted(&self.trust, NAME).certificate()
    }

    /// A reload that must fail, and leave the certificate that is there.
    fn keeps_after(&self, what: &str, words: &[&str]) {
        let refused = self.gate.verb(&["reload"]);
        assert_ne!(refused.code, 0, "{what}: {refused:?}");
        for word in words {
            assert!(
                refused.stderr.contains(word),
                "{what}: no {word:?} in {}",
                refused.stderr
            );
        }
        assert_eq!(
            self.shown(),
            self.first.leaf(),
            "{what}: another certificate is shown"
        );
    }
}

#[test]
fn a_renewed_certificate_is_served_and_no_connection_is_dropped() {
    let serving = serving();
    let gate = &serving.gate;
    let mut kept = gate.encrypted(&serving.trust, NAME);
    assert_eq!(kept.get("/").status, 200);
    let mut begun = gate.encrypted(&serving.trust, NAME);
    begun.send("GET / HTTP/1.1\r\nHo");
    let second = serving.authority.issue(&[NAME]);
    second.write(&gate.folder, "gate");
    assert_eq!(
        serving.shown(),
        serving.first.leaf(),
        "nobody has said reload"
    );
    let said = gate.verb(&["reload"]).good();
    assert!(
        said.contains("1 change") && said.contains("gate.pem: renewed"),
        "{said}"
    );
    assert_eq!(serving.shown(), second.leaf());
    begun.send("st: test\r\n\r\n");
    assert_eq!(
        begun.response().status,
        200,
        "a request that was begun before"
    );
    assert_eq!(
        kept.get("/").status,
        200,
        "a connection that was there before"
    );
    let said = gate.verb(&["reload"]).good();
    assert!(said.contains("nothing is different"), "{said}");
    assert_eq!(serving.shown(), second.leaf());
}

#[test]
fn a_certificate_that_cannot_be_used_leaves_the_one_there_is() {
    let serving = serving();
    let folder = &serving.gate.folder;
    let other = serving.authority.issue(&[NAME]);
    folder.write("gate.pem", &other.chain);
    serving.keeps_after(
        "another key",
        &["gate.pem", "gate.key", "not this certificate's"],
    );
    for (what, chain, words) in [
        (
            "half",
            &serving.first.chain[..serving.first.chain.len() / 2],
            &["gate.pem"][..],
        ),
        ("empty", "", &["gate.pem", "BEGIN CERTIFICATE"]),
        ("not PEM", "certificate", &["gate.pem", "BEGIN CERTIFICATE"]),
        (
            "not a certificate",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &["gate.pem"],
        ),
    ] {
        folder.write("gate.pem", chain);
        serving.keeps_after(what, words);
    }
    std::fs::remove_file(folder.path("gate.pem")).unwrap();
    serving.keeps_after("gone", &["gate.pem", "cannot be read"]);
    folder.write("gate.pem", &serving.first.chain);
    for (what, key) in [
        (
            "half a key",
            &serving.first.key[..serving.first.key.len() / 2],
        ),
        ("an empty key", ""),
        ("a certificate as key", &serving.first.chain),
    ] {
        folder.write("gate.key", key);
        serving.keeps_after(what, &["gate.key", "private key"]);
    }
    let status = serving.gate.verb(&["status"]).good();
    assert!(status.contains("LAST RELOAD FAILED"), "{status}");
    serving.first.write(folder, "gate");
    serving.gate.verb(&["reload"]).good();
    assert_eq!(serving.shown(), serving.first.leaf());
}

#[test]
fn what_is_wrong_with_a_key_is_told_without_its_text() {
    let serving = serving();
    let secret = serving.first.key.replace("PRIVATE KEY", "PRIVATE KEY X");
    serving.gate.folder.write("gate.key", &secret);
    let refused = serving.gate.verb(&["reload"]);
    assert_ne!(refused.code, 0);
    let line = serving.first.key.lines().nth(1).unwrap();
    assert!(!refused.stderr.contains(&line[..20]), "{}", refused.stderr);
    assert!(!serving.gate.messages().concat().contains(&line[..20]));
}

#[test]
fn certificates_come_and_go_with_the_configuration() {
    let serving = serving();
    let (gate, authority) = (&serving.gate, &serving.authority);
    let second = authority.issue(&["two.example"]);
    let written = second.write(&gate.folder, "second");
    let first = "{ chain = \"gate.pem\", key = \"gate.key\" }".to_owned();
    gate.folder
        .configure(&configuration(&serving.app, &[first, written.clone()]));
    gate.verb(&["reload"]).good();
    let two = gate.encrypted(&serving.trust, "two.example");
    assert_eq!(two.certificate(), second.leaf());
    gate.folder
        .configure(&configuration(&serving.app, &[written]));
    gate.verb(&["reload"]).good();
    assert!(
        gate.try_encrypted(&serving.trust, NAME).is_err(),
        "the first one is gone"
    );
    let plain = with_upstream(&[serving.app.address], ROOMY);
    gate.folder.configure(&plain);
    gate.verb(&["reload"]).good();
    assert_eq!(gate.get("/").status, 200, "without TLS now");
    let status = gate.verb(&["status"]).good();
    assert!(
        status.contains(&format!("http://{}", gate.address)),
        "{status}"
    );
}

/// Seconds since the epoch of the first day of a year.
fn begin_of(year: i32) -> i64 {
    rcgen::date_time_ymd(year, 1, 1).unix_timestamp()
}

#[test]
fn the_end_of_each_certificate_is_a_metric() {
    let serving = serving();
    let gate = &serving.gate;
    let chain = gate.folder.path("gate.pem");
    let metric = format!(
        "tidegate_certificate_expiry_timestamp_seconds{{certificate=\"{}\",listener=\"{}\"}}",
        chain.display(),
        gate.address
    );
    for year in [2090, 2020] {
        let issued = serving.authority.issue_for_years(&[NAME], 2000, year);
        issued.write(&gate.folder, "gate");
        gate.verb(&["reload"]).good();
        assert_eq!(gate.metric(&metric), begin_of(year) as f64);
    }
}

#[test]
fn status_names_certificates_that_end_soon() {
    let serving = serving();
    let gate = &serving.gate;
    let status = gate.verb(&["status"]).good();
    assert!(
        status.contains(&format!("https://{}", gate.address)),
        "{status}"
    );
    assert!(
        !status.contains("gate.pem"),
        "this one is good for long: {status}"
    );
    let ending_in = |days: u64| {
        let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = (SystemTime::now() + Duration::from_secs(days * 86_400 + 43_200)).into();
        serving.authority.sign(params).write(&gate.folder, "gate");
        gate.verb(&["reload"]).good();
        gate.verb(&["status"]).good()
    };
    let status = ending_in(20);
    assert!(status.contains("gate.pem ENDS in 20d 1"), "{status}");
    assert!(!ending_in(21).contains("gate.pem"));
    serving
        .authority
        .issue_for_years(&[NAME], 2020, 2021)
        .write(&gate.folder, "gate");
    let reloaded = gate.verb(&["reload"]);
    assert!(
        reloaded.stderr.contains("gate.pem is expired"),
        "{reloaded:?}"
    );
    reloaded.good();
    let status = gate.verb(&["status"]).good();
    assert!(status.contains("gate.pem HAS EXPIRED"), "{status}");
    let told = &gate.status()["listeners"][0];
    assert_eq!(
        (&told["tls"], &told["proxy_protocol"]),
        (&true.into(), &false.into())
    );
    assert_eq!(told["certificates"][0]["not_after"], begin_of(2021));
}

/// What `validate` says to a listener with this certificate.
fn validate(folder: &Folder, certificates: &[String]) -> Output {
    let config = folder.configure(&configuration(&App::echoing_paths(), certificates));
    tidegate(&["validate", config.to_str().unwrap()])
}

#[test]
fn validate_looks_at_certificates() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let good = authority.issue(&[NAME]);
    let written = [good.write(&folder, "gate")];
    let said = validate(&folder, &written);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    for (first, last, words) in [(2000, 2001, "is expired"), (2080, 2090, "is not valid yet")] {
        authority
            .issue_for_years(&[NAME], first, last)
            .write(&folder, "gate");
        let said = validate(&folder, &written);
        assert!(said.code == 0 && said.stderr.contains(words), "{said:?}");
    }
    good.write(&folder, "gate");
    let key = folder.path("gate.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = validate(&folder, &written);
    assert!(
        said.stderr.contains("gate.key can be read by everybody"),
        "{said:?}"
    );
    let other = authority.issue(&[NAME]);
    folder.write("gate.key", other.key);
    let said = validate(&folder, &written);
    assert!(
        said.code == 2 && said.stderr.contains("not this certificate's"),
        "{said:?}"
    );
}

#[test]
fn a_gate_with_an_expired_certificate_says_so_at_its_start() {
    let app = App::echoing_paths();
    let (folder, authority) = (Folder::new(), Authority::new());
    let written = authority
        .issue_for_years(&[NAME], 2020, 2021)
        .write(&folder, "gate");
    let gate = Gate::start_in(folder, &configuration(&app, &[written]));
    eventually("a warning", || gate.has_said("gate.pem is expired"));
}

#[test]
fn requests_go_on_while_certificates_are_renewed_again_and_again() {
    let serving = serving();
    let gate = &serving.gate;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients = [0, 1].map(|_| {
            scope.spawn(|| {
                let mut kept = gate.encrypted(&serving.trust, NAME);
                let mut answered = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(kept.get("/").status, 200);
                    assert_eq!(gate.encrypted(&serving.trust, NAME).get("/").status, 200);
                    answered += 2;
                }
                answered
            })
        });
        for _ in 0..10 {
            serving.authority.issue(&[NAME]).write(&gate.folder, "gate");
            gate.verb(&["reload"]).good();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for client in clients {
            assert!(
                client.join().unwrap() > 10,
                "few requests were made meanwhile"
            );
        }
    });
    assert_eq!(gate.closed("tls_failed"), 0.0);
}
