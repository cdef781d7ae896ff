//! The keys that sign passes.

use std::fs;

use super::*;

#[test]
fn a_key_is_replaced_while_passes_of_the_one_before_are_believed() {
    let app = app();
    let gate = gate(&app);
    let first = log_in(&gate);
    let reload = || gate.verb(&["reload"]).good();
    new_key(&gate.folder);
    assert!(reload().contains("known.pass.key_file"));
    let second = log_in(&gate);
    assert_eq!(
        [&first, &second].map(|pass| status_with(&gate, pass)),
        [200; 2]
    );
    new_key(&gate.folder);
    reload();
    assert_eq!(
        [&first, &second].map(|pass| status_with(&gate, pass)),
        [503, 200]
    );
    let keys = fs::read_to_string(gate.folder.path("pass.key")).unwrap();
    let good = keys.clone();
    fs::write(
        gate.folder.path("pass.key"),
        keys.replace(['0', '1', '2', '3'], "x"),
    )
    .unwrap();
    let refused = gate.verb(&["reload"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("is no key"), "{}", refused.stderr);
    assert_eq!(status_with(&gate, &second), 200, "the keys of before stay");
    fs::write(gate.folder.path("pass.key"), good).unwrap();
    reload();
    assert_eq!(status_with(&gate, &second), 200);
}

#[test]
fn a_gate_whose_key_is_not_good_does_not_start_and_says_why() {
    let app = app();
    let folder = Folder::new();
    let path = folder.configure(&configured(&app, &folder, ROOMY, ""));
    let path = path.to_str().unwrap();
    for verb in ["validate", "run"] {
        let arguments = if verb == "run" {
            vec!["run", "--config", path]
        } else {
            vec!["validate", path]
        };
        let output = tidegate(&arguments);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(
            output.stderr.contains("tidegate pass new-key"),
            "{}",
            output.stderr
        );
    }
    new_key(&folder);
    tidegate(&["validate", path]).good();
}
