//! Sessions on a disk that refuses one of them.

use super::*;
use crate::media::durable_sink::DiskWatch;
use crate::model::session::{Fact, FactKind};
use crate::sys::clock::mono_now;
use crate::worker::state::Reply;
use jiff::Timestamp;
use std::fs;
use std::os::unix::fs::MetadataExt;

fn at(s: u64) -> MonoNs {
    MonoNs(s * 1_000_000_000)
}

fn id(n: u128) -> SessionId {
    SessionId(uuid::Uuid::from_u128(n))
}

fn lines() -> Lines {
    let mailbox = Mailbox::new().expect("an eventfd");
    let input = "cam1".parse().expect("an id");
    Lines { input, mailbox, calls: Arc::default(), queued: Arc::default(), sessions: Vec::new() }
}

impl Lines {
    fn write(&mut self, now: MonoNs, session: SessionId, dir: &Path) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        let fact = Fact { n: 1, kind: FactKind::PartOpened { part: 1, file: "cam1.mp4".into() } };
        let entry = Entry { session, dir: dir.to_owned(), t_ns: 0, at: Timestamp::UNIX_EPOCH, fact };
        self.take(now, Job::Write(Box::new(entry)));
    }

    fn hold_on(&mut self, now: MonoNs, session: SessionId, dir: &Path) {
        self.take(now, Job::Hold(Hold { reply: Reply { connection: 1, id: 1 }, session, dir: dir.to_owned() }));
    }

    /// What was told since the last call, by name.
    fn told(&self) -> Vec<&'static str> {
        let name = |notice| match notice {
            Notice::FactWritten { all: true, .. } => "written",
            Notice::FactWritten { all: false, .. } => "written beside",
            Notice::FactsFailed(_) => "failed",
            Notice::FactsGivenUp { all: true, .. } => "given up",
            Notice::SessionHeld(_, _, Ok(())) => "held",
            _ => "something else",
        };
        self.mailbox.wait(Duration::from_millis(1)).into_iter().map(name).collect()
    }
}

/// A library that is there, with the folder of one session.
fn library() -> (tempfile::TempDir, PathBuf) {
    let library = tempfile::tempdir().expect("a folder");
    fs::write(library.path().join(layout::LIBRARY_LOCK), "").expect("a lock");
    let dir = library.path().join("two");
    fs::create_dir(&dir).expect("a folder");
    fs::write(dir.join(layout::JOURNAL), "").expect("a journal");
    (library, dir)
}

#[test]
fn the_next_session_does_not_wait_for_a_fact_of_the_last_one() {
    let (library, two) = library();
    let one = library.path().join("one");
    let mut lines = lines();
    lines.write(at(0), id(1), &one);
    lines.take(at(0), Job::LetGo(id(1)));
    assert_eq!(lines.told(), ["failed"]);
    lines.hold_on(at(1), id(2), &two);
    lines.write(at(1), id(2), &two);
    assert_eq!(lines.told(), ["held", "written beside"]);
    assert!(journal::hold_alone(&two, Duration::ZERO).expect("a journal").is_none(), "nobody closes it meanwhile");
    lines.take(at(2), Job::LetGo(id(2)));
    // The folder is back: its facts are written late, and it is let go.
    fs::create_dir(&one).expect("a folder");
    lines.again(at(3), false);
    assert_eq!(lines.told(), ["written"]);
    assert!(lines.sessions.is_empty() && lines.pause(at(3)).is_none());
}

#[test]
fn facts_of_a_session_that_is_over_and_was_removed_are_given_up() {
    let (library, _) = library();
    let mut lines = lines();
    let one = library.path().join("one");
    for _ in 0..3 {
        lines.write(at(0), id(1), &one);
    }
    lines.again(at(60), false);
    assert_eq!(lines.told(), ["failed"], "while it is recorded, its folder may come back");
    lines.take(at(60), Job::LetGo(id(1)));
    lines.again(at(62), false);
    assert_eq!(lines.told(), ["given up"]);
    assert_eq!((lines.sessions.len(), lines.queued.load(Ordering::Relaxed)), (0, 0));
    // With the whole library: its disk was unplugged, and comes back with it.
    lines.write(at(100), id(2), &one);
    lines.take(at(100), Job::LetGo(id(2)));
    fs::remove_file(library.path().join(layout::LIBRARY_LOCK)).expect("removed");
    lines.again(at(200), false);
    assert_eq!((lines.told(), lines.sessions.len()), (vec!["failed"], 1));
}

#[test]
fn a_facts_file_keeps_room_while_its_session_is_held() {
    let (_library, dir) = library();
    let room =
        || fs::metadata(dir.join("cam1.facts.jsonl")).map(|meta| (meta.len(), meta.blocks() * 512)).expect("facts");
    let mut lines = lines();
    lines.hold_on(at(0), id(1), &dir);
    lines.write(at(0), id(1), &dir);
    let (length, blocks) = room();
    if Log::open(&dir.join("other")).and_then(|mut log| log.keep_room()).is_ok() {
        assert!(blocks > length + 100_000, "{blocks} behind {length}");
    }
    lines.take(at(1), Job::LetGo(id(1)));
    assert!(room().1 <= length + 2 * 4096, "{:?}", room());
    assert_eq!(lines.told(), ["held", "written"]);
}

/// A worker that waits for the disk with anything must not be taken for one that is merely slow.
#[test]
fn a_disk_that_does_not_answer_a_hold_is_seen() {
    let (_library, dir) = library();
    let journal = dir.join(layout::JOURNAL);
    fs::remove_file(&journal).expect("removed");
    // A pipe nobody writes to does not open.
    rustix::fs::mkfifoat(rustix::fs::CWD, &journal, rustix::fs::Mode::RWXU).expect("a pipe");
    let watch = DiskWatch::default();
    let mut lines = Lines { calls: watch.list(), ..lines() };
    let holding = std::thread::spawn(move || {
        lines.hold_on(at(0), id(1), &dir);
        lines.told()
    });
    let begun = mono_now();
    while watch.waits_since().is_none() && mono_now().since(begun) < Duration::from_secs(10) {
        std::thread::yield_now();
    }
    let seen = watch.waits_since().is_some();
    let freed = fs::OpenOptions::new().read(true).write(true).open(&journal);
    assert_eq!(holding.join().expect("no panic"), ["held"]);
    drop(freed);
    assert!(seen && watch.waits_since().is_none());
}
