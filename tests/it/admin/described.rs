//! The API's own description: each path, each method and each answer of a real gate is as it says.

use serde_json::Value;

use super::api::ask;
use crate::handing_over::gate_in;
use crate::harness::{App, Folder, Gate, Schemas, tidegate};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// A request for each operation, in an order in which all are granted.
const GOOD: [(&str, &str, &str); 26] = [
    ("GET", "/v1/openapi.json", ""),
    (
        "POST",
        "/v1/known",
        r#"{"prefix":"127.0.0.1","seconds":3600,"reason":"x"}"#,
    ),
    ("GET", "/v1/known?limit=5&address=127.0.0.1", ""),
    ("POST", "/v1/known/import?name=list", "192.0.2.0/24\n"),
    (
        "POST",
        "/v1/blocks",
        r#"{"prefix":"198.51.100.1","reason":"x"}"#,
    ),
    ("GET", "/v1/blocks", ""),
    (
        "POST",
        "/v1/tenants",
        r#"{"name":"shop","tier":"high","seconds":3600}"#,
    ),
    ("GET", "/v1/tenants?name=shop", ""),
    (
        "POST",
        "/v1/mode",
        r#"{"mode":"known-only","seconds":600,"admit_unknown":"5%","reason":"x"}"#,
    ),
    (
        "POST",
        "/v1/reopen",
        r#"{"steps":["10%","50%"],"every":60}"#,
    ),
    ("GET", "/v1/mode", ""),
    (
        "DELETE",
        "/v1/passes",
        r#"{"id":"0123456789abcdef01234567"}"#,
    ),
    ("GET", "/v1/passes", ""),
    ("GET", "/v1/explain?address=127.0.0.1&host=shop&path=/a", ""),
    ("GET", "/v1/explain?address=198.51.100.1", ""),
    ("GET", "/v1/preview?mode=known-only", ""),
    ("GET", "/v1/top?window=1m&by=bytes&limit=3", ""),
    ("GET", "/v1/report?seconds=600", ""),
    ("GET", "/v1/audit?limit=10", ""),
    ("POST", "/v1/log/reopen", ""),
    ("POST", "/v1/reload", "{}"),
    ("GET", "/v1/status", ""),
    ("DELETE", "/v1/known", r#"{"prefix":"127.0.0.1"}"#),
    ("DELETE", "/v1/blocks", r#"{"prefix":"198.51.100.1"}"#),
    ("DELETE", "/v1/tenants", r#"{"name":"shop"}"#),
    ("POST", "/v1/upgrade", r#"{"seconds":20}"#),
];

fn gate(app: &App) -> Gate {
    let folder = Folder::new();
    let known = folder.write("known.txt", "203.0.113.0/24\n");
    let text = format!(
        "[client]\nmax_tracked = 1000\n[known]\nfiles = [\"{known}\"]\n[tenant]\nfrom = \"host\"\ntier = \"low\"\n[tier.low]\nlimit = {{ rate = \"9/s\" }}\n[tier.high]\nin_flight = 9\n[tenants]\nshop = \"low\"\n"
    );
    gate_in(folder, app, &text)
}

fn description(gate: &Gate) -> Value {
    let (status, kind, description) = ask(gate, "GET", "/v1/openapi.json", "");
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    description
}

#[test]
fn each_answer_is_as_described_and_each_operation_is_there() {
    let app = App::echoing_paths();
    let gate = gate(&app);
    gate.get("/");
    let description = description(&gate);
    let schemas = Schemas(&description);
    let mut asked = vec![("/v1/tail".to_owned(), "get".to_owned())];
    for (method, target, body) in GOOD {
        let path = target.split('?').next().unwrap();
        let (status, _, answer) = ask(&gate, method, target, body);
        assert_eq!(status, 200, "{method} {target}: {answer}");
        let method = method.to_lowercase();
        let described = &description["paths"][path][&method]["responses"]["200"];
        let schema = &described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path} is not described");
        let wrong = schemas.wrong(schema, &answer, "");
        assert!(
            wrong.is_empty(),
            "{method} {target}: {wrong:#?}\n{answer:#}"
        );
        asked.push((path.to_owned(), method));
    }
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let operation = (path.clone(), method.clone());
            assert!(
                asked.contains(&operation),
                "{operation:?} was not asked for"
            );
        }
    }
}

#[test]
fn each_refusal_is_a_problem_and_what_is_not_described_is_refused() {
    let app = App::echoing_paths();
    let gate = gate(&app);
    let description = description(&gate);
    let schemas = Schemas(&description);
    let content = &description["components"]["responses"]["Problem"]["content"];
    let problem = &content["application/problem+json"]["schema"];
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in METHODS {
            if operations.get(method).is_some() && method == "get" {
                continue;
            }
            let (status, kind, answer) = ask(&gate, &method.to_uppercase(), path, "[");
            let expected = match operations.get(method) {
                // What takes no body looks at none.
                Some(_) if path == "/v1/log/reopen" => continue,
                Some(_) if path == "/v1/known/import" => 422,
                Some(_) => 400,
                None => 405,
            };
            assert_eq!(status, expected, "{method} {path}: {answer}");
            assert_eq!(kind, "application/problem+json", "{method} {path}");
            let wrong = schemas.wrong(problem, &answer, "");
            assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}");
        }
    }
}

#[test]
fn the_description_is_whole_and_printed_without_a_gate() {
    let printed = tidegate(&["schema", "api"]).json();
    assert_eq!(printed["openapi"], "3.1.0");
    let schemas = Schemas(&printed);
    let mut left = vec![&printed];
    while let Some(value) = left.pop() {
        schemas.resolved(value);
        let below = value
            .as_object()
            .into_iter()
            .flat_map(|object| object.values());
        left.extend(below.chain(value.as_array().into_iter().flatten()));
    }
    let parameters = printed["paths"]["/v1/explain"]["get"]["parameters"].clone();
    let address = parameters
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "address");
    assert_eq!(address.unwrap()["required"], true, "{parameters:#}");
    let body = &printed["paths"]["/v1/mode"]["post"]["requestBody"]["content"]["application/json"];
    assert!(body["schema"]["properties"]["mode"].is_object(), "{body:#}");
}
