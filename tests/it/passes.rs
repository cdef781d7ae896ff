//! Passes: given on a confirmed login, believed from any address, bounded, revocable, and not forged.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate::pass::{Keys, Pass};

use crate::harness::{
    App, Connection, Folder, Gate, Http2, PROXIED, ROOMY, Reply, Response, eventually, request,
    tidegate, with_upstream,
};
use crate::http2::serving;

mod keys;
mod limits;
mod revoked;

/// Nobody is learned by address, so that whoever is let in is so by a pass.
const RULES: &str = "[known.learn]\nheader = \"x-tidegate-known\"\nmax = 0\n[known.pass]\n";
const LOGIN: &str = "[known_only]\nexempt_paths = [\"/login\"]\n";

/// An app that confirms whoever logs in.
fn app() -> App {
    App::answering(|request| match request.path.as_str() {
        "/login" | "/again" => Reply::Full(
            200,
            vec!["X-Tidegate-Known: 1".into(), "Set-Cookie: session=1".into()],
            Vec::new(),
        ),
        path => Reply::text(path),
    })
}

fn new_key(folder: &Folder) -> String {
    let path = folder.path("pass.key").display().to_string();
    tidegate(&["pass", "new-key", &path]).good();
    path
}

fn configured(app: &App, folder: &Folder, client: &str, more: &str) -> String {
    let key = folder.path("pass.key");
    let config = format!(
        "{client}{LOGIN}{RULES}key_file = \"{}\"\n{more}",
        key.display()
    );
    with_upstream(&[app.address], &config)
}

/// A gate in `known-only`.
fn gate_with(app: &App, client: &str, more: &str) -> Gate {
    let folder = Folder::new();
    new_key(&folder);
    let config = configured(app, &folder, client, more);
    let gate = Gate::start_in(folder, &config);
    gate.verb(&["mode", "known-only", "--force"]).good();
    gate
}

fn gate(app: &App) -> Gate {
    gate_with(app, ROOMY, "")
}

fn set_cookie(response: &Response) -> Option<String> {
    let mut fields = response.fields.iter();
    let given = fields.find(|(name, value)| name == "set-cookie" && value.contains("_pass="));
    given.map(|(_, value)| value.clone())
}

/// `tidegate_pass=...`, of a client that has logged in.
fn log_in(gate: &Gate) -> String {
    let given = set_cookie(&gate.get("/login")).expect("a pass");
    given.split(';').next().unwrap().to_owned()
}

fn with_cookies(gate: &Gate, source: &str, cookies: &[&str]) -> Response {
    let fields: Vec<String> = cookies.iter().map(|one| format!("Cookie: {one}")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    Connection::open_from(source, gate.address).get_with("/in", &fields)
}

fn status_with(gate: &Gate, cookie: &str) -> u16 {
    with_cookies(gate, "127.0.0.9", &[cookie]).status
}

fn events(gate: &Gate, event: &str) -> f64 {
    gate.metric(&format!("tidegate_passes_total{{event=\"{event}\"}}"))
}

#[test]
fn who_has_one_is_let_in_from_any_address() {
    let app = app();
    let gate = gate(&app);
    assert_eq!(gate.get("/in").status, 503);
    let reply = gate.get("/login");
    let given = set_cookie(&reply).expect("a pass");
    assert!(
        given.ends_with("; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax"),
        "{given}"
    );
    let mut caching = reply
        .fields
        .iter()
        .filter(|(name, _)| name == "cache-control");
    assert!(caching.any(|(_, value)| value == "private"), "{reply:?}");
    let cookie = given.split(';').next().unwrap();
    for source in ["127.0.0.2", "127.0.3.4", "127.0.0.1"] {
        assert_eq!(
            with_cookies(&gate, source, &[cookie]).status,
            200,
            "{source}"
        );
    }
    assert_eq!(with_cookies(&gate, "127.0.0.2", &["a=b"]).status, 503);
    assert_eq!(
        ["issued", "let_in", "invalid"].map(|event| events(&gate, event)),
        [1.0, 3.0, 0.0]
    );
    let known = "tidegate_known_requests_total{outcome=\"forwarded\",reason=\"none\"}";
    assert_eq!(gate.metric(known), 3.0, "who has one is a known customer");
}

#[test]
fn the_app_does_not_see_it_and_it_is_not_given_twice() {
    let app = app();
    let gate = gate(&app);
    let pass = log_in(&gate);
    let cookies = format!("a=1; {pass}; b=2");
    assert_eq!(
        with_cookies(&gate, "127.0.0.2", &[&cookies, "c=3"]).status,
        200
    );
    assert_eq!(app.last().field("cookie").as_deref(), Some("a=1; b=2, c=3"));
    assert_eq!(with_cookies(&gate, "127.0.0.2", &[&pass]).status, 200);
    assert_eq!(app.last().field("cookie"), None);
    let spaced = format!("a=1; {}", pass.replace('=', " = "));
    assert_eq!(with_cookies(&gate, "127.0.0.2", &[&spaced]).status, 200);
    assert_eq!(app.last().field("cookie").as_deref(), Some("a=1"));
    let cookie = format!("Cookie: {pass}");
    let again = gate.connect().get_with("/again", &[&cookie]);
    assert_eq!(
        (again.status, set_cookie(&again)),
        (200, None),
        "it is fresh"
    );
    assert_eq!(
        again.field("set-cookie"),
        Some("session=1"),
        "the app's own"
    );
}

#[test]
fn what_is_forged_cut_huge_or_there_twice_is_not_believed() {
    let app = app();
    let gate = gate(&app);
    let pass = log_in(&gate);
    let other = log_in(&gate);
    assert_ne!(pass, other);
    let value = pass.strip_prefix("tidegate_pass=").unwrap();
    let mut forged = value.to_owned();
    // A time that is later, with the signature of the earlier one.
    forged.replace_range(25..26, if &value[25..26] == "A" { "B" } else { "A" });
    let cut = &value[..value.len() - 1];
    let huge = "A".repeat(8000);
    let wrong = [
        forged.as_str(),
        cut,
        "",
        "x",
        &huge,
        &format!("{value}A"),
        &format!("\"{value}\""),
    ];
    for wrong in wrong {
        let cookie = format!("tidegate_pass={wrong}");
        assert_eq!(status_with(&gate, &cookie), 503, "{:.100}", cookie);
    }
    let others = ["xtidegate_pass=1", "tidegate_pass_2=1", "a=tidegate_pass"];
    for other in others {
        assert_eq!(status_with(&gate, other), 503, "{other}");
    }
    assert_eq!(
        events(&gate, "invalid"),
        wrong.len() as f64,
        "cookies of other names are no passes that are invalid"
    );
    assert_eq!(status_with(&gate, &format!("{pass}; {pass}")), 503);
    assert_eq!(
        status_with(&gate, &format!("{pass}; tidegate_pass =x")),
        503
    );
    assert_eq!(
        with_cookies(&gate, "127.0.0.9", &[&pass, &other]).status,
        503
    );
    assert_eq!(status_with(&gate, &pass.to_uppercase()), 503);
    assert_eq!(status_with(&gate, &pass), 200);
    let refused = gate.verb(&[
        "explain",
        "127.0.0.9",
        "--header",
        "Cookie: tidegate_pass=x",
    ]);
    assert!(refused.good().contains("pass         NOT BELIEVED"));
}

/// A pass as the gate gave it so many days ago.
fn given_before(gate: &Gate, days: u64) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let keys = Keys::read(&gate.folder.path("pass.key")).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let pass = Pass::issue(None, now.as_secs() - days * DAY, 30 * DAY).unwrap();
    format!("tidegate_pass={}", pass.seal(&keys, 0))
}

#[test]
fn one_that_has_expired_is_not_believed_and_an_old_one_is_renewed() {
    let app = app();
    let gate = gate(&app);
    let [fresh, old, expired] = [14, 29, 31].map(|days| given_before(&gate, days));
    let statuses = [&fresh, &old, &expired].map(|pass| status_with(&gate, pass));
    assert_eq!(statuses, [200, 200, 503]);
    let again = |pass: &str| {
        let cookie = format!("Cookie: {pass}");
        let given = set_cookie(&gate.connect().get_with("/login", &[&cookie]));
        given.map(|given| given.split(';').next().unwrap().to_owned())
    };
    assert_eq!(again(&fresh), None, "more than half of its time is left");
    let renewed = again(&old).expect("a pass for longer");
    assert!(again(&expired).is_some());
    let id = |pass: &str| {
        let header = format!("Cookie: {pass}");
        let said = gate.verb(&["explain", "127.0.0.9", "--header", &header, "-o", "json"]);
        said.json()["pass"]["valid"]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(id(&renewed), id(&old), "to revoke it means both");
    gate.verb(&["pass", "revoke", &id(&old)]).good();
    assert_eq!(
        [&old, &renewed].map(|pass| status_with(&gate, pass)),
        [503; 2]
    );
}

#[test]
fn they_are_given_and_believed_over_http2() {
    let app = app();
    let folder = Folder::new();
    let key = new_key(&folder);
    let (gate, trust) = serving(
        &app,
        &format!("{ROOMY}{LOGIN}{RULES}key_file = \"{key}\"\n"),
    );
    gate.verb(&["mode", "known-only", "--force"]).good();
    let client = Http2::open(&gate, &trust);
    let given = client.get("/login");
    let given: Vec<&str> = given
        .fields
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    let given = given
        .iter()
        .find(|value| value.starts_with("tidegate_pass="))
        .expect("a pass");
    assert!(given.ends_with("; Secure"), "{given}");
    let pass = given.split(';').next().unwrap();
    let ask = |cookies: &[&str]| {
        let mut asked = request("GET", "/in");
        for cookie in cookies {
            asked
                .headers_mut()
                .append("cookie", cookie.parse().unwrap());
        }
        client.ask(asked, &[]).unwrap().status
    };
    assert_eq!(ask(&[]), 503);
    // RFC 9113 section 8.2.3: each cookie may have a field of its own.
    assert_eq!(ask(&["a=1", pass, "b=2"]), 200);
    let seen = app.last().field("cookie").unwrap_or_default();
    assert!(
        seen.contains("a=1") && seen.contains("b=2") && !seen.contains("_pass"),
        "{seen}"
    );
    assert_eq!(ask(&[pass, pass]), 503);
    let huge = format!("tidegate_pass={}", "A".repeat(9000));
    assert_eq!(ask(&[&huge]), 503);
    assert_eq!(ask(&[&pass[..pass.len() - 1]]), 503);
    assert_eq!(ask(&[pass]), 200);
}

#[test]
fn a_trusted_proxy_says_whether_it_has_to_be_secure() {
    let app = app();
    let gate = gate_with(&app, PROXIED, "");
    for (fields, secure) in [
        (
            &["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"][..],
            true,
        ),
        (
            &["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http"],
            false,
        ),
        (&["X-Forwarded-For: 192.0.2.1"], false),
    ] {
        let given = set_cookie(&gate.connect().get_with("/login", fields)).expect("a pass");
        assert_eq!(given.ends_with("; Secure"), secure, "{fields:?}: {given}");
    }
    let direct = self::gate(&app);
    let claimed = direct
        .connect()
        .get_with("/login", &["X-Forwarded-Proto: https"]);
    assert!(!set_cookie(&claimed).unwrap().contains("Secure"));
}

#[test]
fn strangers_may_show_one_where_no_path_is_open() {
    let app = app();
    let folder = Folder::new();
    let key = new_key(&folder);
    let config = format!("{ROOMY}{RULES}key_file = \"{key}\"\n");
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &config));
    let pass = log_in(&gate);
    gate.verb(&["mode", "known-only", "--force"]).good();
    assert_eq!(gate.get("/in").status, 503, "told at the request");
    assert_eq!(status_with(&gate, &pass), 200);
}

#[test]
fn numbers_of_passes_are_their_own() {
    let app = app();
    let gate = gate(&app);
    let passes: HashSet<String> = (0..20).map(|_| log_in(&gate)).collect();
    assert_eq!(passes.len(), 20);
    eventually("all to be counted", || events(&gate, "issued") == 20.0);
}
