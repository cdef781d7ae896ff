//! What is bounded of somebody who has a pass.

use super::*;

#[test]
fn one_that_is_shared_is_bounded_by_its_own_limit() {
    let app = app();
    let limit = "limit = { rate = \"1/h\", burst = 5 }\n";
    let gate = gate_with(&app, ROOMY, limit);
    let pass = log_in(&gate);
    let answers: Vec<Response> = (1..=100)
        .map(|number| with_cookies(&gate, &format!("127.0.5.{number}"), &[&pass]))
        .collect();
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(served, 5, "of a hundred addresses");
    assert_eq!(answers[99].status, 429);
    assert_eq!(answers[99].reason(), "pass_rate");
    assert_eq!(gate.requests("refused", "pass_rate"), 95.0);
    let other = log_in(&gate);
    assert_eq!(status_with(&gate, &other), 200, "somebody else's");
    gate.verb(&["known", "add", "127.0.5.1"]).good();
    assert_eq!(
        with_cookies(&gate, "127.0.5.1", &[&pass]).status,
        200,
        "who is known anyway needs no pass"
    );
    gate.verb(&["mode", "normal"]).good();
    assert_eq!(
        status_with(&gate, &pass),
        200,
        "it has no limit where all are let in"
    );
}

#[test]
fn the_limits_of_the_client_hold_for_who_has_one_too() {
    let app = app();
    let client = "[client]\nlimit = { rate = \"1/h\", burst = 2 }\n";
    let gate = gate_with(&app, client, "");
    let pass = log_in(&gate);
    let statuses = [0; 3].map(|_| status_with(&gate, &pass));
    assert_eq!(statuses, [200, 200, 429]);
}
