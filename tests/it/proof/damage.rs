//! Damage planted in real recordings: each is found, under its own name, and nothing else is blamed.

use super::wait_verdict;
use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::dice::Dice;
use crate::support::evidence::manifest;
use crate::support::media_file;
use crate::support::proc::{Holdfast, test_inputs};
use crate::support::process;
use holdfast::media::finalise::{Audited, PartStore, audit};
use serde_json::Value;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const INPUTS: [&str; 3] = ["cam1", "cam2", "cam3"];
/// On a machine under full load a start may come late, which is a gap, and said.
const SESSIONS: u32 = 3;
/// What tells a file from another one.
const IDENTITY: [&str; 4] = ["content_changed", "size_differs", "frames_differ", "duration_differs"];

/// A finished session of three alike inputs, and room for damaged copies of it.
struct Ground {
    holdfast: Holdfast,
    session: PathBuf,
    copies: tempfile::TempDir,
    container: &'static str,
}

impl Ground {
    fn new(container: &'static str) -> Self {
        // The same pattern and sound in all: only what is in a file tells them apart.
        let config = test_inputs(3, "auto").replace("pattern = \"ball\"", "pattern = \"bars\"");
        let config = config.replace("pattern = \"gradient\"", "pattern = \"bars\"");
        let mut holdfast = Holdfast::new(&format!("[recording]\ncontainer = \"{container}\"\n{config}"));
        holdfast.spawn_engine();
        holdfast.wait_live(LIVE_WITHIN);
        let whole = (0..SESSIONS).any(|_| {
            start(&holdfast, &INPUTS);
            wait_media(&holdfast, "cam3", Duration::from_secs(4));
            holdfast.cli_ok(&["record", "stop"]);
            wait_verdict(&holdfast)["verdict"] == "ok"
        });
        assert!(whole, "{:#}", manifest(&holdfast.session()));
        holdfast.engine().kill();
        let (session, copies) = (holdfast.session(), tempfile::tempdir().expect("a folder"));
        Self { holdfast, session, copies, container }
    }

    /// A copy of the session, with its manifest (and what the proof put into it) or with its journal only.
    fn copy(&self, name: &str, proved: bool) -> PathBuf {
        let dir = self.copies.path().join(name);
        std::fs::create_dir(&dir).expect("a new folder");
        for entry in std::fs::read_dir(&self.session).expect("the session").flatten() {
            if proved || entry.file_name() != "session.json" {
                std::fs::copy(entry.path(), dir.join(entry.file_name())).expect("a copy");
            }
        }
        dir
    }

    /// What `holdfast verify` finds: exit code and report.
    fn verify(&self, path: &Path) -> (Option<i32>, Value) {
        let output = self.holdfast.cli(&["verify", "--json", path.to_str().expect("a path")]);
        (output.code, output.json())
    }

    /// Damages one file of a copy and returns the codes found in it; the other files must be called ok.
    fn damaged(&self, name: &str, damage: impl FnOnce(&Path)) -> Vec<String> {
        let dir = self.copy(name, false);
        let victim = format!("cam1.{}", self.container);
        damage(&dir.join(&victim));
        let (code, report) = self.verify(&dir);
        assert_eq!((code, &report["verdict"]), (Some(1), &"failed".into()), "{name}: {report:#}");
        assert_eq!(verdict(&report, &victim), "failed", "{name}: {report:#}");
        for other in ["cam2", "cam3"] {
            assert_eq!(verdict(&report, &format!("{other}.{}", self.container)), "ok", "{name}: {report:#}");
        }
        let found = codes(&report, &victim);
        println!("{name}: {found:?}");
        found
    }

    fn expect(&self, name: &str, wanted: &str, damage: impl FnOnce(&Path)) {
        let found = self.damaged(name, damage);
        assert!(found.iter().any(|code| code == wanted), "{name}: {wanted} is not among {found:?}");
    }
}

fn part<'a>(report: &'a Value, file: &str) -> &'a Value {
    let parts = report["parts"].as_array().into_iter().flatten();
    parts.into_iter().find(|part| part["record"]["file"] == file).unwrap_or_else(|| panic!("{file}: {report:#}"))
}

fn verdict<'a>(report: &'a Value, file: &str) -> &'a str {
    part(report, file)["verdict"].as_str().unwrap_or_default()
}

fn codes(report: &Value, file: &str) -> Vec<String> {
    let findings = part(report, file)["findings"].as_array().into_iter().flatten();
    findings.filter_map(|finding| Some(finding["code"].as_str()?.to_owned())).collect()
}

/// Changes the bytes of a file.
fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("a part");
    change(&mut bytes);
    std::fs::write(path, bytes).expect("written");
}

/// The boxes in `bytes` from `at` on: name, begin, end.
fn boxes(bytes: &[u8], mut at: usize) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    while let Some(head) = bytes.get(at..at + 8) {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if size < 8 || at + size > bytes.len() {
            break;
        }
        found.push((String::from_utf8_lossy(&head[4..]).into_owned(), at, at + size));
        at += size;
    }
    found
}

/// Where the placeholder that became an `mdat` header lies, and where the final `moov` begins.
fn halves(bytes: &[u8]) -> (usize, usize) {
    let ftyp = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let size = u64::from_be_bytes(bytes[ftyp + 8..ftyp + 16].try_into().expect("8 bytes"));
    (ftyp, ftyp + size as usize)
}

/// The fragments of a finalised part: begin of the `moof`, end of its `mdat`.
fn fragments(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (placeholder, moov) = halves(bytes);
    let chain = boxes(&bytes[..moov], placeholder + 16);
    let mut pairs = chain.windows(2);
    let pair = |pair: &[(String, usize, usize)]| {
        (pair[0].0 == "moof" && pair[1].0 == "mdat").then_some((pair[0].1, pair[1].2))
    };
    std::iter::from_fn(|| pairs.next()).filter_map(pair).collect()
}

/// Where ffprobe sees the pictures of a file; each begins with the length of its first NAL unit.
fn pictures(path: &Path) -> Vec<usize> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-show_entries", "packet=pos", "-of", "csv=p=0"]).arg(path);
    let folder = path.parent().expect("a folder");
    let output = process::run("ffprobe", &mut command, folder, Duration::from_secs(60));
    output.stdout.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
}

#[test]
fn planted_damage_is_found_by_name() {
    let ground = Ground::new("mp4");
    let mut dice = Dice::for_test("planted damage");

    ground.expect("deleted", "missing", |file| std::fs::remove_file(file).expect("removed"));
    ground.expect("emptied", "emptied", |file| std::fs::write(file, b"").expect("emptied"));
    ground.expect("a link", "not_a_file", |file| {
        std::fs::remove_file(file).expect("removed");
        std::os::unix::fs::symlink(ground.session.join("cam1.mp4"), file).expect("a link");
    });
    ground.expect("a foreign film", "foreign", |file| media_file::camera(file, 1));
    ground.expect("a longer tail", "trailing", |file| change(file, |bytes| bytes.extend([0; 7])));
    for back in [1, 1 + dice.below(600)] {
        ground.expect(&format!("truncated by {back}"), "truncated", |file| {
            change(file, |bytes| bytes.truncate(bytes.len() - back));
        });
    }
    ground.expect("truncated in the middle", "truncated", |file| change(file, |bytes| bytes.truncate(bytes.len() / 2)));
    ground.expect("a byte of the index", "tables_differ", |file| {
        change(file, |bytes| {
            let (_, moov) = halves(bytes);
            let stsz = boxes_named(bytes, moov, "stsz");
            bytes[stsz + 24] ^= 1;
        });
    });
    ground.expect("a fragment cut out", "fragment_missing", |file| {
        change(file, |bytes| {
            let (placeholder, moov) = halves(bytes);
            let all = fragments(bytes);
            let (from, to) = all[1 + dice.below(all.len() - 2)];
            // As somebody would who knows the format: the outer length is put right.
            let size = (moov - placeholder - (to - from)) as u64;
            bytes[placeholder + 8..placeholder + 16].copy_from_slice(&size.to_be_bytes());
            bytes.drain(from..to);
        });
    });
    let cut = ground.damaged("a fragment torn out", |file| {
        change(file, |bytes| {
            let (from, to) = fragments(bytes)[2];
            bytes.drain(from..to);
        });
    });
    assert!(cut.iter().any(|code| ["truncated", "tables_unreadable"].contains(&code.as_str())), "{cut:?}");
    ground.expect("a byte of the media", "content_changed", |file| {
        change(file, |bytes| {
            let all = fragments(bytes);
            let (from, to) = all[dice.below(all.len())];
            let mdat = boxes(bytes, from)[1].1 + 8;
            bytes[mdat + dice.below(to - mdat)] ^= 1 << dice.below(8);
        });
    });
    ground.expect("a picture's inside", "pictures_broken", |file| {
        let pictures = pictures(file);
        let at = pictures[dice.below(pictures.len())];
        change(file, |bytes| bytes[at] ^= 0x40);
    });
}

/// The clusters of a finalised Matroska part: begin and end of each.
fn clusters(bytes: &[u8]) -> Vec<(usize, usize)> {
    let head = |at: &usize| bytes[*at..*at + 4] == [0x1f, 0x43, 0xb6, 0x75];
    let size = |at: usize| {
        let size = bytes[at + 4..at + 12].iter().fold(0usize, |size, byte| size << 8 | usize::from(*byte));
        size & 0x00ff_ffff_ffff_ffff
    };
    (0..bytes.len() - 12).filter(head).map(|at| (at, at + 12 + size(at))).collect()
}

#[test]
fn planted_damage_is_found_in_matroska_too() {
    let ground = Ground::new("mkv");
    let mut dice = Dice::for_test("planted damage in mkv");
    let whole = std::fs::read(ground.session.join("cam1.mkv")).expect("a part");
    assert!(!is_damaged(whole.clone()), "a clean part is called damaged");
    let media = clusters(&whole).last().expect("clusters").1;
    // A pad may lie between them; what is in that means nothing.
    let pad = whole[media..].windows(4).position(|id| id == [0x1c, 0x53, 0xbb, 0x6b]).expect("an index");
    assert!(pad < 12, "{pad} bytes between media and index");
    for place in media + pad..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << dice.below(8);
        assert!(is_damaged(bytes), "byte {place} of the index may be flipped");
    }
    ground.expect("deleted", "missing", |file| std::fs::remove_file(file).expect("removed"));
    ground.expect("emptied", "emptied", |file| std::fs::write(file, b"").expect("emptied"));
    ground.expect("a longer tail", "trailing", |file| change(file, |bytes| bytes.extend([0; 7])));
    ground.expect("truncated", "truncated", |file| change(file, |bytes| bytes.truncate(bytes.len() - 1)));
    ground.expect("truncated in the middle", "truncated", |file| change(file, |bytes| bytes.truncate(bytes.len() / 2)));
    ground.expect("a byte of the index", "tables_differ", |file| {
        change(file, |bytes| *bytes.last_mut().expect("bytes") ^= 1);
    });
    for wanted in ["fragments_broken", "content_changed"] {
        ground.expect(&format!("a byte of the media ({wanted})"), wanted, |file| {
            change(file, |bytes| {
                let all = clusters(bytes);
                let (from, to) = all[dice.below(all.len())];
                // Behind the header of the first block, and before the end of the last.
                let body = from + 40;
                bytes[body + dice.below(to - body)] ^= 1 << dice.below(8);
            });
        });
    }
    ground.expect("a cluster cut out", "tables_differ", |file| {
        change(file, |bytes| {
            let (from, to) = clusters(bytes)[2];
            let size = bytes.windows(4).position(|id| id == [0x18, 0x53, 0x80, 0x67]).expect("a segment") + 4;
            let before = u64::from_be_bytes(bytes[size..size + 8].try_into().expect("8 bytes"));
            // As somebody would who knows the format: the outer length is put right.
            bytes[size..size + 8].copy_from_slice(&(before - (to - from) as u64).to_be_bytes());
            bytes.drain(from..to);
        });
    });
}

#[test]
fn a_file_in_the_place_of_another_is_found() {
    let ground = Ground::new("mp4");
    let dir = ground.copy("swapped", false);
    let names = ["cam1.mp4", "cam2.mp4"].map(|name| dir.join(name));
    std::fs::rename(&names[0], dir.join("aside")).expect("renamed");
    std::fs::rename(&names[1], &names[0]).expect("renamed");
    std::fs::rename(dir.join("aside"), &names[1]).expect("renamed");
    let (code, report) = ground.verify(&dir);
    assert_eq!(code, Some(1), "{report:#}");
    for file in ["cam1.mp4", "cam2.mp4"] {
        let found = codes(&report, file);
        assert!(found.iter().any(|code| IDENTITY.contains(&code.as_str())), "{file}: {found:?}");
    }
    assert_eq!(verdict(&report, "cam3.mp4"), "ok");

    // What was proved once is known to the byte, whatever changes later.
    let dir = ground.copy("changed later", true);
    assert_eq!(ground.verify(&dir).0, Some(0));
    change(&dir.join("cam2.mp4"), |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let (code, report) = ground.verify(&dir);
    assert_eq!(code, Some(1), "{report:#}");
    assert!(codes(&report, "cam2.mp4").contains(&"file_changed".to_owned()), "{report:#}");
}

/// Where the first box `name` below `moov` begins.
fn boxes_named(bytes: &[u8], moov: usize, name: &str) -> usize {
    let at = bytes[moov..].windows(4).position(|window| window == name.as_bytes());
    moov + at.unwrap_or_else(|| panic!("no {name}")) - 4
}

/// A file in memory.
struct Held(Vec<u8>);

impl PartStore for Held {
    fn write_at(&self, _offset: u64, _slices: &[IoSlice<'_>]) -> io::Result<()> {
        panic!("a proof writes nothing")
    }
    fn sync(&self) -> io::Result<()> {
        panic!("a proof writes nothing")
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).expect("an offset");
        buffer.copy_from_slice(self.0.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
    fn reserve(&self, _offset: u64, _bytes: u64) -> io::Result<()> {
        panic!("a proof writes nothing")
    }
    fn release(&self) -> io::Result<()> {
        panic!("a proof writes nothing")
    }
}

/// Whether the structure of a part is called damaged.
fn is_damaged(bytes: Vec<u8>) -> bool {
    match audit(&Held(bytes)).expect("memory") {
        Audited::Part(audit) => {
            audit.findings.iter().any(|finding| finding.code.verdict() == holdfast::model::session::Verdict::Failed)
        }
        Audited::Nothing { .. } | Audited::Foreign => true,
    }
}

#[test]
fn every_byte_of_every_sample_table_counts() {
    let ground = Ground::new("mp4");
    let mut dice = Dice::for_test("flipped table bytes");
    let whole = std::fs::read(ground.session.join("cam1.mp4")).expect("a part");
    assert!(!is_damaged(whole.clone()), "a clean part is called damaged");
    let (_, moov) = halves(&whole);
    let mut flipped = 0;
    for name in ["stsz", "stco", "co64", "stts", "stsc", "ctts", "stss"] {
        for at in (moov..whole.len() - 4).filter(|at| whole[*at..*at + 4] == *name.as_bytes()) {
            let begin = at - 4;
            let size = u32::from_be_bytes(whole[begin..at].try_into().expect("4 bytes")) as usize;
            for place in begin..begin + size {
                let mut bytes = whole.clone();
                bytes[place] ^= 1 << dice.below(8);
                assert!(is_damaged(bytes), "byte {} of {name} at {begin} may be flipped", place - begin);
                flipped += 1;
            }
        }
    }
    println!("{flipped} bytes flipped");
    assert!(flipped > 1000, "only {flipped} bytes of tables were found");
}
