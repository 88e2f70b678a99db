//! What is absent, written down and checked: who may depend on whom, what only one place may do, how long a
//! file may be. The table is the one of ARCHITECTURE.md.

use crate::support::rust_source::{Source, lines_with};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longest file in lines (STYLE.md, principle 8).
const MAX_LINES: usize = 400;

/// A module, and the modules it may name. The longest module that fits a file counts; `main.rs` may name all.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("ui::inputs::preview*", &["model", "protocol", "sys", "storage::atomic", "media::frame_ring"]),
    ("ui", &["model", "protocol", "sys", "storage::atomic"]),
    ("cli", &["model", "protocol", "sys", "config"]),
    ("engine", &["model", "protocol", "sys", "storage", "config"]),
    (
        "worker",
        &[
            "model",
            "protocol",
            "sys",
            "storage::layout",
            "storage::journal",
            "storage::space",
            "storage::part_lock",
            "storage::pulse",
            "media",
        ],
    ),
    ("prove", &["model", "sys", "storage", "media"]),
    ("media", &["model", "sys", "storage::layout"]),
    ("config", &["model", "storage"]),
    ("storage", &["model", "sys"]),
    ("protocol", &["model"]),
    ("sys", &["model"]),
    ("model", &[]),
];

/// External crates, and the only modules that may name them.
const CRATES_ONLY_IN: &[(&[&str], &[&str])] = &[
    (
        &["gst", "gst_app", "gst_base", "gst_video", "gst_audio", "gst_utils", "gstfmp4", "gstgtk4"],
        &["media", "worker", "prove", "ui::inputs::preview*", "ui::alerts::sound"],
    ),
    (&["gtk", "adw", "relm4", "gettext", "gdk", "gio"], &["ui"]),
    (&["glib"], &["media", "worker", "prove", "ui"]),
    (&["mp4_atom"], &["media"]),
    (&["axum"], &["engine"]),
    (&["tokio"], &["engine", "protocol", "cli", "sys", "ui"]),
    (&["clap"], &["cli", "main"]),
];

/// Words of code, and the only modules that may use them.
const WORDS_ONLY_IN: &[(&str, &[&str])] = &[
    ("Command::new", &["sys"]),
    ("fs::write", &["storage"]),
    // A socket is bound under a temporary name and renamed (DESIGN §1).
    ("fs::rename", &["storage", "sys::unix_listener"]),
    ("rename(", &["storage", "sys::unix_listener"]),
    ("Instant::now", &["sys::clock"]),
    ("SystemTime::now", &["sys::clock"]),
    ("Timestamp::now", &["sys::clock"]),
];

/// Where `unsafe` may stand: the border to the kernel, to shared memory, and to GObject's subclass tables.
const UNSAFE_ONLY_IN: &[&str] = &["sys", "media::frame_ring", "media::durable_sink"];

/// Checks one file; `path` is relative to the package. Returns what is wrong, one line each.
fn violations(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(text);
    let mut found = Vec::new();
    let mut report = |line: usize, what: String| found.push(format!("{path}:{line}: {what}"));

    let lines = text.lines().count();
    if lines > MAX_LINES {
        report(lines, format!("{lines} lines, at most {MAX_LINES} are allowed: split it by concern"));
    }
    if !text.starts_with("//!") {
        report(1, "begins without `//!`: say what it is and what it promises".to_owned());
    }
    for line in lines_with(&source.code, ".unwrap()") {
        report(line, "unwrap: handle it, or `expect` an invariant by name".to_owned());
    }
    for word in ["thread::sleep", "time::sleep_until(Instant::now"] {
        for line in lines_with(&source.code, word) {
            report(line, format!("{word}: wait for a named event with a deadline"));
        }
    }
    for word in ["TODO", "FIXME", "XXX", "HACK"] {
        for line in lines_with(&source.comments, word) {
            report(line, format!("{word}: do it, or open an issue"));
        }
    }

    let Some(module) = module_of(path) else { return found };
    let module: Vec<&str> = module.iter().map(String::as_str).collect();
    if !within(&module, UNSAFE_ONLY_IN) {
        for line in lines_with(&source.code, "unsafe") {
            report(line, format!("unsafe: allowed only in {}", UNSAFE_ONLY_IN.join(", ")));
        }
    }
    if module.last().is_some_and(|last| *last == "tests" || last.ends_with("_tests")) {
        return found;
    }
    for (line, named) in source.crate_paths(&module) {
        if let Some(why) = forbidden(&module, &named) {
            report(line, why);
        }
    }
    for (crates, homes) in CRATES_ONLY_IN {
        for name in crates.iter().filter(|_| !within(&module, homes)) {
            for line in source.crate_uses(name) {
                report(line, format!("{name} is used only in {}", homes.join(", ")));
            }
        }
    }
    // A deadline of the engine is tokio's, so that a test can own its clock.
    let tokio_time = source.shipped.lines().any(|line| line.contains("tokio::time") && line.contains("Instant"));
    for (word, homes) in WORDS_ONLY_IN.iter().filter(|(_, homes)| !within(&module, homes)) {
        if *word == "Instant::now" && tokio_time {
            continue;
        }
        for line in lines_with(&source.shipped, word) {
            report(line, format!("{word} is used only in {}", homes.join(", ")));
        }
    }
    found
}

/// Why `module` may not name the crate path `named`, `None` if it may.
fn forbidden(module: &[&str], named: &[String]) -> Option<String> {
    let own = module.first()?;
    let target = named.first()?;
    // Items of the crate root and macros are no modules of ours.
    if target == own || !MAY_DEPEND_ON.iter().any(|(name, _)| name == target) {
        return None;
    }
    let (row, allowed) = MAY_DEPEND_ON.iter().find(|(row, _)| within(module, &[row]))?;
    let named_ref: Vec<&str> = named.iter().map(String::as_str).collect();
    if within(&named_ref, allowed) {
        return None;
    }
    Some(format!("{row} may not depend on {}, only on {}", named.join("::"), allowed.join(", ")))
}

/// Whether `path` lies in one of `homes`: `a::b` holds itself and `a::b::c`, `a::b*` also `a::b_c`.
fn within(path: &[&str], homes: &[&str]) -> bool {
    homes.iter().any(|home| {
        let home: Vec<&str> = home.split("::").collect();
        path.len() >= home.len()
            && home.iter().zip(path).all(|(home, part)| match home.strip_suffix('*') {
                Some(stem) => part.starts_with(stem),
                None => part == home,
            })
    })
}

/// The module path of a file below `src/`, `None` for tests and the crate's two roots.
fn module_of(path: &str) -> Option<Vec<String>> {
    let inner = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    (parts != ["lib"]).then_some(parts)
}

/// Every Rust file of ours: path relative to the package, text.
pub fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = ["src", "tests", "benches"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below the package").to_string_lossy().into_owned();
                found.insert(name, std::fs::read_to_string(&path).expect("a source file is readable"));
            }
        }
    }
    found
}

#[test]
fn the_code_keeps_its_own_rules() {
    let sources = sources();
    assert!(sources.contains_key("src/lib.rs") && sources.contains_key("tests/it/architecture.rs"));
    let found: Vec<String> = sources.iter().flat_map(|(path, text)| violations(path, text)).collect();
    assert!(found.is_empty(), "{} rules broken:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_module_has_a_row() {
    for path in sources().keys().filter_map(|path| module_of(path)) {
        let known = path == ["main"] || MAY_DEPEND_ON.iter().any(|(row, _)| *row == path[0]);
        assert!(known, "{path:?} is not in the table of who may depend on whom");
    }
}

#[test]
fn each_rule_catches_what_it_forbids() {
    let planted = [
        ("src/engine/x.rs", "use crate::worker::State;", "engine may not depend on worker::State"),
        ("src/ui/x.rs", "use crate::{model, media::frame_ring::Ring};", "ui may not depend on media::frame_ring::Ring"),
        ("src/worker/x.rs", "fn f() { crate::storage::atomic::replace() }", "worker may not depend on storage::atomic"),
        ("src/model/x.rs", "use super::super::sys::clock;", "model may not depend on sys::clock"),
        ("src/engine/x.rs", "fn f(b: gst::Buffer) {}", "gst is used only in media"),
        ("src/ui/x.rs", "use gst::prelude::*;", "gst is used only in media"),
        ("src/engine/x.rs", "use glib::MainLoop;", "glib is used only in"),
        ("src/cli/x.rs", "use gettext::Catalog;", "gettext is used only in ui"),
        ("src/media/x.rs", "use tokio::net::UnixStream;", "tokio is used only in"),
        ("src/engine/x.rs", "fn f() { Command::new(a) }", "Command::new is used only in sys"),
        ("src/ui/x.rs", "fn f() { std::fs::write(a, b) }", "fs::write is used only in storage"),
        ("src/prove/x.rs", "fn f() { rename(a, b) }", "rename( is used only in storage"),
        ("src/engine/x.rs", "fn f() { std::time::Instant::now(); }", "Instant::now is used only in sys::clock"),
        ("src/sys/lock.rs", "fn f() { Timestamp::now(); }", "Timestamp::now is used only in sys::clock"),
        ("src/engine/x.rs", "fn f() { unsafe { g() } }", "unsafe: allowed only in"),
        ("src/cli/x.rs", "fn f() { g().unwrap() }", "unwrap"),
        ("src/cli/x.rs", "// TODO more", "TODO"),
        ("tests/it/x.rs", "fn f() { std::thread::sleep(d) }", "thread::sleep"),
        ("tests/it/x.rs", "#[test] fn f() { g().unwrap() }", "unwrap"),
    ];
    for (path, code, expected) in planted {
        let found = violations(path, &format!("//! Planted.\n{code}\n"));
        assert!(found.iter().any(|line| line.contains(expected)), "{code:?} in {path} was let through: {found:?}");
    }
    assert!(!violations("src/cli/x.rs", "fn f() {}\n").is_empty(), "a file without a contract was let through");
    let long = format!("//! Planted.\n{}", "\n".repeat(MAX_LINES));
    assert!(!violations("tests/it/x.rs", &long).is_empty(), "a long file was let through");
}

#[test]
fn what_is_allowed_is_let_through() {
    let fine = [
        ("src/ui/inputs/preview/ring.rs", "use crate::media::frame_ring::Reader; use gst::prelude::*;"),
        ("src/ui/inputs/preview_feed.rs", "use gst_app::AppSrc;"),
        ("src/worker/x.rs", "use crate::{media::stage, storage::{journal::Log, layout}};"),
        ("src/main.rs", "use holdfast::{cli, engine, ui};"),
        ("src/engine/x.rs", "fn f() { tokio::time::Instant::now(); }"),
        ("src/engine/x.rs", "use tokio::time::{Instant, sleep_until};\nfn f() { Instant::now(); }"),
        ("src/engine/x.rs", "#[cfg(test)]\nmod tests {\n use crate::ui::x; fn f() { std::fs::write(a, b); }\n}"),
        ("src/media/durable_sink/x.rs", "fn f() { unsafe { g() } }"),
        ("src/model/x.rs", "//! gst::Buffer and Command::new in words only\nconst A: &str = \"unsafe\";"),
    ];
    for (path, code) in fine {
        assert_eq!(violations(path, &format!("//! Planted.\n{code}\n")), Vec::<String>::new());
    }
}
