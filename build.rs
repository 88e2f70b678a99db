//! Compiles the translations (`po/*.po`) with gettext's `msgfmt`, so that they are part of the program: it speaks every
//! language from wherever it runs, also where no locale of it is installed.

#![allow(clippy::disallowed_methods, reason = "it runs while building and has none of the program's modules")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=po");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names a folder")?);
    let mut sources: Vec<PathBuf> =
        std::fs::read_dir("po")?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    sources.retain(|path| path.extension().is_some_and(|ending| ending == "po"));
    sources.sort();
    let mut table = String::from("&[\n");
    for source in &sources {
        let language =
            source.file_stem().and_then(|stem| stem.to_str()).ok_or("a translation is named by its language")?;
        let compiled = out.join(format!("{language}.mo"));
        compile(source, &compiled)?;
        writeln!(table, "    ({language:?}, include_bytes!({compiled:?})),")?;
    }
    table.push(']');
    std::fs::write(out.join("catalogs.rs"), table)?;
    Ok(())
}

fn compile(source: &Path, compiled: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let said = Command::new("msgfmt").arg("--check").arg("--output-file").arg(compiled).arg(source).output();
    let said = said.map_err(|error| format!("msgfmt (package gettext) does not start: {error}"))?;
    if said.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", source.display(), String::from_utf8_lossy(&said.stderr)).into())
}
