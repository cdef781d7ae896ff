//! The gate of `make instructions`: what it passes, what it does not, and what it says of that. Counting
//! itself takes a release build, and is no test.

use std::path::Path;
use std::process::Command;

#[test]
fn more_instructions_than_the_baseline_tolerates_fail_with_the_number() {
    // The cases are in the programs' own text.
    let output = Command::new("python3")
        .args(["-B", "-m", "doctest", "baseline.py", "callgrind.py"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches"))
        .output()
        .expect("python3 runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}
