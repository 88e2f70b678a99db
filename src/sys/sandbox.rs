//! Unit tests that are run once more in a process namespace of their own, with the `/proc` of the one outside.
//!
//! Contract: only for tests. Where no such namespace can be made it is said.

use std::ffi::OsStr;
use std::process::Command;

/// As an administrator, and as an ordinary user where the kernel lets users make namespaces.
const WAYS: [&[&str]; 2] =
    [&["unshare", "--pid", "--fork"], &["unshare", "--user", "--map-current-user", "--pid", "--fork"]];

/// Runs this `test` of this program there, with these variables; panics if it fails.
pub fn runs(test: &str, with: &[(&str, &OsStr)]) {
    let refused: Vec<String> = WAYS.iter().map_while(|way| begin_with(way, test, with).err()).collect();
    if refused.len() == WAYS.len() {
        println!("SKIPPED: no process namespace can be made here: {refused:?}");
    }
}

/// Runs this `test` behind the words of `outer`; `Err` = those could not do what they should.
#[allow(clippy::disallowed_methods, reason = "a process of a test")]
pub fn begin_with(outer: &[&str], test: &str, with: &[(&str, &OsStr)]) -> Result<(), String> {
    let mut command = Command::new(outer[0]);
    command.args(&outer[1..]).arg(std::env::current_exe().expect("this program")).args(["--exact", test]);
    let said = command.envs(with.iter().copied()).output().map_err(|error| error.to_string())?;
    let [stdout, stderr] = [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if stderr.starts_with("unshare:") {
        return Err(stderr);
    }
    assert!(said.status.success() && stdout.contains("1 passed"), "{outer:?}: {stdout}{stderr}");
    Ok(())
}
