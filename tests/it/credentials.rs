//! Tenants told by secrets, which are listed by their SHA-256 and never written down.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::harness::{App, Folder, Gate, ROOMY, with_upstream};
use crate::tenants::passing;

const SECRET: &str = "s3cret-Key/of+acme==";
const OTHER_SECRET: &str = "another key, with spaces";

fn digits(secret: &str) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(secret) {
        write!(digits, "{byte:02x}").unwrap();
    }
    digits
}

/// A gate that tells tenants by `from`, with these lines in its file of tenants.
fn gate_with(app: &App, from: &str, lines: &str) -> Gate {
    let folder = Folder::new();
    folder.write("tenants.txt", lines);
    let text = format!(
        "{ROOMY}[tenant]\nfrom = \"{from}\"\ntier = \"strict\"\nfiles = [\"tenants.txt\"]\n\
         [tier.strict]\nlimit = {{ rate = \"1/h\", burst = 2 }}\n\
         [tier.generous]\nlimit = {{ rate = \"1/h\", burst = 5 }}\n\
         [tier.huge]\nlimit = {{ rate = \"1/h\", burst = 9 }}\n"
    );
    Gate::start_in(folder, &with_upstream(&[app.address], &text))
}

fn with_key(gate: &Gate, key: &str) -> usize {
    passing(gate, "/", &[&format!("X-Key: {key}")])
}

/// Everything that the gate has written so far, when this many requests are in its log.
fn written(gate: &Gate, requests: usize) -> String {
    let log: Vec<String> = gate
        .log(requests)
        .iter()
        .map(|line| line.to_string())
        .collect();
    let state = std::fs::read_to_string(gate.folder.path("state/tenants.json"));
    [
        log.join("\n"),
        gate.messages().join("\n"),
        state.unwrap_or_default(),
    ]
    .join("\n")
}

#[test]
fn the_credential_has_the_budget_that_is_listed_for_its_hash() {
    let app = App::echoing_paths();
    let lines = format!("sha256:{} generous name=acme\n", digits(SECRET));
    let gate = gate_with(&app, "header:X-Key", &lines);
    assert_eq!(with_key(&gate, SECRET), 5);
    assert_eq!(
        with_key(&gate, "S3CRET-Key/of+acme=="),
        2,
        "another one is unlisted"
    );
    assert_eq!(with_key(&gate, &digits(SECRET)), 0, "so are the digits");
    assert_eq!(
        with_key(&gate, &format!("sha256:{}", digits(SECRET))),
        0,
        "and what is listed"
    );
    let log = gate.log(48);
    let named = log.iter().filter(|line| line["tenant"] == "acme").count();
    assert_eq!(named, 12, "{log:#?}");
    let written = written(&gate, 48);
    assert!(
        !written.to_lowercase().contains(&SECRET.to_lowercase()),
        "{written}"
    );
}

#[test]
fn a_hash_in_upper_case_is_the_same() {
    let app = App::echoing_paths();
    let lines = format!(
        "sha256:{} generous name=acme\n",
        digits(SECRET).to_uppercase()
    );
    let gate = gate_with(&app, "header:X-Key", &lines);
    assert_eq!(with_key(&gate, SECRET), 5);
}

#[test]
fn a_cookie_is_told_by_its_hash_too() {
    let app = App::echoing_paths();
    let lines = format!("sha256:{} generous name=acme\n", digits(SECRET));
    let gate = gate_with(&app, "cookie:account", &lines);
    let cookie = |value: &str| format!("Cookie: a=b; account={value}; c=d");
    assert_eq!(passing(&gate, "/", &[&cookie(SECRET)]), 5);
    assert_eq!(passing(&gate, "/", &[&cookie("other")]), 2);
    let listed = format!("sha256:{}", digits(SECRET));
    assert_eq!(passing(&gate, "/", &[&cookie(&listed)]), 0);
    assert!(!written(&gate, 36).contains(SECRET));
}

#[test]
fn two_credentials_of_one_name_share_one_budget() {
    let app = App::echoing_paths();
    let lines = format!(
        "sha256:{} generous name=acme\nsha256:{} generous name=acme\nplain generous\n",
        digits(SECRET),
        digits(OTHER_SECRET)
    );
    let gate = gate_with(&app, "header:X-Key", &lines);
    let mut client = gate.connect();
    for key in [SECRET, OTHER_SECRET, SECRET] {
        let response = client.get_with("/", &[&format!("X-Key: {key}")]);
        assert_eq!(response.status, 200, "{key}");
    }
    assert_eq!(with_key(&gate, OTHER_SECRET), 2, "three of five are used");
    assert_eq!(with_key(&gate, SECRET), 0);
    assert_eq!(
        with_key(&gate, "plain"),
        5,
        "beside one that is listed as it is"
    );
}

#[test]
fn a_credential_has_at_most_512_bytes() {
    let app = App::echoing_paths();
    let (longest, longer) = ("k".repeat(512), "k".repeat(513));
    let lines = format!(
        "sha256:{} generous name=longest\nsha256:{} generous name=longer\n",
        digits(&longest),
        digits(&longer)
    );
    let gate = gate_with(&app, "header:X-Key", &lines);
    assert_eq!(with_key(&gate, &longest), 5);
    assert_eq!(with_key(&gate, &longer), 2, "unlisted, whatever its hash");
    assert_eq!(with_key(&gate, &"k".repeat(4_000)), 0);
}

#[test]
fn an_operator_who_types_the_credential_means_its_tenant() {
    let app = App::echoing_paths();
    let hash = format!("sha256:{}", digits(SECRET));
    let lines = format!("{hash} generous name=acme\n");
    let gate = gate_with(&app, "header:X-Key", &lines);
    let shouted = format!("sha256:{}", digits(SECRET).to_uppercase());
    for name in ["acme", SECRET, &hash, &shouted] {
        let output = gate.verb(&["tenant", "set", name, "huge", "-o", "json"]);
        assert_eq!(output.stderr, "", "{name} is listed");
        assert_eq!(output.json()["name"], "acme", "{name}");
        let list = gate.verb(&["tenant", "list", name, "-o", "json"]).json();
        assert_eq!(list["tenants"][0]["tier"], "huge", "{name}: {list:#}");
        gate.verb(&["tenant", "unset", name]).good();
    }
    gate.verb(&["tenant", "set", SECRET, "huge"]).good();
    assert_eq!(with_key(&gate, SECRET), 9);
    assert_eq!(gate.log(12)[0]["tenant"], "acme");
    assert!(
        !written(&gate, 12).contains(SECRET),
        "the secret is written down"
    );
}
