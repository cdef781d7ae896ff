use super::*;

struct Gate(tempfile::TempDir);

impl Gate {
    fn new() -> Self {
        Gate(tempfile::tempdir().unwrap())
    }

    /// What a start at this time finds.
    fn start(&self, configured: Mode, now: u64) -> Switch {
        Switch::open(StateFile::new(self.0.path(), "mode.json"), configured, now)
    }
}

fn to(mode: Mode, until: Option<u64>) -> Change {
    Change {
        mode,
        admit_unknown: Share::NONE,
        until,
        goes_on: false,
        reason: None,
        set_by: None,
    }
}

#[test]
fn the_mode_before_returns_when_one_ends() {
    let gate = Gate::new();
    let switch = gate.start(Mode::Observe, 0);
    switch.set(to(Mode::KnownOnly, Some(100)), 10);
    assert_eq!(switch.end_if_due(99), None);
    assert_eq!(switch.mode(), Mode::KnownOnly);
    assert_eq!(switch.end_if_due(100).unwrap().mode, Mode::KnownOnly);
    assert_eq!(
        (switch.mode(), switch.record().until),
        (Mode::Observe, None)
    );
    assert_eq!(switch.end_if_due(200), None);
}

#[test]
fn a_wall_clock_that_is_set_neither_ends_nor_prolongs_a_mode() {
    let gate = Gate::new();
    let switch = gate.start(Mode::Normal, 0);
    assert!(!switch.move_end(50), "it has no end");
    switch.set(to(Mode::KnownOnly, Some(100)), 10);
    assert!(switch.move_end(1000));
    assert_eq!(switch.end_if_due(1099), None);
    assert!(switch.move_end(-1000));
    assert!(switch.end_if_due(100).is_some());
}

#[test]
fn prolonging_a_mode_does_not_make_it_its_own_predecessor() {
    let gate = Gate::new();
    let switch = gate.start(Mode::Normal, 0);
    switch.set(to(Mode::KnownOnly, Some(100)), 10);
    switch.set(to(Mode::KnownOnly, Some(300)), 90);
    assert_eq!(switch.end_if_due(100), None);
    switch.end_if_due(300);
    assert_eq!(switch.mode(), Mode::Normal);
}

#[test]
fn a_mode_for_a_while_within_another_returns_to_what_held_before_both() {
    let gate = Gate::new();
    let switch = gate.start(Mode::Normal, 0);
    switch.set(to(Mode::KnownOnly, Some(100)), 10);
    switch.set(to(Mode::Observe, Some(50)), 20);
    switch.end_if_due(50);
    assert_eq!(switch.mode(), Mode::Normal);
}

#[test]
fn a_restart_keeps_the_mode_until_its_end_and_not_longer() {
    let gate = Gate::new();
    let switch = gate.start(Mode::Normal, 0);
    switch.set(to(Mode::KnownOnly, Some(100)), 10);
    switch.save().unwrap();
    let record = switch.record();
    assert_eq!(gate.start(Mode::Observe, 99).record(), record);
    assert_eq!(gate.start(Mode::Observe, 100).mode(), Mode::Normal);
    switch.set(to(Mode::KnownOnly, None), 20);
    switch.save().unwrap();
    assert_eq!(gate.start(Mode::Observe, u64::MAX).mode(), Mode::KnownOnly);
}

fn admitting(share: &str) -> Change {
    Change {
        admit_unknown: share.parse().unwrap(),
        goes_on: true,
        ..to(Mode::KnownOnly, Some(500))
    }
}

#[test]
fn a_share_changes_within_a_mode_that_goes_on() {
    let gate = Gate::new();
    let switch = gate.start(Mode::Normal, 0);
    let reason = |text: &str| Some(text.to_owned());
    let flood = Change {
        reason: reason("flood"),
        ..to(Mode::KnownOnly, Some(100))
    };
    switch.set(flood, 10);
    let record = switch.set(admitting("5%"), 20);
    assert_eq!(
        record.to_string(),
        "known-only, 5% of unknown clients admitted"
    );
    assert_eq!((record.until, record.reason), (Some(100), reason("flood")));
    let calm = Change {
        reason: reason("calm"),
        ..admitting("20%")
    };
    let record = switch.set(calm, 30);
    assert_eq!((record.until, record.reason), (Some(100), reason("calm")));
    switch.save().unwrap();
    let again = gate.start(Mode::Observe, 40);
    assert_eq!(again.in_force(), switch.in_force());
    assert_eq!(again.hasher.secret(), switch.hasher.secret());
    switch.end_if_due(100);
    assert_eq!(switch.in_force().to_string(), "normal");
    assert_eq!(switch.set(admitting("5%"), 110).until, Some(500));
}

#[test]
fn a_file_of_a_gate_that_knew_no_shares_is_read() {
    let gate = Gate::new();
    let text = r#"{"mode":"known-only","since":1,"until":null,"reason":null,"set_by":null,"before":"normal"}"#;
    std::fs::write(gate.0.path().join("mode.json"), text).unwrap();
    let switch = gate.start(Mode::Normal, 5);
    assert_eq!(switch.in_force().to_string(), "known-only");
    assert_eq!(switch.record().since, 1);
}

#[test]
fn a_switch_that_cannot_be_saved_is_in_force_all_the_same() {
    let gate = Gate::new();
    let switch = Switch::open(
        StateFile::new(&gate.0.path().join("gone"), "mode.json"),
        Mode::Normal,
        0,
    );
    let record = switch.set(to(Mode::KnownOnly, Some(100)), 10);
    assert_eq!(
        (record.mode, switch.mode()),
        (Mode::KnownOnly, Mode::KnownOnly)
    );
    assert!(
        switch
            .save()
            .unwrap_err()
            .to_string()
            .contains("would not survive a restart")
    );
}
