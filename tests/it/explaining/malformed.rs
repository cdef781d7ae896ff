//! What cannot be asked: an error that says why, and nothing worse.

use super::raw;
use crate::harness::{App, Folder, Gate, ROOMY, tidegate};

#[test]
fn what_cannot_be_a_request_is_an_error_that_says_why() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    let client = "address=192.0.2.1";
    let long = "x".repeat(20_000);
    let fields = (0..200)
        .map(|number| format!("a{number}:b%0A"))
        .collect::<String>();
    for (query, parts) in [
        ("address=nobody", &["\"nobody\" is not an IP address"][..]),
        ("address=", &["is not an IP address"]),
        ("address=192.0.2.0/24", &["is not an IP address"]),
        ("", &["address"]),
        (&format!("{client}&address=192.0.2.2"), &["address"]),
        (&format!("{client}&wath=/"), &["wath"]),
        (
            &format!("{client}&path=login"),
            &["a path starts with /", "login"],
        ),
        (&format!("{client}&path=%2Fa%20b"), &["the path has ' '"]),
        (
            &format!("{client}&path=%2F%0D%0AX-Evil:%20x"),
            &["the path has '\\r'"],
        ),
        (
            &format!("{client}&path=/%20HTTP/1.1%0Ax:y"),
            &["the path has ' '"],
        ),
        (
            &format!("{client}&path=/%1B[31m"),
            &["the path has '\\u{1b}'"],
        ),
        (
            &format!("{client}&path=/a/../b"),
            &["malformed", ". or .. segments"],
        ),
        (
            &format!("{client}&path={long}"),
            &["a path starts with /", "..."],
        ),
        (&format!("{client}&path=/{long}"), &["its path is too long"]),
        (&format!("{client}&path=/%C3%A9"), &["percent-encoded"]),
        (&format!("{client}&method=G%20ET"), &["the method has ' '"]),
        (&format!("{client}&method="), &["malformed"]),
        (&format!("{client}&method=CONNECT"), &["this method"]),
        (&format!("{client}&host=a%20b"), &["the host has ' '"]),
        (
            &format!("{client}&host=a%0D%0A%0D%0AGET%20/"),
            &["the host has '\\r'"],
        ),
        (
            &format!("{client}&host=a,b"),
            &["malformed", "host and port"],
        ),
        (&format!("{client}&host=a&fields=Host:b"), &["malformed"]),
        (
            &format!("{client}&fields=nothing"),
            &["\"NAME: VALUE\"", "nothing"],
        ),
        (
            &format!("{client}&fields=a:b%0A%0Ac:d"),
            &["\"NAME: VALUE\""],
        ),
        (
            &format!("{client}&fields=a:b%0Dc:d"),
            &["\"NAME: VALUE\"", "\\r"],
        ),
        (
            &format!("{client}&fields=a:%1B[31m"),
            &["\"NAME: VALUE\"", "\\u{1b}"],
        ),
        (&format!("{client}&fields=:b"), &["\"NAME: VALUE\""]),
        (
            &format!("{client}&fields=a%20b:c"),
            &["malformed", "field name"],
        ),
        (
            &format!("{client}&fields={fields}"),
            &["too large or too many"],
        ),
        (
            &format!("{client}&fields=Content-Length:1%0AContent-Length:2"),
            &["malformed"],
        ),
    ] {
        let (status, problem) = raw(&gate, query);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{query:.200}: {problem}");
        for part in parts {
            assert!(
                detail.contains(part),
                "no {part:?} in {detail:?} for {query:.200}"
            );
        }
        let is_plain = !detail.contains(|sign: char| sign.is_control());
        assert!(is_plain && detail.len() < 400, "{detail:?}");
    }
    for length in [65_535, 100_000, 1_000_000] {
        let (status, _) = raw(&gate, &format!("{client}&fields=a:{}", "x".repeat(length)));
        assert!((400..500).contains(&status), "{status} for {length} bytes");
    }
    assert_eq!(raw(&gate, client).0, 200, "it still answers");
}

#[test]
fn the_verb_refuses_what_it_cannot_ask_and_prints_no_escapes() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    for arguments in [
        &["nobody"][..],
        &["192.0.2.0/24"],
        &["192.0.2.1", "--header", "nothing"],
        &["192.0.2.1", "--header", ": value"],
        &["192.0.2.1", "--header", "a: b\r\nc: d"],
    ] {
        let output = gate.verb(&[&["explain"], arguments].concat());
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {output:#?}"
        );
    }
    let long = format!("a: {}", "x".repeat(100_000));
    for (arguments, part) in [
        (["--path", "login"], "a path starts with /"),
        (["--path", "/\u{1b}[31mred"], "the path has"),
        (["--host", "a\u{1b}]0;title\u{7}"], "the host has"),
        (["--host", "a\u{9b}31m"], "the host has"),
        (["--header", "a: \u{1b}[31m"], "NAME: VALUE"),
        (["--header", &long], "too long to be asked about"),
    ] {
        for format in ["human", "json"] {
            let asked = [&["explain", "-o", format, "192.0.2.1"], &arguments[..]].concat();
            let output = gate.verb(&asked);
            assert_eq!(
                (output.code, output.stdout.as_str()),
                (1, ""),
                "{part}: {output:#?}"
            );
            assert!(
                output.stderr.contains(part),
                "no {part:?} in {}",
                output.stderr
            );
            let is_plain = |sign: char| !sign.is_control() || sign == '\n';
            assert!(output.stderr.chars().all(is_plain), "{:?}", output.stderr);
        }
    }
    let gone = Folder::new().path("admin.sock");
    let output = tidegate(&["--admin", gone.to_str().unwrap(), "explain", "192.0.2.1"]);
    assert_eq!(output.code, 1, "{output:#?}");
}
