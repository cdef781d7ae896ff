//! The screen, with its keys.

use crate::harness::{App, Connection, Gate, ROOMY, Terminal, eventually};

#[test]
fn a_client_is_blocked_and_let_in_again_from_the_screen() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    let mut client = Connection::open_from("127.0.5.1", gate.address);
    for _ in 0..5 {
        client.get("/search");
    }
    let mut screen = Terminal::of(&gate, &["top"]);
    for text in [
        "mode normal",
        "127.0.5.1",
        "127.0.5.0/24",
        "/search",
        "q quit",
    ] {
        screen.shows(text);
    }
    screen.press("b");
    screen.shows("Block 127.0.5.1 for an hour? y/n");
    screen.press("y");
    // This machine's own addresses are not blocked without force, and the gate says so.
    screen.shows("--force");
    screen.press("a");
    screen.shows("Take 127.0.5.1 for a known customer for an hour? y/n");
    screen.press("n");
    screen.shows("nothing was changed");
    screen.press("ay");
    screen.shows("127.0.5.1 is known for an hour");
    let known = gate.verb(&["known", "list"]).good();
    assert!(known.contains("127.0.5.1"), "{known}");
    gate.verb(&["block", "add", "127.0.5.1", "--force"]).good();
    screen.shows("known, blocked");
    screen.press("ay");
    screen.shows("127.0.5.1 is no longer blocked");
    assert_eq!(client.get("/search").status, 200);
    screen.press("q");
    assert_eq!(screen.end(), Some(0));
}

#[test]
fn it_goes_on_while_the_gate_does_not_answer() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    gate.get("/");
    let mut screen = Terminal::of(&gate, &["top", "--by", "bytes"]);
    screen.shows("127.0.0.1");
    let folder = gate.kill();
    screen.shows("no answer: no gate answers at");
    assert!(screen.text().contains("127.0.0.1"), "what was seen stays");
    screen.press("\u{3}");
    assert_eq!(screen.end(), Some(0));
    drop(folder);
}

#[test]
fn a_gate_that_is_not_there_is_told_without_a_screen() {
    let gate = Gate::before(&App::echoing_paths(), "");
    let mut gone = Gate::before(&App::echoing_paths(), "");
    gone.signal("TERM");
    eventually("it to end", || gone.wait().success());
    let screen = Terminal::of(&gone, &["top"]);
    screen.shows("no gate answers at");
    assert_eq!(screen.end(), Some(1));
    drop(gate);
}
