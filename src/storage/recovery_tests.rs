//! Closing a session: what is folded, what is finalised, and that a second run changes nothing.

use super::*;
use crate::model::encoding::Container;
use crate::model::input::{AudioChoice, InputSpec, OnSignalLoss, SourceSpec, TestPattern};
use crate::model::session::{Gap, PartEnd, PartFrames};
use crate::model::{MonoNs, SessionId};
use crate::storage::search::{Found, search};
use std::cell::Cell;

/// The lock of the close before lives on for a moment where a neighbouring test has just forked.
const FORKED: Duration = Duration::from_secs(2);

const SECOND: i64 = 1_000_000_000;

fn plan() -> Plan {
    let source = SourceSpec::Test { pattern: TestPattern::Bars, width: 64, height: 64, fps: 30, tone_hz: 440 };
    let input = |id: &str| InputSpec {
        id: id.parse().expect("an id"),
        name: id.to_owned(),
        source: source.clone(),
        audio: AudioChoice::Auto,
        on_signal_loss: OnSignalLoss::Split,
        codec: None,
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
    PartRecord {
        offset_ns: Some(offset * SECOND),
        duration_ns: 2_000_000_000,
        bytes: 5,
        frames: PartFrames { written: Some(60), ..PartFrames::default() },
        ..PartRecord::new(part, file, Container::Mp4, end)
    }
}

fn of(parts: Vec<PartRecord>) -> Finalised {
    Finalised { parts, busy: Vec::new() }
}

/// What the prove role finds when it can read everything.
fn read_all(_: &Path) -> io::Result<Finalised> {
    Ok(of(vec![PartRecord { offset_ns: None, ..record("a.mp4", 1, 0, PartEnd::WorkerDied) }]))
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
        read_all(Path::new(""))
    };
    let closed = close(dir.path(), Closed::Completed, FORKED, &finalise).expect("closed");
    let a = &closed.manifest.inputs[0];
    assert_eq!(a.parts.iter().map(|part| part.file.as_str()).collect::<Vec<_>>(), ["a.mp4", "a.part2.mp4"]);
    let gap = Gap { from_ns: 2 * SECOND, to_ns: 3 * SECOND, cause: "worker_died".into() };
    assert_eq!(a.parts[1].gaps, [gap]);
    assert_eq!(a.verdict, Verdict::Unverified);
    assert_eq!(closed.manifest.incidents.len(), 1);
    assert_eq!(a.lost, Some(Loss { ms: 1000, within_ms: Some(33) }), "the next part begins a second behind it");
    let journal_bytes = fs::read(dir.path().join(layout::JOURNAL)).expect("a journal");
    let again = close(dir.path(), Closed::Recovered, FORKED, &finalise).expect("closed again");
    assert_eq!(calls.get(), 1);
    assert_eq!(again.manifest.inputs, closed.manifest.inputs);
    assert_eq!(fs::read(dir.path().join(layout::JOURNAL)).expect("a journal"), journal_bytes);
}

#[test]
fn a_part_that_could_not_be_finalised_keeps_what_its_worker_said_and_one_that_is_gone_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let a: InputId = "a".parse().expect("an id");
    let mut facts = journal::Log::open(&dir.path().join(layout::facts_file(&a))).expect("facts");
    let frames = PartFrames { captured: Some(60), encoded: Some(60), written: Some(60), ..PartFrames::default() };
    let told = PartRecord { frames, ..record("a.mp4", 1, 0, PartEnd::DiskError) };
    let opened = FactKind::PartOpened { part: 3, file: "a.part3.mp4".into() };
    for (n, kind) in [(3, FactKind::PartUnfinished(told)), (4, opened)] {
        facts.append(&line(5, Fact { n, kind })).expect("a fact");
    }
    let closed = close(dir.path(), Closed::Completed, FORKED, &read_all).expect("closed");
    let a = &closed.manifest.inputs[0];
    let ends: Vec<_> = a.parts.iter().map(|part| (part.file.as_str(), part.end)).collect();
    let expected =
        [("a.mp4", PartEnd::DiskError), ("a.part2.mp4", PartEnd::Completed), ("a.part3.mp4", PartEnd::Displaced)];
    assert_eq!(ends, expected);
    assert_eq!((a.parts[0].frames.captured, a.parts[0].lost), (Some(60), None), "its worker lived to count");
    let journal_bytes = fs::read(dir.path().join(layout::JOURNAL)).expect("a journal");
    close(dir.path(), Closed::Recovered, FORKED, &read_all).expect("closed again");
    assert_eq!(fs::read(dir.path().join(layout::JOURNAL)).expect("a journal"), journal_bytes);
}

/// Input `a` of the boot `b` was killed in its only part, which holds two seconds, and lived until 2.3 s.
fn powerless_session(dir: &Path) {
    let mut log = journal::Log::open(&dir.join(layout::JOURNAL)).expect("a journal");
    log.append(&line(0, JournalKind::Plan(plan()))).expect("a plan");
    let a: InputId = "a".parse().expect("an id");
    let mut facts = journal::Log::open(&dir.join(layout::facts_file(&a))).expect("facts");
    let started = FactKind::PartStarted { part: 1, offset_ns: 0 };
    facts.append(&line(0, Fact { n: 1, kind: started })).expect("a fact");
    fs::write(dir.join("a.mp4"), b"media").expect("a file");
    let window = Duration::from_millis(100);
    let at = MonoNs(2_250_000_000);
    pulse::PulseFile::begin(dir, &a, &pulse::Beat { boot_id: "b".into(), at, window }).expect("a pulse");
}

#[test]
fn a_pulse_tells_the_loss_and_is_gone_once_that_is_told_for_good() {
    let dir = tempfile::tempdir().expect("a folder");
    powerless_session(dir.path());
    let told = Some(Loss { ms: 300, within_ms: Some(83) });
    let pulse = dir.path().join("a.pulse");
    // Killed before the manifest is written: a folder stands in its place.
    let manifest = dir.path().join(layout::MANIFEST);
    fs::create_dir(&manifest).expect("a folder");
    close(dir.path(), Closed::Recovered, FORKED, &read_all).expect_err("no manifest");
    fs::remove_dir(&manifest).expect("removed");
    assert!(!pulse.exists(), "what it told is in the journal");
    let closed = close(dir.path(), Closed::Recovered, FORKED, &read_all).expect("closed");
    assert_eq!(closed.manifest.inputs[0].lost, told);
    assert_eq!(closed.lost().map(|(id, lost)| (id.to_string(), Some(lost))).collect::<Vec<_>>(), [("a".into(), told)]);
    let again = close(dir.path(), Closed::Recovered, FORKED, &read_all).expect("closed");
    assert_eq!(again.manifest.inputs, closed.manifest.inputs);
}

/// Its first picture was seen, and no fragment of it is there: all of it is lost, and it lies nowhere.
#[test]
fn a_part_that_holds_nothing_lies_nowhere_and_has_lost_what_follows_its_first_picture() {
    let dir = tempfile::tempdir().expect("a folder");
    powerless_session(dir.path());
    let nothing = |_: &Path| {
        Ok(of(vec![PartRecord { offset_ns: None, duration_ns: 0, ..record("a.mp4", 1, 0, PartEnd::Empty) }]))
    };
    let a = close(dir.path(), Closed::Recovered, FORKED, &nothing).expect("closed").manifest.inputs.remove(0);
    assert_eq!((a.parts[0].offset_ns, a.parts[0].end), (None, PartEnd::Empty));
    assert_eq!(a.lost, Some(Loss { ms: 2300, within_ms: Some(83) }));
}

/// That the first picture of a part has come proves no media (R-TRU-1).
#[test]
fn media_was_seen_only_where_something_was_written_behind_the_first_picture() {
    let dir = tempfile::tempdir().expect("a folder");
    powerless_session(dir.path());
    let seen = |began: i64| {
        let mut lines: Vec<Line<JournalKind>> = vec![line(0, JournalKind::Plan(plan()))];
        let started = Timestamp::now() - jiff::SignedDuration::from_secs(began);
        let plan = Plan { started_at: started, ..plan() };
        lines[0].kind = JournalKind::Plan(plan.clone());
        let history = History::read(dir.path(), &plan, &lines).expect("read");
        history.inputs[&"a".parse::<InputId>().expect("an id")].started
    };
    assert_eq!((seen(0), seen(2)), (false, true));
}

#[test]
fn whoever_loses_the_right_to_write_closes_no_further_and_another_does() {
    for allowed in 0.. {
        let dir = tempfile::tempdir().expect("a folder");
        crashed_session(dir.path());
        let written = || [layout::JOURNAL, layout::MANIFEST].map(|name| fs::read(dir.path().join(name)).ok());
        let (asked, lost) = (Cell::new(0), std::cell::RefCell::new(None));
        let may_write = || {
            asked.set(asked.get() + 1);
            if asked.get() <= allowed {
                return Ok(());
            }
            lost.borrow_mut().get_or_insert_with(written);
            Err(io::Error::other("another engine has taken over"))
        };
        let result = close_while(dir.path(), Closed::Completed, FORKED, &read_all, &may_write);
        let Some(lost) = lost.take() else {
            assert!(result.is_ok() && allowed >= 6, "it is asked before every line and file: {allowed}");
            return;
        };
        assert!(matches!(result, Err(CloseError::Io { .. })), "{allowed}: {result:?}");
        assert_eq!(written(), lost, "{allowed}: something was written behind that");
        close(dir.path(), Closed::Recovered, FORKED, &read_all).expect("the other one closes it");
        let (lines, _) = journal::read::<Line<JournalKind>>(&dir.path().join(layout::JOURNAL)).expect("a journal");
        let ends = lines.iter().filter(|line| matches!(line.kind, JournalKind::Closed { .. })).count();
        let facts = lines.iter().filter(|line| matches!(line.kind, JournalKind::Fact { .. })).count();
        assert_eq!((ends, facts), (1, 4), "{allowed}");
    }
}

#[test]
fn a_part_that_cannot_be_read_is_kept_and_called_damaged() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let foreign = |_: &Path| Ok(of(vec![record("a.mp4", 1, 0, PartEnd::Damaged)]));
    let closed = close(dir.path(), Closed::Recovered, FORKED, &foreign).expect("closed");
    assert_eq!(closed.manifest.inputs[0].parts[0].end, PartEnd::Damaged);
    assert!(dir.path().join("a.mp4").exists());
}

#[test]
fn a_part_that_could_not_be_looked_at_is_tried_again_and_nothing_is_said_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let result = close(dir.path(), Closed::Recovered, FORKED, &|_| Ok(Finalised::default()));
    assert!(matches!(result, Err(CloseError::Unread(name)) if name == "a.mp4"));
    assert!(!dir.path().join(layout::MANIFEST).exists());
    let closed = close(dir.path(), Closed::Recovered, FORKED, &read_all).expect("closed");
    assert_eq!(closed.manifest.inputs[0].parts[0].end, PartEnd::WorkerDied);
}

#[test]
fn a_part_that_somebody_reads_is_in_use_and_not_unread() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let busy = |_: &Path| Ok(Finalised { parts: Vec::new(), busy: vec!["a.mp4".to_owned()] });
    let result = close(dir.path(), Closed::Recovered, FORKED, &busy);
    assert!(matches!(result, Err(CloseError::Locked(name)) if name == "a.mp4"));
}

#[test]
fn facts_that_cannot_be_read_are_not_taken_for_none() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let facts = dir.path().join("a.facts.jsonl");
    fs::remove_file(&facts).expect("removed");
    fs::create_dir(&facts).expect("a folder in its place");
    assert!(next_numbers(dir.path(), &"a".parse().expect("an id")).is_err());
    assert!(matches!(close(dir.path(), Closed::Recovered, FORKED, &read_all), Err(CloseError::Io { .. })));
}

#[test]
fn a_session_stopped_properly_that_lost_only_its_engine_is_completed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut log = journal::Log::open(&dir.path().join(layout::JOURNAL)).expect("a journal");
    log.append(&line(0, JournalKind::Plan(plan()))).expect("a plan");
    log.append(&line(2, JournalKind::StopRequested)).expect("a line");
    let mut facts = journal::Log::open(&dir.path().join("b.facts.jsonl")).expect("facts");
    let part = FactKind::PartClosed(record("b.mp4", 1, 0, PartEnd::Completed));
    facts.append(&line(2, Fact { n: 1, kind: part })).expect("a fact");
    fs::write(dir.path().join("b.mp4"), b"media").expect("a file");
    let state = |dir: &Path| close(dir, Closed::Recovered, FORKED, &read_all).expect("closed").manifest.state;
    assert_eq!(state(dir.path()), Closed::Recovered);
    let frames = crate::model::snapshot::Frames::default();
    facts.append(&line(2, Fact { n: 2, kind: FactKind::Done { frames } })).expect("a fact");
    assert_eq!(state(dir.path()), Closed::Completed);
}

#[test]
fn every_stretch_without_media_is_named_also_behind_the_last_part() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut log = journal::Log::open(&dir.path().join(layout::JOURNAL)).expect("a journal");
    log.append(&line(0, JournalKind::Plan(plan()))).expect("a plan");
    let told = Gap { from_ns: 7 * SECOND, to_ns: 8 * SECOND, cause: "source_unreachable".into() };
    let a: InputId = "a".parse().expect("an id");
    let parts = [(1, 0, PartEnd::Completed), (2, 5, PartEnd::SignalLost), (3, 9, PartEnd::Stalled)];
    let closed = parts.map(|(part, at, end)| FactKind::PartClosed(record(&format!("a.part{part}.mp4"), part, at, end)));
    for (n, kind) in (1..).zip(closed.into_iter().chain([FactKind::Gap(told.clone())])) {
        log.append(&line(9, JournalKind::Fact { input: a.clone(), fact: Fact { n, kind } })).expect("a fact");
    }
    log.append(&line(15, JournalKind::StopRequested)).expect("a line");
    let closed = close(dir.path(), Closed::Completed, FORKED, &read_all).expect("closed");
    let gaps: Vec<_> = closed.manifest.inputs[0].parts.iter().map(|part| part.gaps.clone()).collect();
    let gap = |from, to, cause: &str| Gap { from_ns: from * SECOND, to_ns: to * SECOND, cause: cause.into() };
    let third = vec![told, gap(8, 9, "no_signal"), gap(11, 15, "recording_stalled")];
    assert_eq!(gaps, [vec![], vec![gap(2, 5, "worker_died")], third]);
}

#[test]
fn a_session_with_a_part_being_written_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let _held = lock::try_lock(&dir.path().join("b.mp4")).expect("locked").expect("free");
    let result = close(dir.path(), Closed::Recovered, FORKED, &|_| Ok(Finalised::default()));
    assert!(matches!(result, Err(CloseError::Locked(name)) if name == "b.mp4"));
}

#[test]
fn a_session_that_a_worker_without_an_open_part_records_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    let before = fs::read(dir.path().join(layout::JOURNAL)).expect("a journal");
    // Two inputs, as two processes hold them.
    let workers = [(); 2].map(|()| journal::hold(dir.path()).expect("a journal").expect("nobody closes it"));
    for worker in workers {
        let result = close(dir.path(), Closed::Recovered, FORKED, &read_all);
        assert!(matches!(result, Err(CloseError::Locked(_))), "{result:?}");
        assert!(!dir.path().join(layout::MANIFEST).exists());
        assert_eq!(fs::read(dir.path().join(layout::JOURNAL)).expect("a journal"), before);
        drop(worker);
    }
    let meanwhile = |path: &Path| {
        assert!(journal::hold(path)?.is_none(), "a recording began while its session was being closed");
        read_all(path)
    };
    close(dir.path(), Closed::Recovered, FORKED, &meanwhile).expect("closed");
    assert!(journal::hold(dir.path()).expect("a journal").is_some());
}

#[test]
fn a_session_behind_a_link_belongs_to_another_library() {
    let (library, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let there = other.path().join("2026-01-01_00-00-00_x_aaaa");
    fs::create_dir(&there).expect("a folder");
    crashed_session(&there);
    std::os::unix::fs::symlink(&there, library.path().join("2026-01-01_00-00-00_x_aaaa")).expect("a link");
    assert_eq!(session_dirs(library.path()).expect("listed"), [""; 0]);
    assert_eq!(search(library.path()).expect("searched").interrupted, []);
    // Nor are logs behind a link read or written.
    let here = library.path().join("2026-01-02_00-00-00_x_bbbb");
    fs::create_dir(&here).expect("a folder");
    std::os::unix::fs::symlink(there.join(layout::JOURNAL), here.join(layout::JOURNAL)).expect("a link");
    assert!(journal::Log::open(&here.join(layout::JOURNAL)).is_err());
    assert!(matches!(close(&here, Closed::Recovered, FORKED, &read_all), Err(CloseError::Io { .. })));
    assert!(!there.join(layout::MANIFEST).exists());
}

#[test]
fn interrupted_sessions_are_found_newest_first_and_closed_ones_are_not() {
    let library = tempfile::tempdir().expect("a folder");
    for name in ["2026-01-01_00-00-00_x_aaaa", "2026-01-02_00-00-00_x_bbbb", "2026-01-03_00-00-00_x_cccc", "other"] {
        fs::create_dir(library.path().join(name)).expect("a folder");
        crashed_session(&library.path().join(name));
    }
    let middle = library.path().join("2026-01-02_00-00-00_x_bbbb");
    close(&middle, Closed::Completed, FORKED, &read_all).expect("closed");
    let Found { interrupted, last, .. } = search(library.path()).expect("searched");
    let names: Vec<_> = interrupted.iter().filter_map(|session| session.dir.file_name()).collect();
    assert_eq!(names, ["2026-01-03_00-00-00_x_cccc", "2026-01-01_00-00-00_x_aaaa"]);
    assert_eq!(last.expect("a closed one").state, Closed::Completed);
}

#[test]
fn numbers_go_on_behind_files_and_facts() {
    let dir = tempfile::tempdir().expect("a folder");
    crashed_session(dir.path());
    fs::write(dir.path().join("a.part7.mp4"), b"").expect("a file");
    assert_eq!(next_numbers(dir.path(), &"a".parse().expect("an id")).expect("read"), (8, 3));
    assert_eq!(next_numbers(dir.path(), &"c".parse().expect("an id")).expect("read"), (1, 1));
}
