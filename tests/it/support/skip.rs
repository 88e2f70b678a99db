//! Tests that cannot run on every machine say so, and where everything must run, they fail.

use std::io::Write;

/// Says on a line of its own that the running test does not run here, and why. The caller returns.
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let must = std::env::var_os("HOLDFAST_NO_SKIP").is_some_and(|value| value == "1");
    assert!(!must, "{test} cannot run here ({reason}), and HOLDFAST_NO_SKIP=1 forbids to leave it out");
    // Past the harness, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {test}: {reason}");
}
