//! Forwarding to an app: bodies, fields, routes, retries.

use crate::harness::{App, Gate};

#[test]
fn a_request_reaches_the_app_and_its_response_the_client() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let response = gate.get("/hello?x=1");
    assert_eq!(
        (response.status, response.text()),
        (200, "/hello?x=1".to_owned())
    );
    let seen = app.last();
    assert_eq!(seen.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(seen.field("x-forwarded-host").as_deref(), Some("test"));
    assert_eq!(seen.field("via").as_deref(), Some("1.1 tidegate"));
}
