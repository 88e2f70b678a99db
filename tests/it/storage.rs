//! The real program on disks that fill up, freeze, go away, take nothing, and come back (R-FM-4, R-DEG-T1, -T6, -T7,
//! R-CMD-1): what it shows, what it refuses, what it stops, and that nothing is lost by it.

use crate::adopt::{CLOSED_WITHIN, lines};
use crate::proof::wait_verdict;
use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::api::{self, Events};
use crate::support::disk::Disk;
use crate::support::evidence::{assert_sound, manifest};
use crate::support::proc::{Holdfast, test_inputs};
use crate::support::process::{self, Deadline};
use holdfast::model::session::{JournalKind, Line};
use holdfast::storage::history::Journal;
use holdfast::storage::journal::{self, Log};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const INPUTS: [&str; 2] = ["cam1", "cam2"];
/// The disk is looked at every second; a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(8);
/// A write that does not return is named within 2 s (R-FM-4); a busy machine.
const FROZEN_SEEN_WITHIN: Duration = Duration::from_secs(4);
/// A start is answered within 8 s (R-CMD-2), and no command takes more than 10 s: an engine gives it 7 s of them.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Where it is known that the disk does not answer, a start is refused at once; a busy machine.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);

/// `mount` takes a second at most on a machine under load.
const MOUNTED_WITHIN: Duration = Duration::from_secs(20);

/// A folder in which nothing can be written any more, though whoever has a file of it open still can.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn make(dir: &Path) -> Self {
        let mount = |args: &[&OsStr]| {
            let done = process::run("mount", Command::new("mount").args(args), &std::env::temp_dir(), MOUNTED_WITHIN);
            assert_eq!(done.code, Some(0), "{done:?}");
        };
        mount(&["--bind".as_ref(), dir.as_ref(), dir.as_ref()]);
        let made = Self(dir.to_owned());
        mount(&["-o".as_ref(), "remount,ro,bind".as_ref(), dir.as_ref()]);
        made
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Somebody else's file of so many megabytes in the library.
fn fill(holdfast: &Holdfast, name: &str, megabytes: u64) {
    let file = std::fs::File::create(holdfast.library().join(name)).expect("a file");
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, megabytes * 1_000_000).expect("room");
}

/// A file that takes all the room there is.
fn fill_up(path: &Path) {
    let mut file = std::fs::File::create(path).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
}

/// Whether `code` is an active alert of the disk itself.
fn is_told(holdfast: &Holdfast, code: &str) -> bool {
    let alerts = holdfast.api("GET", "/api/v1/alerts", &[], None).expect("an answer").body;
    let alerts = alerts.as_array().or_else(|| alerts["alerts"].as_array()).cloned().unwrap_or_default();
    alerts.iter().any(|alert| alert["source"] == "storage" && alert["code"] == code && alert["state"] == "active")
}

fn wait_told(holdfast: &Holdfast, code: &str, told: bool, time: Duration) -> Value {
    let what = format!("{code} told: {told}");
    holdfast.wait_until(&what, time, |_| is_told(holdfast, code) == told);
    // The one that was waited with may be from before the alert.
    holdfast.status()
}

/// Asks for a start; status, code, message and how long it took.
fn ask_start(socket: &Path) -> (u16, String, String, Duration) {
    let asked = Deadline::after(ANSWERED_WITHIN);
    let reply = api::request(socket, "POST", "/api/v1/recorder/start", &[], Some(&json!({}))).expect("an answer");
    let text = |key: &str| reply.body[key].as_str().unwrap_or_default().to_owned();
    (reply.status, text("code"), text("message"), asked.elapsed())
}

/// Reads events until the level is `name`; what it was in between.
fn follow_level(events: &mut Events, name: &str) -> Vec<Value> {
    let (mut seen, deadline) = (Vec::new(), Deadline::after(SEEN_WITHIN));
    while let Some(left) = deadline.left() {
        if let Some(event) = events.next(left).expect("the stream goes on")
            && event["kind"] == "level"
        {
            seen.push(event["data"].clone());
            if event["data"]["name"] == name {
                return seen;
            }
        }
    }
    panic!("the level does not become {name}: {seen:#?}");
}

#[test]
fn as_the_disk_fills_up_every_level_is_shown_and_below_the_floor_all_is_closed_playable() {
    let limits = "[storage]\nmin_free_start = \"60MB\"\ncritical_free = \"60MB\"\nstop_new_free = \"100MB\"\n\
                  warn_free = \"140MB\"\nwarn_used_percent = 55\ncritical_used_percent = 55\n";
    let mut holdfast = Holdfast::new(&format!("{limits}{}", test_inputs(2, "auto")));
    let Some(_disk) = Disk::tmpfs(&holdfast.library(), "200m") else { return };
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let mut events = holdfast.events().expect("a stream");
    let level = holdfast.status()["level"].take();
    assert_eq!((&level["name"], &level["causes"], &level["actions"]), (&json!("normal"), &json!([]), &json!([])));
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, "cam2", Duration::from_secs(2));

    // One step at a time: 140, 100, 60 MB of the 200 MB are the limits, and some MB are recorded meanwhile.
    fill(&holdfast, "one", 80);
    let warned = follow_level(&mut events, "warn");
    assert_eq!((warned.len(), &warned[0]["causes"]), (1, &json!(["disk_low"])));
    assert_eq!(warned[0]["actions"], json!([]));
    assert!(is_told(&holdfast, "disk_low") && !is_told(&holdfast, "disk_critical"));
    fill(&holdfast, "two", 35);
    let degraded = follow_level(&mut events, "degrade");
    assert_eq!((degraded.len(), &degraded[0]["actions"]), (1, &json!(["no_new_recordings"])));
    assert_eq!(holdfast.status()["session"]["state"], "recording", "what runs goes on");
    // More than 55 % used: a critical alert, and nothing else.
    wait_told(&holdfast, "disk_critical", true, SEEN_WITHIN);
    assert_eq!(holdfast.status()["session"]["state"], "recording", "percentages stop nothing");

    fill(&holdfast, "three", 45);
    follow_level(&mut events, "critical");
    let last = wait_verdict(&holdfast);
    assert_eq!(last["state"], "completed", "{last:#}");
    assert_eq!(holdfast.status()["level"]["actions"], json!(["no_new_recordings", "recording_stopped"]));
    assert!(is_told(&holdfast, "disk_full"));
    let session = holdfast.session();
    let media = holdfast.media(&session);
    assert_eq!(media.len(), 2, "{media:?}");
    for path in &media {
        let found = assert_sound(path);
        assert!(found.video.samples() > 60, "{}: {} pictures", path.display(), found.video.samples());
    }
    let found = manifest(&session);
    assert_eq!(found["inputs"][0]["parts"].as_array().map(Vec::len), Some(1), "{found:#}");
    let verdicts: Vec<&Value> =
        found["inputs"].as_array().into_iter().flatten().map(|input| &input["verdict"]).collect();
    assert!(verdicts.iter().all(|verdict| **verdict == "ok" || **verdict == "warning"), "{verdicts:?}");

    let (status, code, message, _) = ask_start(&holdfast.socket());
    assert_eq!((status, code.as_str()), (507, "no_space"));
    assert!(message.contains("storage.stop_new_free needs 100 MB") && message.contains("are free"), "{message}");
    assert_eq!(holdfast.sessions().len(), 1, "nothing was begun");

    // Room again: Record works at once; the level keeps its distance (R-DEG-3).
    for name in ["one", "two", "three"] {
        std::fs::remove_file(holdfast.library().join(name)).expect("it is there");
    }
    holdfast.wait_until("room again", SEEN_WITHIN, |snapshot| {
        snapshot["level"]["actions"] != json!(["no_new_recordings", "recording_stopped"])
    });
    start(&holdfast, &INPUTS);
    holdfast.cli_ok(&["record", "stop"]);
    assert_eq!(holdfast.status()["level"]["name"], "critical");
}

/// Somebody else takes the last byte: the journal has its own reserve, and every part its own.
#[test]
fn on_a_disk_that_somebody_fills_to_the_last_byte_the_session_is_closed_whole() {
    let limits = "[storage]\nmin_free_start = \"1MB\"\ncritical_free = \"0B\"\nstop_new_free = \"1MB\"\n\
                  warn_free = \"1MB\"\nwarn_used_percent = 100\ncritical_used_percent = 100\n";
    // So little that the room every part has kept (a megabyte and more) lasts for as long as is looked below.
    let little = "[recording]\nbitrate_kbps = 100\n";
    let mut holdfast = Holdfast::new(&format!("{limits}{little}{}", test_inputs(2, "auto")));
    let Some(_disk) = Disk::tmpfs(&holdfast.library(), "64m") else { return };
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, "cam2", Duration::from_secs(1));
    let all = holdfast.library().join("all");
    fill_up(&all);
    wait_told(&holdfast, "disk_full", true, SEEN_WITHIN);
    // The disk is looked at beside that, once a second.
    let told = holdfast.wait_until("no room", SEEN_WITHIN, |snapshot| snapshot["storage"]["free_bytes"] == 0);
    assert_eq!(told["session"]["state"], "recording", "every part has kept room for itself");
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let journal = lines(&session.join("journal.jsonl"));
    let has = |kind: &str| journal.iter().any(|line| line["kind"] == kind);
    assert!(has("stop_requested") && has("closed"), "{journal:#?}");
    assert_eq!(manifest(&session)["state"], "completed");
    for path in holdfast.media(&session) {
        assert!(assert_sound(&path).video.samples() > 20, "{}", path.display());
    }
    std::fs::remove_file(&all).expect("it is there");
    wait_told(&holdfast, "disk_full", false, SEEN_WITHIN);
    holdfast.wait_until("room again", SEEN_WITHIN, |snapshot| snapshot["storage"]["free_bytes"] != 0);
    start(&holdfast, &INPUTS);
    holdfast.cli_ok(&["record", "stop"]);
}

/// The journal has a reserve of its own (R-CMD-1).
#[test]
fn a_journal_takes_its_last_lines_on_a_full_disk_and_gives_back_what_it_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(_disk) = Disk::tmpfs(dir.path(), "8m") else { return };
    let session = dir.path().join("session");
    std::fs::create_dir(&session).expect("a folder");
    let line = |t_ns| Line { t_ns, at: jiff::Timestamp::UNIX_EPOCH, kind: JournalKind::StopRequested };
    let mut journal = Journal::open(&session).expect("a journal");
    journal.append(&line(0)).expect("room");
    fill_up(&dir.path().join("all"));
    for t_ns in 1..500 {
        journal.append(&line(t_ns)).unwrap_or_else(|error| panic!("line {t_ns}: {error}"));
    }
    drop(journal);
    let mut log = Log::open(&session.join("journal.jsonl")).expect("the journal");
    log.spare_one_line().expect("given back");
    std::fs::write(session.join("session.json"), [b' '; 64_000]).expect("room for a manifest");
    fill_up(&dir.path().join("more"));
    log.append(&line(500)).expect("room for one line");
    let (lines, torn) = journal::read::<Line<JournalKind>>(&session.join("journal.jsonl")).expect("a journal");
    assert_eq!((lines.len(), torn), (501, 0));
}

#[test]
fn a_frozen_disk_is_named_within_seconds_holds_nobody_up_and_is_forgotten_when_it_thaws() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let Some(mut disk) = Disk::ext4(&holdfast.library()) else { return };
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);

    // Idle: a start is refused in time, the next one at once.
    disk.freeze();
    let socket = holdfast.socket();
    let first = std::thread::spawn(move || ask_start(&socket));
    let seen = wait_told(&holdfast, "storage_frozen", true, FROZEN_SEEN_WITHIN);
    assert_eq!(seen["level"]["causes"], json!(["storage_frozen"]), "{seen:#}");
    let (status, code, message, took) = first.join().expect("asked");
    assert_eq!((status, code.as_str()), (503, "storage_frozen"), "{message}");
    println!("refused after {took:?}: {message}");
    assert!(took <= ANSWERED_WITHIN, "{took:?}");
    let (status, code, _, took) = ask_start(&holdfast.socket());
    assert_eq!((status, code.as_str()), (503, "storage_frozen"));
    assert!(took <= REFUSED_WITHIN, "what is known is said at once: {took:?}");
    assert!(holdfast.status()["session"].is_null());
    disk.thaw();
    wait_told(&holdfast, "storage_frozen", false, SEEN_WITHIN);
    // The plan that came through late says of itself that nothing was recorded.
    holdfast.wait_until("the late plan is closed", CLOSED_WITHIN, |_| {
        let late = holdfast.sessions();
        late.len() == 1 && late.iter().all(|session| session.join("session.json").exists())
    });
    assert_eq!(manifest(&holdfast.session())["state"], "failed");

    // Recording: a stop is carried out, the session is closed when the disk answers, and Record works again.
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, "cam2", Duration::from_secs(1));
    disk.freeze();
    let asked = Deadline::after(ANSWERED_WITHIN);
    let stop = holdfast.api("POST", "/api/v1/recorder/stop", &[], None).expect("an answer");
    assert_eq!(stop.status, 202, "{stop:?}");
    println!("stop was answered after {:?}", asked.elapsed());
    wait_told(&holdfast, "storage_frozen", true, FROZEN_SEEN_WITHIN);
    assert_eq!(holdfast.status()["session"]["state"], "stopping");
    disk.thaw();
    let thawed = Deadline::after(CLOSED_WITHIN);
    holdfast.wait_until("the session is closed", CLOSED_WITHIN, |snapshot| snapshot["session"].is_null());
    println!("closed {:?} after the thaw", thawed.elapsed());
    wait_told(&holdfast, "storage_frozen", false, SEEN_WITHIN);
    for path in holdfast.media(&holdfast.session()) {
        assert_sound(&path);
    }
    start(&holdfast, &INPUTS);
    holdfast.cli_ok(&["record", "stop"]);
}

#[test]
fn a_disk_that_goes_away_or_becomes_read_only_is_named_and_nothing_is_written_in_its_place() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    let Some(_disk) = Disk::tmpfs(&holdfast.library(), "400m") else { return };
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let refused = |holdfast: &Holdfast, code: &str| {
        let snapshot = wait_told(holdfast, code, true, SEEN_WITHIN);
        assert!(snapshot["storage"]["free_bytes"].is_null(), "a disk in trouble is not green: {snapshot:#}");
        assert_eq!(snapshot["level"]["name"], "critical");
        let (status, word, message, took) = ask_start(&holdfast.socket());
        assert_eq!((status, word.as_str()), (503, code), "{message}");
        assert!(took <= REFUSED_WITHIN, "{took:?}");
    };

    let over = Disk::tmpfs(&holdfast.library(), "400m").expect("mounted before");
    refused(&holdfast, "storage_vanished");
    let left: Vec<_> = std::fs::read_dir(holdfast.library()).expect("a folder").collect();
    assert!(left.is_empty(), "written into what is not the library: {left:?}");
    drop(over);
    wait_told(&holdfast, "storage_vanished", false, SEEN_WITHIN);

    let read_only = ReadOnly::make(&holdfast.library());
    refused(&holdfast, "disk_read_only");
    drop(read_only);
    wait_told(&holdfast, "disk_read_only", false, SEEN_WITHIN);
    start(&holdfast, &["cam1"]);

    // Somebody moves the folder of a running session away.
    let session = holdfast.session();
    let aside = holdfast.root().join("library").join("aside");
    std::fs::rename(&session, &aside).expect("moved");
    wait_told(&holdfast, "storage_vanished", true, SEEN_WITHIN);
    std::fs::rename(&aside, &session).expect("moved back");
    wait_told(&holdfast, "storage_vanished", false, SEEN_WITHIN);
    holdfast.cli_ok(&["record", "stop"]);
    assert_sound(&holdfast.media(&session)[0]);
}
