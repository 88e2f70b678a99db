//! Words and papers: the collected words are the window's words, and what a desktop or a reader is told is true.

use crate::support::proc::Holdfast;
use crate::support::process;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The tools below read some hundred kilobytes; this is for a machine under full load.
const TOOL_ENDS_WITHIN: Duration = Duration::from_secs(60);

fn run(program: &str, args: &[&str]) -> process::Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(program);
    process::run(program, command.args(args).current_dir(ROOT), folder.path(), TOOL_ENDS_WITHIN)
}

/// Every message id of a PO file, contexts ignored.
fn message_ids(text: &str) -> BTreeSet<String> {
    let quoted = |line: &str| line.trim().trim_start_matches('"').trim_end_matches('"').to_owned();
    let mut ids = BTreeSet::new();
    let mut current: Option<String> = None;
    for line in text.lines().chain([""]) {
        if let (Some(id), true) = (current.as_mut(), line.starts_with('"')) {
            id.push_str(&quoted(line));
            continue;
        }
        ids.extend(current.take().filter(|id| !id.is_empty()));
        let start = line.strip_prefix("msgid_plural ").or_else(|| line.strip_prefix("msgid "));
        current = start.map(quoted);
    }
    ids
}

#[test]
fn the_collected_words_are_those_of_the_window() {
    let folder = tempfile::tempdir().expect("a folder");
    let fresh = folder.path().join("fresh.pot");
    let output = run("scripts/pot", &[fresh.to_str().expect("a plain path")]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let read = |path: &Path| message_ids(&std::fs::read_to_string(path).unwrap_or_default());
    let (now, kept) = (read(&fresh), read(&Path::new(ROOT).join("po/holdfast.pot")));
    let new: Vec<_> = now.difference(&kept).collect();
    let gone: Vec<_> = kept.difference(&now).collect();
    assert!(new.is_empty() && gone.is_empty(), "run `make pot`: new {new:#?}, gone {gone:#?}");
}

#[test]
fn message_ids_are_read_whole() {
    let text = "msgid \"\"\nmsgstr \"\"\n\"Head\\n\"\n\nmsgid \"One\"\nmsgstr \"\"\n\nmsgid \"\"\n\"Two \"\n\"lines\"\n\
                msgid_plural \"Many\"\nmsgstr[0] \"\"\n";
    assert_eq!(message_ids(text).into_iter().collect::<Vec<_>>(), ["Many", "One", "Two lines"]);
}

#[test]
fn what_the_desktop_is_told_is_valid() {
    let file = |name: &str| format!("data/io.github.holdfast.Holdfast.{name}");
    let entry = run("desktop-file-validate", &[&file("desktop")]);
    assert_eq!((entry.code, entry.stdout.as_str()), (Some(0), ""), "{}", entry.stderr);
    let metainfo = run("appstreamcli", &["validate", "--no-net", "--explain", &file("metainfo.xml")]);
    assert_eq!(metainfo.code, Some(0), "{}{}", metainfo.stdout, metainfo.stderr);
    let flatpak = run("flatpak-builder", &["--show-manifest", "flatpak/io.github.holdfast.Holdfast.yaml"]);
    assert_eq!(flatpak.code, Some(0), "{}{}", flatpak.stdout, flatpak.stderr);
}

#[test]
fn scripts_are_executable_and_parse() {
    use std::os::unix::fs::PermissionsExt;
    let scripts = std::fs::read_dir(Path::new(ROOT).join("scripts")).expect("there are scripts");
    let ci = Path::new(ROOT).join(".ci/run");
    for path in scripts.flatten().map(|entry| entry.path()).chain([ci]) {
        let mode = std::fs::metadata(&path).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is not executable", path.display());
        let parsed = run("bash", &["-n", path.to_str().expect("a plain path")]);
        assert_eq!(parsed.code, Some(0), "{}", parsed.stderr);
    }
}

#[test]
fn the_configuration_in_the_readme_is_accepted() {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).expect("there is one");
    let example = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let holdfast = Holdfast::new("");
    holdfast.write_config(example.expect("README.md shows a configuration"));
    holdfast.cli_ok(&["config", "check"]);
}

#[test]
fn every_file_the_papers_name_exists() {
    for paper in ["README.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(Path::new(ROOT).join(paper)).expect("there is one");
        let ours = |word: &&str| {
            ["src/", "tests/", "scripts/", "po/", "data/", "benches/"].iter().any(|top| word.starts_with(top))
        };
        let named = text.split('`').skip(1).step_by(2).filter(ours);
        let missing: Vec<PathBuf> =
            named.map(|name| Path::new(ROOT).join(name)).filter(|path| !path.exists()).collect();
        assert!(missing.is_empty(), "{paper} names what is not there: {missing:?}");
    }
}
