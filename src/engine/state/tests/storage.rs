//! The disk: levels, the stop below the floor, what keeps a start away, and what comes back with it.

use super::*;
use crate::engine::event::StorageEvent;
use crate::model::snapshot::{AlertState, LastSession, LevelName};

const GB: u64 = 1_000_000_000;
const MB: u64 = 1_000_000;

impl Bench {
    fn room(&mut self, free: u64, total: u64) -> Vec<Effect> {
        self.feed(Event::Storage(StorageEvent::Looked(None)));
        self.feed(Event::Space(Some(Space { free, total })))
    }

    /// The disk was looked at, and something was wrong.
    fn trouble(&mut self, code: IncidentCode) {
        let incident = Incident::new(code).with("reason", "it hums");
        self.feed(Event::Storage(StorageEvent::Looked(Some(incident))));
        self.feed(Event::Space(None));
    }

    fn level(&self) -> (LevelName, Vec<String>, Vec<String>) {
        let level = self.view().level;
        (level.name, level.causes, level.actions)
    }

    fn active(&self) -> Vec<&str> {
        let active = self.state.alerts.list().iter().filter(|alert| alert.state == AlertState::Active);
        let mut codes: Vec<&str> =
            active.filter(|alert| alert.source == "storage").map(|alert| alert.code.as_str()).collect();
        codes.sort_unstable();
        codes
    }

    /// Looks at plenty of room until the disk has calmed down.
    fn calm(&mut self) {
        for _ in 0..=30 {
            self.ms += 1000;
            self.room(100 * GB, 200 * GB);
        }
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn logged(effects: &[Effect]) -> Vec<IncidentCode> {
    let codes = effects.iter().filter_map(|effect| match effect {
        Effect::Log { source, incident } if source == "storage" => Some(incident.code),
        _ => None,
    });
    codes.collect()
}

#[test]
fn each_level_is_told_with_its_causes_and_what_is_done_about_it() {
    let mut bench = Bench::ready(&["a"]);
    assert_eq!(bench.level(), (LevelName::Normal, vec![], vec![]));
    let table: [(u64, LevelName, &[&str], &[&str]); 4] = [
        (9 * GB, LevelName::Warn, &["disk_low"], &[]),
        (4 * GB, LevelName::Degrade, &["disk_low"], &["no_new_recordings"]),
        (2 * GB, LevelName::Degrade, &["disk_critical", "disk_low"], &["no_new_recordings"]),
        (GB - 1, LevelName::Critical, &["disk_critical", "disk_low"], &["no_new_recordings"]),
    ];
    for (free, name, causes, actions) in table {
        bench.room(free, 40 * GB);
        assert_eq!(bench.level(), (name, words(causes), words(actions)), "{free}");
        assert_eq!(bench.active(), causes, "{free}");
    }
    // Enough room is enough for a start, also while the level keeps its distance.
    bench.room(30 * GB, 40 * GB);
    assert_eq!(bench.level().0, LevelName::Critical);
    assert_eq!(bench.level().2, Vec::<String>::new());
    bench.start("k", None);
    assert!(bench.state.session.is_some());
    bench.calm();
    assert_eq!((bench.level().0, bench.active()), (LevelName::Normal, vec![]));
}

/// By its percentage a disk is critical long before its floor.
#[test]
fn what_is_said_of_the_room_follows_it() {
    let mut bench = Bench::ready(&["a"]);
    let said = |bench: &Bench| {
        let critical = bench.state.alerts.list().iter().find(|alert| alert.code == "disk_critical");
        critical.map(|alert| (alert.params["free"].clone(), alert.count))
    };
    bench.room(50 * GB, 4000 * GB);
    assert_eq!(said(&bench), Some(("50 GB".into(), 1)));
    let mut renewed = 0;
    for second in 0..30 {
        bench.ms += 1000;
        let before = said(&bench);
        bench.room((40 - second) * GB, 4000 * GB);
        renewed += u32::from(before != said(&bench));
    }
    let free = said(&bench).map(|(free, count)| (free.trim_end_matches(" GB").parse::<u64>().unwrap_or(0), count));
    assert!(free.is_some_and(|(free, count)| free < 22 && count == 1) && renewed <= 3, "{free:?}, {renewed} times");
}

#[test]
fn the_rule_that_needs_most_is_named() {
    let rules = |critical, stop, min, free| {
        let storage = StorageRules { stop_new_free: stop, min_free_start: min, ..StorageRules::default() };
        let policy = WorkerPolicy { critical_free_bytes: critical, ..WorkerPolicy::default() };
        let mut bench = Bench::with(Setup { storage, policy, ..setup(&["a"]) });
        bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
        bench.link("a", 1);
        bench.room(free, 900 * GB);
        let effects = bench.start("k", None);
        let refused = refusal(&effects);
        (refused.status, refused.code, refused.message.clone())
    };
    let table = [
        (GB, 5 * GB, 2 * GB, "4.2 GB are free, storage.stop_new_free needs 5 GB"),
        (GB, 5 * GB, 7 * GB, "4.2 GB are free, storage.min_free_start needs 7 GB"),
        (8 * GB, 5 * GB, 7 * GB, "4.2 GB are free, storage.critical_free needs 8 GB"),
    ];
    for (critical, stop, min, says) in table {
        let (status, code, message) = rules(critical, stop, min, 4200 * MB);
        assert_eq!((status, code), (507, "no_space"));
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn below_the_floor_the_session_is_stopped_and_percentages_stop_nothing() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.status("a", Some(session), RecordingState::Recording, 500);
    assert_eq!(bench.room(2 * GB, 4000 * GB).iter().filter(|effect| is_stop(effect)).count(), 0, "99 % used");
    assert!(bench.view().session.is_some_and(|session| session.state == SessionState::Recording));
    let effects = bench.room(GB - 1, 4000 * GB);
    assert_eq!(effects.iter().filter(|effect| is_stop(effect)).count(), 1);
    assert_eq!(logged(&effects), [IncidentCode::DiskFull]);
    let journaled = |effect: &Effect| matches!(effect, Effect::Journal { kind, .. } if matches!(&**kind, JournalKind::Incident { input: None, .. }));
    assert!(effects.iter().any(journaled));
    assert_eq!(bench.active(), ["disk_full", "disk_low"]);
    assert_eq!(bench.level().2, ["no_new_recordings", "recording_stopped"]);
    // Stopped once, however often it is looked.
    assert!(!bench.room(GB - 2, 4000 * GB).iter().any(is_stop));
    bench.feed(Event::StopWritten { session });
    bench.status("a", Some(session), RecordingState::Done, 900);
    let effects = bench.done_fact("a", session);
    assert_eq!(closes(&effects), Some(Closed::Completed));
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) });
    assert!(bench.view().session.is_none(), "it was stopped: nothing has failed");
    bench.calm();
    assert_eq!((bench.level().2, bench.active()), (vec![], vec![]));
}

fn is_stop(effect: &Effect) -> bool {
    matches!(effect, Effect::WriteStop { .. })
}

/// The workers look at the room as well, and one of two looks is the first.
#[test]
fn a_session_whose_workers_all_ended_for_want_of_room_was_stopped_and_has_not_failed() {
    for (codes, state) in [
        ([IncidentCode::DiskFull, IncidentCode::DiskFull], Closed::Completed),
        ([IncidentCode::DiskFull, IncidentCode::QuotaExceeded], Closed::Completed),
        ([IncidentCode::DiskFull, IncidentCode::DiskError], Closed::Failed),
    ] {
        let mut bench = Bench::ready(&["a", "b"]);
        let session = bench.record("k");
        let mut closed = None;
        for (input, code) in ["a", "b"].into_iter().zip(codes) {
            let fact = Fact { n: 3, kind: FactKind::Incident(Incident::new(code)) };
            bench.feed(Event::Fact { input: id(input), session, t_ns: 0, fact });
            closed = closes(&bench.done_fact(input, session));
        }
        assert_eq!(closed, Some(state), "{codes:?}");
        bench.room(GB - 1, 100 * GB);
        let stopped = bench.level().2.contains(&"recording_stopped".to_owned());
        assert_eq!(stopped, state == Closed::Completed, "{codes:?}");
    }
}

#[test]
fn each_trouble_of_the_disk_is_red_and_keeps_a_start_away_in_its_own_words() {
    let table = [
        (IncidentCode::StorageFrozen, "storage_frozen", "does not answer"),
        (IncidentCode::StorageVanished, "storage_vanished", "is gone (it hums)"),
        (IncidentCode::DiskReadOnly, "disk_read_only", "is read-only"),
        (IncidentCode::DiskError, "disk_error", "cannot be used (it hums)"),
    ];
    for (code, word, says) in table {
        let mut bench = Bench::ready(&["a"]);
        bench.trouble(code);
        let view = bench.view().storage;
        assert_eq!((view.free_bytes, view.total_bytes, view.seconds_left), (None, None, None), "{word}");
        assert_eq!(bench.level(), (LevelName::Critical, words(&[word]), words(&["no_new_recordings"])));
        assert_eq!(bench.active(), [word]);
        let effects = bench.start("k", None);
        let refused = refusal(&effects);
        assert_eq!((refused.status, refused.code, refused.retryable), (503, word, true));
        assert!(refused.message.contains(says), "{}", refused.message);
        bench.room(100 * GB, 200 * GB);
        assert_eq!((bench.level().0, bench.active()), (LevelName::Normal, vec![]));
        bench.start("k", None);
        assert!(bench.state.session.is_some(), "{word}");
    }
}

#[test]
fn a_disk_in_trouble_stops_no_session() {
    let mut bench = Bench::ready(&["a"]);
    bench.record("k");
    for code in [IncidentCode::StorageFrozen, IncidentCode::StorageVanished, IncidentCode::DiskReadOnly] {
        bench.trouble(code);
        bench.feed(Event::Storage(StorageEvent::Frozen(true)));
        let refused = Incident::new(IncidentCode::DiskFull);
        bench.feed(Event::Storage(StorageEvent::Wrote(Some(refused))));
        bench.tick_for(5000);
    }
    assert!(!bench.done.iter().any(is_stop), "its workers go on as long as they can");
}

#[test]
fn a_write_that_does_not_return_is_a_frozen_disk_and_a_start_is_refused_at_once() {
    let mut bench = Bench::ready(&["a"]);
    bench.start("k", None);
    bench.tick_for(1600);
    bench.feed(Event::Storage(StorageEvent::Frozen(true)));
    // statvfs answers as if nothing were wrong.
    bench.room(100 * GB, 200 * GB);
    assert_eq!((bench.level().1, bench.active()), (words(&["storage_frozen"]), vec!["storage_frozen"]));
    bench.tick_for(5600);
    let last = refusal(&bench.done);
    assert_eq!((last.status, last.code, last.retryable), (503, "storage_frozen", true));
    let effects = bench.start("k2", None);
    assert_eq!(refusal(&effects).code, "storage_frozen");
    assert!(bench.state.session.is_none());
    bench.feed(Event::Storage(StorageEvent::Frozen(false)));
    assert_eq!((bench.level().0, bench.active()), (LevelName::Normal, vec![]));
    bench.start("k3", None);
    assert!(bench.state.session.is_some());
}

#[test]
fn what_a_worker_cannot_write_is_a_frozen_disk_while_it_writes() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    let report = |bench: &mut Bench, state| {
        let link = bench.last_link("a");
        let mut report = status(Some(session), state, 500);
        report.active = vec![Incident::new(IncidentCode::StorageFrozen)];
        bench.feed(Event::Status { input: id("a"), link, status: Box::new(report) });
    };
    report(&mut bench, RecordingState::Stalled);
    assert_eq!(bench.level().1, ["storage_frozen"]);
    bench.stop();
    bench.done_fact("a", session);
    // It has no way to find out that the disk has thawed: it must not keep the next recording away.
    report(&mut bench, RecordingState::Done);
    assert_eq!(bench.level().0, LevelName::Normal);
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) });
    bench.start("k2", None);
    assert!(bench.state.session.is_some());
}

#[test]
fn what_the_disk_refused_is_told_until_a_write_succeeds() {
    let mut bench = Bench::ready(&["a"]);
    for code in [IncidentCode::DiskFull, IncidentCode::QuotaExceeded, IncidentCode::DiskReadOnly] {
        let effects = bench.feed(Event::Storage(StorageEvent::Wrote(Some(Incident::new(code)))));
        assert_eq!((logged(&effects), bench.active()), (vec![code], vec![code.as_str()]));
        // Its own look knows nothing of it.
        bench.room(100 * GB, 200 * GB);
        assert_eq!(bench.active(), [code.as_str()]);
    }
    bench.feed(Event::Storage(StorageEvent::Wrote(None)));
    assert_eq!((bench.level().0, bench.active()), (LevelName::Normal, vec![]));
}

#[test]
fn no_room_is_told_of_a_disk_that_a_write_found_gone_before_the_next_look() {
    let mut bench = Bench::ready(&["a"]);
    for (code, told) in [
        (IncidentCode::StorageVanished, None),
        (IncidentCode::DiskReadOnly, None),
        (IncidentCode::QuotaExceeded, Some(100 * GB)),
    ] {
        bench.room(100 * GB, 200 * GB);
        bench.feed(Event::Storage(StorageEvent::Wrote(Some(Incident::new(code)))));
        let storage = bench.view().storage;
        assert_eq!((storage.free_bytes, storage.seconds_left.is_some()), (told, told.is_some()), "{code:?}");
    }
}

#[test]
fn a_plan_that_cannot_be_written_is_refused_by_its_reason() {
    let table = [
        (IncidentCode::DiskFull, 507, "no_space"),
        (IncidentCode::QuotaExceeded, 507, "quota_exceeded"),
        (IncidentCode::DiskReadOnly, 503, "disk_read_only"),
        (IncidentCode::StorageVanished, 503, "storage_vanished"),
        (IncidentCode::StorageFrozen, 503, "storage_frozen"),
        (IncidentCode::DiskError, 503, "not_persisted"),
    ];
    let mut bench = Bench::ready(&["a"]);
    for (code, status, word) in table {
        bench.start("k", None);
        let session = bench.session_id();
        let why = Unwritten { reason: "because".into(), code };
        let effects = bench.feed(Event::Persisted { session, result: Err(why) });
        assert_eq!((refusal(&effects).status, refusal(&effects).code), (status, word));
    }
}

#[test]
fn what_could_not_be_closed_is_closed_as_soon_as_the_disk_works_again() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.stop();
    bench.done_fact("a", session);
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    let fail = |bench: &mut Bench| {
        let result = Err(CloseFault::Failed("it is gone".into()));
        bench.feed(Event::Closed { session, dir: dir.clone(), result });
    };
    bench.trouble(IncidentCode::StorageVanished);
    fail(&mut bench);
    // The running session: not only five seconds later.
    bench.room(100 * GB, 200 * GB);
    assert!(closes(&bench.feed(Event::Tick)).is_some());
    bench.trouble(IncidentCode::StorageVanished);
    fail(&mut bench);
    bench.tick_for(5200);
    fail(&mut bench);
    // In the background: however long the disk was away.
    for _ in 0..20 {
        bench.tick_for(5200);
        fail(&mut bench);
    }
    let before = bench.done.len();
    bench.tick_for(60_000);
    assert_eq!(closes(&bench.done[before..]), None, "a disk that is broken stays broken");
    bench.room(100 * GB, 200 * GB);
    let effects = bench.feed(Event::Tick);
    assert!(closes(&bench.done[before..]).is_some(), "{effects:?}");
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) });
    assert_eq!(bench.view().last_session.map(|last: LastSession| last.id), Some(session));
}

#[test]
fn what_is_written_is_what_is_asked_for_room() {
    let mut bench = Bench::ready(&["a"]);
    assert_eq!(bench.state.written(), std::path::Path::new("/library"));
    bench.start("k", None);
    assert_eq!(bench.state.written(), std::path::Path::new("/library"), "its folder may not be there yet");
    let session = bench.session_id();
    bench.feed(Event::Persisted { session, result: Ok(()) });
    assert_eq!(bench.state.written(), bench.state.session.as_ref().expect("a session").dir);
    bench.stop();
    bench.done_fact("a", session);
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) });
    assert_eq!(bench.state.written(), std::path::Path::new("/library"));
}

#[test]
fn the_time_left_follows_the_real_rate_and_is_never_negative() {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    // Not known in the first seconds, and exactly what is written then.
    for second in 0..8 {
        for input in ["a", "b"] {
            let link = bench.last_link(input);
            let mut report = status(Some(session), RecordingState::Recording, 500 + 1000 * second);
            report.recording.as_mut().expect("it records").bytes_per_s = Some(MB);
            bench.feed(Event::Status { input: id(input), link, status: Box::new(report) });
        }
        bench.tick_for(1000);
        bench.feed(Event::Space(Some(Space { free: 5 * GB, total: 100 * GB })));
        assert_eq!(bench.view().storage.seconds_left.is_some(), second >= 6, "second {second}");
    }
    for (free, seconds) in [(5 * GB, 2000), (GB + 2 * MB, 1), (GB, 0), (0, 0)] {
        bench.feed(Event::Space(Some(Space { free, total: 100 * GB })));
        assert_eq!(bench.view().storage.seconds_left, Some(seconds), "{free}");
    }
}
