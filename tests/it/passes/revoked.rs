//! Passes that are not believed any more, or of which nobody knows it.

use std::fs;
use std::path::Path;

use super::*;

#[test]
fn one_that_is_revoked_is_not_believed_from_the_next_request_on() {
    let app = app();
    let gate = gate(&app);
    let [first, second] = [log_in(&gate), log_in(&gate)];
    assert_eq!(status_with(&gate, &first), 200);
    let lines = gate.log(3);
    // The logins before it had none.
    let id = lines.iter().find_map(|line| line["pass"].as_str());
    let id = id.expect("the number of the pass in the log").to_owned();
    let header = format!("Cookie: {first}");
    let said = gate
        .verb(&["explain", "127.0.0.9", "--header", &header])
        .good();
    assert!(said.contains(&format!("pass         {id}, of ")), "{said}");
    assert!(said.contains("pass_rate"), "its limit is not shown: {said}");
    gate.verb(&["pass", "revoke", &id]).good();
    assert_eq!(
        [&first, &second].map(|pass| status_with(&gate, pass)),
        [503, 200]
    );
    let folder = gate.kill();
    let config = configured(&app, &folder, ROOMY, "");
    let gate = Gate::start_in(folder, &config);
    assert_eq!(
        [&first, &second].map(|pass| status_with(&gate, pass)),
        [503, 200]
    );
    assert!(gate.verb(&["pass", "list"]).good().contains(&id));
    let audit = gate.verb(&["audit"]).good();
    assert!(audit.contains(&format!("revoked {id}")), "{audit}");
    gate.verb(&["pass", "revoke", "all"]).good();
    assert_eq!(
        [&first, &second].map(|pass| status_with(&gate, pass)),
        [503; 2]
    );
    let third = log_in(&gate);
    assert_eq!(status_with(&gate, &third), 200, "one that was given since");
    let gate = Gate::start_in(gate.kill(), &config);
    assert_eq!(
        [&first, &second, &third].map(|pass| status_with(&gate, pass)),
        [503, 503, 200]
    );
    for wrong in ["everything", "0123", ""] {
        assert_eq!(gate.verb(&["pass", "revoke", wrong]).code, 2, "{wrong:?}");
    }
}

/// Harms the file of revoked passes.
type Harm = fn(&Path);

const HARMS: [(&str, Harm); 4] = [
    ("cut", |path| {
        let whole = fs::read(path).unwrap();
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
    }),
    ("empty", |path| fs::write(path, "").unwrap()),
    // A gate that could write nothing after it had found the file damaged.
    ("moved aside", |path| {
        fs::rename(path, path.with_extension("damaged")).unwrap();
    }),
    ("no file", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
];

#[test]
fn when_nobody_knows_any_more_which_are_revoked_all_of_before_are() {
    let app = app();
    for (name, harm) in HARMS {
        let gate = gate(&app);
        let first = log_in(&gate);
        gate.verb(&["pass", "revoke", "all"]).good();
        let second = log_in(&gate);
        assert_eq!(status_with(&gate, &second), 200, "{name}");
        let folder = gate.kill();
        harm(&folder.path("state/passes.json"));
        let config = configured(&app, &folder, ROOMY, "");
        let gate = Gate::start_in(folder, &config);
        let statuses = [&first, &second].map(|pass| status_with(&gate, pass));
        assert_eq!(statuses, [503; 2], "{name}");
        let told = "all passes given before now are revoked";
        gate.says(told);
        let listed = gate.verb(&["pass", "list"]).stderr;
        assert!(
            listed.contains("all given before 20") && listed.contains("passes.json"),
            "{name}: {listed}"
        );
        let third = log_in(&gate);
        assert_eq!(status_with(&gate, &third), 200, "{name}: given since");
        let gate = Gate::start_in(gate.kill(), &config);
        let statuses = [&first, &second].map(|pass| status_with(&gate, pass));
        assert_eq!(statuses, [503; 2], "{name}: after one more restart");
        // A folder in the file's place is one that cannot be written, too.
        if name != "no file" {
            assert_eq!(status_with(&gate, &third), 200, "{name}: it is written");
        }
    }
}
