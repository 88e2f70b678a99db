//! What a folder is taken for: only one that can be read is called empty or closed.

use super::*;
use crate::model::encoding::Encoding;
use crate::model::input::{AudioChoice, InputSpec, OnSignalLoss, SourceSpec, TestPattern};
use crate::model::session::{Closed, Plan};
use crate::model::{MonoNs, SessionId};
use crate::sys::clock;
use std::fs;

fn line(kind: JournalKind) -> Line<JournalKind> {
    Line { t_ns: 0, at: clock::wall_now(), kind }
}

/// Makes a session folder with these lines behind its plan.
fn session(library: &Path, second: u32, lines: &[JournalKind]) -> PathBuf {
    let input = InputSpec {
        id: "cam1".parse().expect("an id"),
        name: "cam1".to_owned(),
        source: SourceSpec::Test { pattern: TestPattern::Bars, width: 64, height: 64, fps: 30, tone_hz: 440 },
        audio: AudioChoice::Off,
        on_signal_loss: OnSignalLoss::Split,
        codec: None,
        importance: 0,
        armed: true,
    };
    let plan = Plan {
        id: SessionId(uuid::Uuid::now_v7()),
        name: "x".parse().expect("a name"),
        key: second.to_string(),
        request: String::new(),
        start_at_ns: MonoNs(0),
        boot_id: "b".into(),
        started_at: clock::wall_now(),
        inputs: vec![input],
        encoding: Encoding::default(),
        files: vec!["cam1.mp4".into()],
    };
    let dir = library.join(format!("2026-11-22_08-00-{second:02}_x_0000"));
    fs::create_dir(&dir).expect("a folder");
    let mut log = journal::Log::open(&dir.join(layout::JOURNAL)).expect("a journal");
    log.append(&line(JournalKind::Plan(plan))).expect("a plan");
    for kind in lines {
        log.append(&line(kind.clone())).expect("a line");
    }
    dir
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_does_not_hide_the_others() {
    let library = tempfile::tempdir().expect("a library");
    let open = session(library.path(), 1, &[]);
    // Reading a folder fails with EISDIR for everybody, also for root.
    let broken = library.path().join("2026-11-22_08-00-02_x_0000");
    fs::create_dir_all(broken.join(layout::JOURNAL)).expect("a folder");
    fs::create_dir(library.path().join("2026-11-22_08-00-03_x_0000")).expect("a folder without a journal");
    let found = search(library.path()).expect("searched");
    assert_eq!(found.interrupted.iter().map(|found| &found.dir).collect::<Vec<_>>(), [&open]);
    assert_eq!(found.unread.iter().map(|unread| &unread.dir).collect::<Vec<_>>(), [&broken]);
}

#[test]
fn a_damaged_plan_is_not_called_empty_once_something_was_recorded() {
    let library = tempfile::tempdir().expect("a library");
    let dir = library.path().join("2026-11-22_08-00-01_x_0000");
    fs::create_dir(&dir).expect("a folder");
    fs::write(dir.join(layout::JOURNAL), b"{\"t_ns\":0,\"pl").expect("a torn plan");
    assert!(matches!(look(&dir), Look::Empty), "it was torn before anybody began");
    fs::write(dir.join("cam1.mp4"), b"media").expect("a part");
    assert!(matches!(look(&dir), Look::Unread(_)));
}

#[test]
fn the_newest_are_told_before_the_others_are_looked_at() {
    let library = tempfile::tempdir().expect("a library");
    for second in 1..=5 {
        session(library.path(), second, &[]);
    }
    let mut told = Vec::new();
    search_newest_first(library.path(), 2, &mut |found| told.push(found.interrupted.len())).expect("searched");
    assert_eq!(told, [2, 1, 1, 1]);
}

#[test]
fn a_closed_session_is_known_by_the_end_of_its_journal() {
    let library = tempfile::tempdir().expect("a library");
    let dir = session(library.path(), 1, &[JournalKind::Closed { state: Closed::Completed }]);
    assert!(ends_closed(&dir.join(layout::JOURNAL)).expect("read"));
    // However many lines came late: then all of it is read.
    let mut log = journal::Log::open(&dir.join(layout::JOURNAL)).expect("a journal");
    for _ in 0..100 {
        log.append(&line(JournalKind::StopRequested)).expect("a line");
    }
    assert!(!ends_closed(&dir.join(layout::JOURNAL)).expect("read"));
    assert!(matches!(look(&dir), Look::Closed));
}
