//! Whose start may be repeated, whatever the calendar did.

use super::*;
use crate::model::SessionId;
use crate::model::encoding::Encoding;
use crate::storage::journal::Log;
use jiff::SignedDuration;
use std::path::PathBuf;

const HOUR: Duration = Duration::from_secs(3600);

fn wall(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn clocks(boot: &str, hours: u32, at: &str) -> Clocks {
    Clocks { boot_id: boot.into(), mono: MonoNs(0).plus(HOUR * hours), wall: wall(at) }
}

/// A session that was begun by these clocks; its folder and its plan.
fn session(library: &Path, key: &str, clocks: &Clocks) -> (PathBuf, Plan) {
    let plan = Plan {
        id: SessionId(uuid::Uuid::now_v7()),
        name: "x".parse().expect("a name"),
        key: key.to_owned(),
        request: String::new(),
        start_at_ns: clocks.mono,
        boot_id: clocks.boot_id.clone(),
        started_at: clocks.wall,
        inputs: Vec::new(),
        encoding: Encoding::default(),
        files: Vec::new(),
    };
    let dir = library.join(layout::session_dir(plan.started_at, &plan.name, plan.id));
    std::fs::create_dir(&dir).expect("a folder");
    let line = Line { t_ns: 0, at: clocks.wall, kind: JournalKind::Plan(plan.clone()) };
    Log::open(&dir.join(layout::JOURNAL)).and_then(|mut log| log.append(&line)).expect("a plan");
    (dir, plan)
}

fn keys(library: &Path, clocks: &Clocks, listed: &[Recent]) -> Vec<String> {
    plans(library, clocks, listed).expect("read").into_iter().map(|plan| plan.key).collect()
}

#[test]
fn a_step_of_the_calendar_forgets_no_start_of_this_boot() {
    let library = tempfile::tempdir().expect("a library");
    session(library.path(), "old", &clocks("a", 1, "2026-11-22T06:00:00Z"));
    session(library.path(), "new", &clocks("a", 20, "2026-11-23T01:00:00Z"));
    for at in ["2026-11-23T02:00:00Z", "2027-11-23T02:00:00Z", "1970-01-01T00:00:00Z"] {
        assert_eq!(keys(library.path(), &clocks("a", 21, at), &[]), ["new", "old"], "{at}");
        let later = keys(library.path(), &clocks("a", 26, at), &[]);
        assert_eq!(later, ["new"], "a day has passed whatever the calendar says: {at}");
    }
}

#[test]
fn over_a_reboot_the_calendar_decides_and_a_day_of_this_boot_is_enough() {
    let library = tempfile::tempdir().expect("a library");
    session(library.path(), "k", &clocks("a", 20, "2026-11-23T01:00:00Z"));
    assert_eq!(keys(library.path(), &clocks("b", 1, "2026-11-23T09:00:00Z"), &[]), ["k"]);
    assert!(keys(library.path(), &clocks("b", 1, "2026-11-24T01:00:00Z"), &[]).is_empty());
    // The board has lost its date.
    assert_eq!(keys(library.path(), &clocks("b", 1, "1970-01-01T01:00:00Z"), &[]), ["k"]);
    assert!(keys(library.path(), &clocks("b", 24, "1970-01-02T00:00:00Z"), &[]).is_empty());
}

#[test]
fn a_session_named_after_a_wrong_date_is_found_by_the_list() {
    let library = tempfile::tempdir().expect("a library");
    for day in 10..20 {
        session(library.path(), "past", &clocks("a", 1, &format!("2026-11-{day}T06:00:00Z")));
    }
    let before = clocks("b", 1, "1970-01-01T01:00:00Z");
    let (dir, plan) = session(library.path(), "k", &before);
    let mut list = Vec::new();
    note(&mut list, &before, &dir, &plan);
    // Then it learned the date.
    let now = clocks("b", 2, "2026-11-25T06:00:00Z");
    assert_eq!(keys(library.path(), &now, &list), ["k"]);
    std::fs::remove_dir_all(&dir).expect("somebody deletes it");
    assert!(keys(library.path(), &now, &list).is_empty(), "the folders are the truth");
}

#[test]
fn the_list_holds_a_day_and_never_grows_beyond_its_bound() {
    let library = tempfile::tempdir().expect("a library");
    let first = clocks("a", 1, "2026-11-22T06:00:00Z");
    let (dir, plan) = session(library.path(), "k", &first);
    let mut list = Vec::new();
    (0..LISTED + 5).for_each(|_| note(&mut list, &first, &dir, &plan));
    assert_eq!(list.len(), LISTED);
    let later = Clocks { mono: first.mono.plus(DAY), wall: first.wall + SignedDuration::from_secs(5), ..first };
    note(&mut list, &later, &dir, &Plan { start_at_ns: later.mono, ..plan });
    assert_eq!(list.len(), 1);
}

/// A start waits for this: a day of long sessions, megabytes each, would keep it for seconds.
#[test]
fn of_a_journal_no_more_is_read_than_tells_the_plan() {
    use std::io::Write;
    let library = tempfile::tempdir().expect("a library");
    let now = clocks("a", 1, "2026-11-22T06:00:00Z");
    let (dir, plan) = session(library.path(), "k", &now);
    let path = dir.join(layout::JOURNAL);
    std::fs::remove_file(&path).expect("the journal");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("a pipe");
    // Whoever reads on behind its two lines waits for as long as this is open.
    let mut pipe = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("a pipe");
    for kind in [JournalKind::Plan(plan), JournalKind::StopRequested] {
        let line = serde_json::to_vec(&Line { t_ns: 0, at: now.wall, kind }).expect("JSON");
        pipe.write_all(&[line, b"\n".to_vec()].concat()).expect("written");
    }
    let (told, answer) = std::sync::mpsc::sync_channel(1);
    let library = library.path().to_owned();
    std::thread::spawn(move || told.send(keys(&library, &now, &[])));
    assert_eq!(answer.recv_timeout(Duration::from_secs(10)), Ok(vec!["k".to_owned()]));
}

#[test]
fn the_key_of_a_refused_start_is_free_again() {
    use crate::model::session::Closed;
    let library = tempfile::tempdir().expect("a library");
    let at = |minute: u32| clocks("a", 1, &format!("2026-11-22T06:{minute:02}:00Z"));
    for (minute, lines) in [
        (1, &[JournalKind::Closed { state: Closed::Failed }][..]),
        (2, &[JournalKind::StopRequested, JournalKind::Closed { state: Closed::Failed }]),
        (3, &[]),
        (4, &[JournalKind::Closed { state: Closed::Failed }, JournalKind::Closed { state: Closed::Failed }]),
    ] {
        let (dir, plan) = session(library.path(), &minute.to_string(), &at(minute));
        // A disk that refused to sync it was asked again, and kept it twice.
        let again = (minute == 4).then_some(JournalKind::Plan(plan));
        let lines: Vec<JournalKind> = again.into_iter().chain(lines.iter().cloned()).collect();
        let mut log = Log::open(&dir.join(layout::JOURNAL)).expect("a journal");
        for kind in lines {
            log.append(&Line { t_ns: 0, at: at(minute).wall, kind }).expect("a line");
        }
    }
    assert_eq!(keys(library.path(), &at(5), &[]), ["3", "2"]);
}
