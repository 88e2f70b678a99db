//! Closing a session: what is folded, what is finalised, and that a second run changes nothing.

use super::*;
use crate::model::input::{AudioChoice, InputSpec, OnSignalLoss, SourceSpec, TestPattern};
use crate::model::session::Gap;
use crate::model::{MonoNs, SessionId};
use std::cell::Cell;

const SECOND: i64 = 1_000_000_000;

fn plan() -> Plan {
    let source = SourceSpec::Test { pattern: TestPattern::Bars, width: 64, height: 64, fps: 30, tone_hz: 440 };
    let input = |id: &str| InputSpec {
        id: id.parse().expect("an id"),
        name: id.to_owned(),
        source: source.clone(),
        audio: AudioChoice::Auto,
        on_signal_loss: OnSignalLoss::Split,
        importance: 0,
        armed: true,
    };
    Plan {
        id: SessionId(uuid::Uuid::now_v7()),
        name: "test".parse().expect("a name"),
        key: "k".into(),
        request: String::new(),
        start_at_ns: MonoNs(0),
        boot_id: "b".into(),
        started_at: clock::wall_now(),
        inputs: vec![input("a"), input("b")],
        encoding: crate::model::encoding::Encoding::default(),
        files: vec!["a.mp4".into(), "b.mp4".into()],
    }
}

fn record(file: &str, part: u32, offset: i64, end: PartEnd) -> PartRecord {
    let frames = PartFrames { written: Some(60), ..PartFrames::default() };
    PartRecord {
        offset_ns: Some(offset * SECOND),
        duration_ns: 2_000_000_000,
        end,
        frames,
        ..damaged(Path::new("/nowhere"), file, part)
    }
}

fn line<K>(t: i64, kind: K) -> Line<K> {
    Line { t_ns: t * SECOND, at: clock::wall_now(), kind }
}

/// Input `a` lost its worker in part 1 and went on in part 2; `b` was closed by its own worker.
fn crashed_session(dir: &Path) {
    let mut log = journal::Log::open(&dir.join(layout::JOURNAL)).expect("a journal");
    log.append(&line(0, JournalKind::Plan(plan()))).expect("a plan");
    let reason = "signal: 9".to_owned();
    log.append(&line(2, JournalKind::WorkerLost { input: "a".parse().expect("an id"), reason })).expect("a line");
    for (input, facts) in [
        (
            "a",
            vec![
                FactKind::PartStarted { part: 1, offset_ns: 0 },
                FactKind::PartClosed(record("a.part2.mp4", 2, 3, PartEnd::Completed)),
            ],
        ),
        ("b", vec![FactKind::PartClosed(record("b.mp4", 1, 0, PartEnd::Completed))]),
    ] {
        let input: InputId = input.parse().expect("an id");
        let mut log = journal::Log::open(&dir.join(layout::facts_file(&input))).expect("facts");
        for (n, kind) in (1..).zip(facts) {
            log.append(&line(5, Fact { n, kind })).expect("a fact");
        }
    }
    for file in ["a.mp4", "a.part2.mp4", "b.mp4"] {
        fs::write(dir.join(file), b"media").expect("a file");
    }
}

#[test]
fn a_killed_part_is_finalised_and_its_gap_named_and_a_second_run_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let calls = Cell::new(0);
    let finalise = |_: &Path| {
        calls.set(calls.get() + 1);
        Ok(vec![PartRecord { offset_ns: None, ..record("a.mp4", 1, 0, PartEnd::WorkerDied) }])
    };
    let closed = close(dir.path(), Closed::Completed, &finalise).expect("closed");
    let a = &closed.manifest.inputs[0];
    assert_eq!(a.parts.iter().map(|part| part.file.as_str()).collect::<Vec<_>>(), ["a.mp4", "a.part2.mp4"]);
    let gap = Gap { from_ns: 2 * SECOND, to_ns: 3 * SECOND, cause: "worker_died".into() };
    assert_eq!(a.parts[1].gaps, [gap]);
    assert_eq!(a.verdict, Verdict::Unverified);
    assert_eq!(closed.manifest.incidents.len(), 1);
    assert_eq!(closed.lost_ms.len(), 1);
    let journal_bytes = fs::read(dir.path().join(layout::JOURNAL)).expect("a journal");
    let again = close(dir.path(), Closed::Recovered, &finalise).expect("closed again");
    assert_eq!(calls.get(), 1);
    assert_eq!(again.manifest.inputs, closed.manifest.inputs);
    assert_eq!(fs::read(dir.path().join(layout::JOURNAL)).expect("a journal"), journal_bytes);
}

#[test]
fn a_part_nobody_can_read_is_kept_and_called_damaged() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let closed = close(dir.path(), Closed::Recovered, &|_| Ok(Vec::new())).expect("closed");
    assert_eq!(closed.manifest.inputs[0].parts[0].end, PartEnd::Damaged);
    assert!(dir.path().join("a.mp4").exists());
}

#[test]
fn a_session_with_a_part_being_written_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let _held = lock::try_lock(&dir.path().join("b.mp4")).expect("locked").expect("free");
    let result = close(dir.path(), Closed::Recovered, &|_| Ok(Vec::new()));
    assert!(matches!(result, Err(CloseError::Locked(name)) if name == "b.mp4"));
}

#[test]
fn interrupted_sessions_are_found_newest_first_and_closed_ones_are_not() {
    let library = tempfile::tempdir().expect("a folder");
    for name in ["2026-01-01_00-00-00_x_aaaa", "2026-01-02_00-00-00_x_bbbb", "2026-01-03_00-00-00_x_cccc", "other"] {
        fs::create_dir(library.path().join(name)).expect("a folder");
        crashed_session(&library.path().join(name));
    }
    close(&library.path().join("2026-01-02_00-00-00_x_bbbb"), Closed::Completed, &|_| Ok(Vec::new())).expect("closed");
    let (interrupted, last) = search(library.path()).expect("searched");
    let names: Vec<_> = interrupted.iter().filter_map(|session| session.dir.file_name()).collect();
    assert_eq!(names, ["2026-01-03_00-00-00_x_cccc", "2026-01-01_00-00-00_x_aaaa"]);
    assert_eq!(last.expect("a closed one").state, Closed::Completed);
}

#[test]
fn numbers_go_on_behind_files_and_facts() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    fs::write(dir.path().join("a.part7.mp4"), b"").expect("a file");
    assert_eq!(next_numbers(dir.path(), &"a".parse().expect("an id")), (8, 3));
    assert_eq!(next_numbers(dir.path(), &"c".parse().expect("an id")), (1, 1));
}
