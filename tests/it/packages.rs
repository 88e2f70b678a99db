//! The set-up a fresh machine gets: nothing is asked of the package manager when all is there, and when it cannot
//! help, the message says what to do.

use crate::support::process::{self, Output};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The script calls stand-ins that end at once; this is for a machine under full load.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// A machine where dpkg knows the packages in `installed` and `apt-get` is the shell text `apt`.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(apt: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/bash\n{text}\n")).expect("written");
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("ours");
        };
        let here = folder.path().display();
        script("dpkg-query", &format!("grep -qx \"${{@: -1}}\" {here}/installed && printf installed"));
        script("apt-get", &format!("echo \"$@\" >>{here}/asked; {apt}"));
        // Whoever runs the test, the stand-in needs no rights.
        script("sudo", "while [[ $1 == -* ]]; do shift; done; exec \"$@\"");
        std::fs::write(folder.path().join("installed"), "gcc\n").expect("written");
        Self { folder }
    }

    fn packages(&self, names: &[&str]) -> Output {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(Path::new(ROOT).join("scripts/packages"));
        command.args(names).env("PATH", path).env("TMPDIR", self.folder.path());
        process::run("scripts/packages", &mut command, self.folder.path(), ENDS_WITHIN)
    }

    fn asked(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default()
    }
}

#[test]
fn no_package_manager_runs_when_all_is_there() {
    let machine = Machine::new("exit 1");
    assert_eq!(machine.packages(&["gcc"]).code, Some(0));
    assert_eq!(machine.asked(), "");
}

#[test]
fn only_what_is_missing_is_installed() {
    let machine = Machine::new("true");
    let output = machine.packages(&["gcc", "xvfb", "ffmpeg"]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let asked = machine.asked();
    let asked: Vec<&str> = asked.lines().collect();
    assert!(asked.len() == 2 && asked[0].ends_with(" update"), "{asked:?}");
    assert!(asked[1].ends_with(" install -y --no-install-recommends xvfb ffmpeg"), "{asked:?}");
}

#[test]
fn a_failed_installation_says_what_to_do() {
    let output = Machine::new("exit 100").packages(&["gcc", "xvfb"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("apt-get install --no-install-recommends xvfb"), "{}", output.stderr);
}

#[test]
fn every_program_the_tests_start_comes_with_a_listed_package() {
    const PROGRAMS: [(&str, &str); 11] = [
        ("cc", "gcc"),
        ("pkg-config", "pkg-config"),
        ("xgettext", "gettext"),
        ("ffprobe", "ffmpeg"),
        ("Xvfb", "xvfb"),
        ("dbus-daemon", "dbus-daemon"),
        ("import", "imagemagick"),
        ("python3", "python3"),
        ("desktop-file-validate", "desktop-file-utils"),
        ("appstreamcli", "appstream"),
        ("flatpak-builder", "flatpak-builder"),
    ];
    let makefile = std::fs::read_to_string(Path::new(ROOT).join("Makefile")).expect("there is one");
    let listed: Vec<&str> = makefile.split_whitespace().collect();
    for (program, package) in PROGRAMS {
        assert!(listed.contains(&package), "{package} is not in the Makefile");
        assert!(process::program(program).is_some(), "{package} did not bring {program}");
    }
}
