//! A disk that refuses, one that does not answer, and one of which nothing is known.

use super::*;
use crate::media::pipeline::TEARDOWN_DEADLINE;
use crate::model::session::{Gap, LATE_START};

fn trouble(bench: &mut Bench, trouble: Trouble) {
    bench.feed(Event::PartTrouble { part: bench.number(), trouble });
}

fn gap_causes(bench: &Bench) -> Vec<String> {
    let cause = |(_, kind): &(u64, FactKind)| match kind {
        // The bench tells the origin of a part a moment late.
        FactKind::Gap(Gap { cause, .. }) if cause != LATE_START => Some(cause.clone()),
        _ => None,
    };
    bench.facts.iter().filter_map(cause).collect()
}

#[test]
fn what_is_refused_costs_a_part_and_is_tried_again_until_the_disk_takes_it() {
    let refusals = [
        (Trouble::Write("EIO".into()), IncidentCode::DiskError),
        (Trouble::ReadOnly("EROFS".into()), IncidentCode::DiskReadOnly),
        (Trouble::Vanished("ENODEV".into()), IncidentCode::StorageVanished),
    ];
    for (refused, code) in refusals {
        let mut bench = Bench::new(OnSignalLoss::Split);
        bench.origin_at_growth = true;
        bench.start();
        bench.run(s(2), true);
        bench.origin = None;
        bench.disk_refuses = Some(refused.clone());
        trouble(&mut bench, refused);
        assert_eq!(bench.part, Some((1, Some(PartEnd::DiskError))));
        bench.close_part();
        bench.run(s(60), false);
        assert_eq!(bench.shown().1, Some(RecordingState::Stalled), "{code:?}");
        assert!(bench.state.active.contains_key(&code), "{:?}", bench.state.active);
        assert!((8..=16).contains(&bench.attempts), "{} attempts in a minute", bench.attempts);
        bench.disk_refuses = None;
        bench.run(s(7), true);
        assert_eq!(bench.shown().1, Some(RecordingState::Recording), "{code:?}");
        assert_eq!(bench.incidents(), [code]);
        assert!(bench.state.active.is_empty(), "{:?}", bench.state.active);
        assert_eq!(gap_causes(&bench), [code.as_str()]);
    }
}

#[test]
fn a_disk_that_refuses_the_first_file_is_told_as_that_and_a_stop_ends_the_waiting() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.disk_refuses = Some(Trouble::Vanished("ENOENT".into()));
    bench.start();
    bench.run(s(3), false);
    assert_eq!(bench.shown().1, Some(RecordingState::Stalled));
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    assert_eq!(bench.shown().1, Some(RecordingState::Failed), "nothing was recorded");
    assert_eq!(gap_causes(&bench), ["storage_vanished"]);
}

#[test]
fn a_quota_ends_the_recording_like_a_full_disk_and_in_its_own_words() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    trouble(&mut bench, Trouble::QuotaExceeded);
    assert_eq!(bench.part, Some((1, Some(PartEnd::DiskFull))));
    bench.close_part();
    assert_eq!((bench.shown().1, bench.incidents()), (Some(RecordingState::Failed), vec![IncidentCode::QuotaExceeded]));

    let mut refused = Bench::new(OnSignalLoss::Split);
    refused.disk_refuses = Some(Trouble::QuotaExceeded);
    refused.start();
    assert_eq!(refused.shown().1, Some(RecordingState::Failed));
}

/// What ends a recording is not undone by what goes wrong while its last part is closed.
#[test]
fn a_full_disk_that_also_fails_does_not_begin_another_part() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    trouble(&mut bench, Trouble::DiskFull);
    trouble(&mut bench, Trouble::Write("EIO".into()));
    bench.close_part();
    bench.run(s(5), false);
    assert_eq!((bench.shown().1, bench.opened.len()), (Some(RecordingState::Failed), 1));
}

#[test]
fn while_the_disk_does_not_answer_nothing_is_cut_and_all_deadlines_begin_behind_it() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    bench.disk_waits_since = Some(bench.now);
    bench.run(Duration::from_millis(1500), false);
    assert!(bench.state.active.contains_key(&IncidentCode::StorageFrozen));
    bench.run(s(600), false);
    assert_eq!((bench.part, bench.shown().1), (Some((1, None)), Some(RecordingState::Stalled)));
    bench.disk_waits_since = None;
    bench.run(s(1), false);
    assert_eq!(bench.shown().1, Some(RecordingState::Stalled), "nothing has been written yet");
    bench.run(s(1), true);
    assert_eq!((bench.part, bench.shown().1), (Some((1, None)), Some(RecordingState::Recording)));
    bench.run(s(1), true);
    assert_eq!((bench.incidents(), bench.state.active.len()), (vec![IncidentCode::StorageFrozen], 0));

    // A stop waits for the disk, in every step, and has its own time behind it.
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.disk_waits_since = Some(bench.now);
    bench.run(s(100), false);
    assert_eq!((bench.part, bench.shown().1), (Some((1, Some(PartEnd::Completed))), Some(RecordingState::Stopping)));
    bench.feed(Event::PartFlushed { part: 1 });
    bench.run(TEARDOWN_DEADLINE + s(5), false);
    bench.feed(Event::PartReleased { part: 1 });
    bench.run(s(100), false);
    assert_eq!(bench.shown().1, Some(RecordingState::Stopping));
    bench.disk_waits_since = None;
    bench.run(s(50), false);
    assert_eq!(bench.shown().1, Some(RecordingState::Stopping), "finalising has its whole time");
    bench.close_part();
    assert_eq!((bench.shown().1, bench.incidents()), (Some(RecordingState::Done), vec![IncidentCode::StorageFrozen]));
}

#[test]
fn a_worker_that_stood_still_does_not_blame_the_disk_for_it() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    bench.disk_waits_since = Some(bench.now);
    bench.now = bench.now.plus(s(40));
    bench.run(s(1), false);
    assert_eq!(bench.incidents(), []);
    bench.run(s(1), false);
    assert_eq!(bench.incidents(), [IncidentCode::StorageFrozen]);
}

#[test]
fn room_that_is_not_known_is_told_until_it_is() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    let unknown = || no_space_known(Trouble::Write("EIO".into()));
    bench.feed(unknown());
    bench.feed(unknown());
    bench.run(s(1), true);
    assert!(bench.state.active.contains_key(&IncidentCode::DiskError));
    assert_eq!((bench.shown().1, bench.incidents()), (Some(RecordingState::Recording), vec![IncidentCode::DiskError]));
    bench.feed(space(u64::MAX));
    assert!(bench.state.active.is_empty(), "{:?}", bench.state.active);
    bench.feed(space(1));
    assert_eq!(bench.part, Some((1, Some(PartEnd::DiskFull))));
}

#[test]
fn a_part_that_cannot_be_made_safe_is_split_off_at_once_and_then_more_and_more_slowly() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.origin_at_growth = true;
    bench.start();
    bench.run(s(120), true);
    // A split that failed lately does not keep it back.
    bench.ask_split();
    bench.tick();
    bench.feed(Event::PartTrouble { part: 2, trouble: Trouble::Write("EIO".into()) });
    bench.settle();
    trouble(&mut bench, Trouble::Sync("EIO".into()));
    bench.tick();
    assert_eq!((bench.part, bench.next), (Some((1, None)), Some(3)));
    bench.keyframe();
    bench.run(s(1), true);
    bench.settle();
    bench.run(s(600), true);
    assert_eq!((bench.number(), bench.next), (3, None), "one part, one split");
    assert!(!bench.state.active.contains_key(&IncidentCode::SyncFailed));

    let mut broken = Bench::new(OnSignalLoss::Split);
    broken.origin_at_growth = true;
    broken.nothing_safe = true;
    broken.start();
    for _ in 0..600 {
        if broken.written == Some(Duration::ZERO) {
            trouble(&mut broken, Trouble::Sync("EIO".into()));
        }
        broken.run(Duration::from_millis(500), true);
        broken.keyframe();
        broken.settle();
    }
    assert!((8..=20).contains(&broken.opened.len()), "{} parts in five minutes", broken.opened.len());
    assert_eq!(broken.shown().1, Some(RecordingState::Recording));
}

/// Whatever else it was closed for, and whatever asks for it.
#[test]
fn a_disk_that_is_full_while_a_part_is_closed_takes_no_other() {
    for full in [Trouble::DiskFull, Trouble::QuotaExceeded] {
        let mut bench = Bench::new(OnSignalLoss::Split);
        bench.start();
        bench.run(s(2), true);
        trouble(&mut bench, Trouble::Write("EIO".into()));
        trouble(&mut bench, full.clone());
        bench.close_part();
        bench.run(s(5), false);
        assert_eq!((bench.shown().1, bench.opened), (Some(RecordingState::Failed), vec![1]), "{full:?}");
    }
}

#[test]
fn room_that_is_unknown_for_another_reason_leaves_only_that_and_takes_nothing_from_the_media() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.feed(no_space_known(Trouble::Write("EIO".into())));
    bench.feed(no_space_known(Trouble::Vanished("ENODEV".into())));
    assert_eq!(bench.state.active.keys().collect::<Vec<_>>(), [&IncidentCode::StorageVanished]);
    bench.feed(space(u64::MAX));
    assert!(bench.state.active.is_empty(), "{:?}", bench.state.active);

    bench.feed(no_space_known(Trouble::Write("EIO".into())));
    trouble(&mut bench, Trouble::Write("EIO".into()));
    bench.feed(space(u64::MAX));
    assert!(bench.state.active.contains_key(&IncidentCode::DiskError), "the part is refused all the same");
}

/// The operator makes room: nothing red is to stay at an input that no longer has to do with the disk.
#[test]
fn what_the_disk_did_to_a_recording_is_no_trouble_any_more_when_that_has_ended() {
    for held_up in [false, true] {
        let mut bench = Bench::new(OnSignalLoss::Split);
        bench.start();
        bench.run(s(2), true);
        if held_up {
            bench.feed(Event::FactsFailed { trouble: Trouble::Write("EIO".into()) });
        }
        trouble(&mut bench, Trouble::DiskFull);
        assert!(bench.state.active.contains_key(&IncidentCode::DiskFull));
        bench.close_part();
        assert!(!bench.state.is_recording(), "it has ended");
        let expected: &[IncidentCode] = if held_up { &[IncidentCode::DiskError] } else { &[] };
        assert_eq!(bench.state.active.keys().copied().collect::<Vec<_>>(), expected);
        bench.feed(Event::FactsTaken);
        assert!(bench.state.active.is_empty());
    }
}

#[test]
fn facts_that_are_held_up_are_told_until_one_is_written_and_cast_no_doubt_on_the_media() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.feed(Event::FactsFailed { trouble: Trouble::Write("EIO".into()) });
    bench.run(s(2), true);
    assert!(bench.state.active.contains_key(&IncidentCode::DiskError), "the media is safe, the facts are not");
    trouble(&mut bench, Trouble::Sync("EIO".into()));
    bench.feed(Event::FactsTaken);
    assert_eq!(bench.state.active.keys().collect::<Vec<_>>(), [&IncidentCode::SyncFailed]);

    let mut doubted = Bench::new(OnSignalLoss::Split);
    doubted.start();
    doubted.run(s(2), true);
    trouble(&mut doubted, Trouble::Sync("EIO".into()));
    doubted.tick();
    doubted.keyframe();
    doubted.feed(Event::FactsFailed { trouble: Trouble::Write("EIO".into()) });
    doubted.run(s(2), true);
    assert_eq!(doubted.state.active.keys().collect::<Vec<_>>(), [&IncidentCode::DiskError], "the next part is safe");
    // The media is refused as well, and says itself when that is over.
    trouble(&mut doubted, Trouble::Write("EIO".into()));
    doubted.feed(Event::FactsTaken);
    assert!(doubted.state.active.contains_key(&IncidentCode::DiskError));
}

#[test]
fn a_slow_disk_is_told_once_and_not_with_every_call() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    let known = |bench: &Bench| bench.state.active.contains_key(&IncidentCode::StorageFrozen);
    for round in 0..20 {
        bench.disk_waits_since = Some(bench.now);
        bench.run(Duration::from_millis(1500), false);
        assert!(known(&bench));
        bench.disk_waits_since = None;
        for _ in 0..20 {
            bench.run(Duration::from_millis(100), true);
            assert!(known(&bench), "round {round}");
        }
        assert_eq!(bench.shown().1, Some(RecordingState::Recording), "that goes by what is written");
        assert_eq!(bench.state.held_up_by_disk(bench.now.plus(s(1))), Duration::ZERO, "it answers");
    }
    bench.run(s(2), true);
    assert!(!known(&bench));
}

/// The watch of a session that has ended may still have something to say.
#[test]
fn what_is_told_of_another_folder_is_no_matter() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    let dir = || PathBuf::from("/library/before");
    bench.feed(Event::FilePlace { path: dir().join("cam1.part1.mp4"), place: Place::Displaced });
    bench.feed(Event::SpaceUnknown { dir: dir(), trouble: Trouble::Write("EIO".into()) });
    bench.feed(Event::Space { dir: dir(), free_bytes: 1 });
    bench.run(s(1), true);
    assert_eq!((bench.part, bench.shown().1), (Some((1, None)), Some(RecordingState::Recording)));
    assert_eq!(bench.incidents(), []);
}

/// The last sync of a part comes when its pipelines are gone, and a part that is stopped or split ends as asked whatever
/// that says.
#[test]
fn a_part_that_is_in_doubt_only_when_it_is_closed_says_so() {
    let sync = || Trouble::Sync("EIO".into());
    let recording = || {
        let mut bench = Bench::new(OnSignalLoss::Split);
        bench.origin_at_growth = true;
        bench.start();
        bench.run(s(2), true);
        bench
    };
    let mut stopped = recording();
    stopped.feed(Event::Stop { reply: REPLY, session: session() });
    stopped.doubt = Some(sync());
    stopped.close_part();
    assert_eq!((stopped.shown().1, stopped.incidents()), (Some(RecordingState::Done), vec![IncidentCode::SyncFailed]));
    let place = |wanted: fn(&FactKind) -> bool| stopped.facts.iter().position(|(_, kind)| wanted(kind));
    let told = place(|kind| matches!(kind, FactKind::Incident(_))).expect("told");
    assert!(told < place(|kind| matches!(kind, FactKind::Done { .. })).expect("done"), "{:?}", stopped.facts);

    let mut split = recording();
    split.ask_split();
    split.tick();
    split.keyframe();
    split.doubt = Some(sync());
    split.settle();
    assert_eq!(split.incidents(), [IncidentCode::SyncFailed]);
    assert!(split.state.active.contains_key(&IncidentCode::SyncFailed), "the operator hears of it at once");
    assert_eq!((split.part, split.shown().1), (Some((2, None)), Some(RecordingState::Recording)));

    // What was told while the part was open is not told again behind it, when another one is safe.
    let mut known = recording();
    trouble(&mut known, sync());
    known.tick();
    known.keyframe();
    known.run(s(1), true);
    assert!(known.state.active.is_empty(), "{:?}", known.state.active);
    known.doubt = Some(sync());
    known.settle();
    assert!(known.state.active.is_empty(), "{:?}", known.state.active);

    // A sync that finds no room has said so: what it leaves in doubt is the same trouble.
    let mut full = recording();
    trouble(&mut full, Trouble::QuotaExceeded);
    full.doubt = Some(Trouble::Unsynced { told: Box::new(Trouble::QuotaExceeded), reason: "EDQUOT".into() });
    full.close_part();
    assert_eq!(full.incidents(), [IncidentCode::QuotaExceeded]);

    // One that fails otherwise on a disk that was found full before is another trouble, and nobody has heard of it.
    let mut refused = recording();
    trouble(&mut refused, Trouble::DiskFull);
    refused.doubt = Some(sync());
    refused.close_part();
    assert_eq!(refused.incidents(), [IncidentCode::DiskFull, IncidentCode::SyncFailed]);

    // One that found no room when nobody listened any more.
    let mut unheard = recording();
    unheard.feed(Event::Stop { reply: REPLY, session: session() });
    unheard.doubt = Some(Trouble::Unsynced { told: Box::new(Trouble::DiskFull), reason: "ENOSPC".into() });
    unheard.close_part();
    assert_eq!(unheard.incidents(), [IncidentCode::SyncFailed]);

    // One that took too long to close says it when it is closed after all.
    let mut late = recording();
    trouble(&mut late, Trouble::Stream("a pipeline".into()));
    late.run(TEARDOWN_DEADLINE + s(1), false);
    late.doubt = Some(sync());
    late.finish_part(1, s(2), PartEnd::Cut);
    assert!(late.incidents().contains(&IncidentCode::SyncFailed), "{:?}", late.incidents());
}
