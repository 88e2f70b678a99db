//! A disk without room: the workers close every file whole, also without an engine (R-FM-4, R-SUP-16).

use super::*;
use crate::record::RECORDS_WITHIN;
use crate::support::demux;
use crate::support::disk::Disk;
use crate::support::evidence::{assert_no_frame_missing, manifest};
use crate::support::inject::Filler;
use crate::support::proc::{test_inputs, wait_for_change};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const INPUTS: [&str; 2] = ["cam1", "cam2"];
/// A disk that is full is noticed with the next fragment, and a file closed within a second.
const CLOSED_WITHIN: Duration = Duration::from_secs(15);

/// Two inputs, and no floor before the disk is really full.
fn without_floors() -> Holdfast {
    let floors = "[storage]\nmin_free_start = \"1MB\"\nstop_new_free = \"1MB\"\ncritical_free = \"1KB\"\n";
    Holdfast::new(&(test_inputs(2, "auto") + floors))
}

/// Every file of `session` is closed, whole, and said to have ended for want of room, as `code`.
fn assert_closed(session: &Path, code: &str) {
    let manifest = manifest(session);
    for input in INPUTS {
        let parts = media_parts(&manifest, input);
        // A quota may also refuse the sync and what finalises the file: that is more than a full disk, and said.
        let ends: &[&str] = if code == "disk_full" { &["disk_full"] } else { &["disk_full", "disk_error"] };
        assert_eq!(parts.len(), 1, "{manifest:#}");
        assert!(ends.contains(&parts[0]["end"].as_str().unwrap_or_default()), "{manifest:#}");
        let found = assert_no_frame_missing(&session.join(format!("{input}.mp4")));
        assert_eq!(parts[0]["frames"]["written"], found.video.samples() as u64, "{manifest:#}");
        assert_eq!(parts[0]["frames"]["dropped"], 0, "{manifest:#}");
        assert!(incidents(&manifest, input).contains(&code.to_owned()), "{manifest:#}");
    }
}

fn wait_failed(holdfast: &Holdfast, code: &str) {
    for input in INPUTS {
        // The second may live for a while on what the first has given back.
        holdfast.wait_until(&format!("{code} of {input}"), CLOSED_WITHIN, |_| alert(holdfast, input, code).is_some());
        // The session ends with its last recording, and is closed at once.
        holdfast.wait_until("it has ended", CLOSED_WITHIN, |snapshot| {
            ["failed", "done"].contains(&recording(snapshot, input)["state"].as_str().unwrap_or_default())
        });
    }
}

fn wait_closed(holdfast: &Holdfast, session: &Path) {
    holdfast.wait_until("the session is closed", Duration::from_secs(40), |_| session.join("session.json").exists());
}

#[test]
fn a_full_disk_closes_every_file_whole() {
    let mut holdfast = without_floors();
    let Some(_disk) = Disk::tmpfs(&holdfast.library(), "100m") else { return };
    begin(&mut holdfast, &INPUTS);
    let session = holdfast.session();
    // Else the room the first to close gives back lets the other go on for some seconds.
    let filler = Greedy::fill(&holdfast.library());
    wait_failed(&holdfast, "disk_full");
    drop(filler);
    wait_closed(&holdfast, &session);
    assert_closed(&session, "disk_full");
}

/// Takes whatever room a disk gets, until it is dropped: a closed file gives some back.
struct Greedy {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    _filler: Filler,
}

impl Greedy {
    fn fill(dir: &Path) -> Self {
        let filler = Filler::fill(dir);
        let mut file = std::fs::OpenOptions::new().append(true).open(dir.join("filler")).expect("the filler");
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if file.write_all(&[0; 4096]).is_err() {
                    std::thread::park_timeout(Duration::from_millis(2));
                }
            }
        });
        Self { over, thread: Some(thread), _filler: filler }
    }
}

impl Drop for Greedy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// What ends a recording on a full disk is written down on the full disk: the facts keep room for it, also when their file
/// needs a new block just then (R-FM-4).
#[test]
fn the_last_facts_are_written_on_a_full_disk() {
    let mut holdfast = without_floors();
    let Some(_disk) = Disk::tmpfs(&holdfast.library(), "100m") else { return };
    begin(&mut holdfast, &INPUTS);
    let session = holdfast.session();
    for input in INPUTS {
        // Empty lines up to the end of a block.
        let path = session.join(format!("{input}.facts.jsonl"));
        let length = std::fs::metadata(&path).expect("facts").len();
        let mut facts = std::fs::OpenOptions::new().append(true).open(&path).expect("facts");
        facts.write_all("\n".repeat(usize::try_from(4096 - length % 4096).expect("a block")).as_bytes()).expect("room");
    }
    let filler = Greedy::fill(&holdfast.library());
    wait_failed(&holdfast, "disk_full");
    for input in INPUTS {
        let done = || {
            let text = std::fs::read_to_string(session.join(format!("{input}.facts.jsonl"))).unwrap_or_default();
            text.contains("\"part_closed\"") && text.contains("\"done\"")
        };
        let deadline = Deadline::after(CLOSED_WITHIN);
        while !done() {
            assert!(deadline.left().is_some(), "{input}: its last facts wait for room");
            wait_for_change(&session, Duration::from_millis(200));
        }
    }
    drop(filler);
    wait_closed(&holdfast, &session);
    assert_closed(&session, "disk_full");
}

#[test]
fn a_quota_that_is_used_up_closes_every_file_whole_although_there_is_room() {
    let mut holdfast = without_floors();
    let Some(disk) = Disk::btrfs_with_quota(&holdfast.library(), "60M") else { return };
    begin(&mut holdfast, &INPUTS);
    let session = holdfast.session();
    let filler = Filler::fill(&holdfast.library());
    let room = rustix::fs::statvfs(holdfast.library()).map(|stat| stat.f_bavail * stat.f_frsize).expect("a disk");
    assert!(room > 100_000_000, "{room} bytes are left: that is no quota");
    wait_failed(&holdfast, "quota_exceeded");
    drop(filler);
    disk.limit("400M");
    wait_closed(&holdfast, &session);
    assert_closed(&session, "quota_exceeded");
}

#[test]
fn without_an_engine_the_workers_keep_the_floor_and_the_next_one_learns_of_it() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let Some(_disk) = Disk::tmpfs(&holdfast.library(), "300m") else { return };
    begin(&mut holdfast, &INPUTS);
    let session = holdfast.session();
    holdfast.engine().kill();
    let filler = Filler::leave(&holdfast.library(), 45_000_000);
    let deadline = Deadline::after(CLOSED_WITHIN);
    let ordinary = |input: &str| {
        let bytes = std::fs::read(session.join(format!("{input}.mp4"))).unwrap_or_default();
        demux::top_level_boxes(&bytes) == ["ftyp", "mdat", "moov"]
    };
    while !INPUTS.iter().all(|input| ordinary(input)) {
        assert!(deadline.left().is_some(), "the workers record on below the floor");
        wait_for_change(&session, Duration::from_millis(200));
    }
    drop(filler);
    holdfast.spawn_engine();
    holdfast.wait_until("the session is closed", RECORDS_WITHIN, |_| session.join("session.json").exists());
    assert_closed(&session, "disk_full");
}
