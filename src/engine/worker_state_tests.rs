//! The supervision of a worker: the named cases, and random histories against its invariants.

use super::*;
use proptest::prelude::*;

fn at(ms: u64) -> MonoNs {
    MonoNs(ms * 1_000_000)
}

fn linked_worker() -> Worker {
    let (mut worker, _) = Worker::new(at(0), Restarts::default());
    assert_eq!(worker.handle(at(1), WorkerEvent::LockFree { link: 1 }, false), [Act::Spawn]);
    assert_eq!(
        worker.handle(at(2), WorkerEvent::Spawned { pid: 7 }, false),
        [Act::Connect { link: 2, child: true, pause: Duration::ZERO }]
    );
    let hello = WorkerEvent::Linked { link: 2, pid: Some(7), started: at(2), session: None, older: false };
    assert_eq!(worker.handle(at(300), hello, false), [Act::Ready { session: None }]);
    worker
}

#[test]
fn a_worker_that_came_up_while_the_engine_stood_still_is_not_killed() {
    let (mut worker, _) = Worker::new(at(0), Restarts::default());
    worker.handle(at(1), WorkerEvent::LockFree { link: 1 }, false);
    worker.handle(at(2), WorkerEvent::Spawned { pid: 7 }, false);
    assert_eq!(worker.handle(at(200), WorkerEvent::Tick, false), []);
    assert_eq!(worker.handle(at(60_000), WorkerEvent::Tick, false), []);
    // Nobody comes, and the engine listens.
    assert_eq!(first_kill(&mut worker, 60_200..80_000, 0), Some(70_000));
}

fn is_death(act: &Act) -> bool {
    matches!(act, Act::Died { .. })
}

#[test]
fn a_dead_worker_is_replaced_at_once() {
    let mut worker = linked_worker();
    let acts = worker.handle(at(5000), WorkerEvent::Exited { pid: 7, how: "signal: 9".into() }, true);
    assert_eq!(acts, [Act::Died { reason: "signal: 9".into() }, Act::Spawn]);
}

#[test]
fn a_broken_link_asks_the_lock_before_it_is_called_a_death() {
    let mut worker = linked_worker();
    assert_eq!(
        worker.handle(at(900), WorkerEvent::LinkLost { link: 2 }, true),
        [Act::Connect { link: 3, child: false, pause: Duration::ZERO }]
    );
    let hello = WorkerEvent::Linked { link: 3, pid: Some(7), started: at(2), session: None, older: false };
    assert_eq!(worker.handle(at(950), hello, true), [Act::Ready { session: None }]);
}

#[test]
fn a_silent_recording_worker_lives_while_its_file_grows() {
    let mut worker = linked_worker();
    let mut bytes = 0;
    for ms in (400..8000).step_by(200) {
        let acts = worker.handle(at(ms), WorkerEvent::Tick, true);
        assert!(!acts.contains(&Act::Kill), "killed at {ms} although its file grows");
        if acts.contains(&Act::Measure) {
            bytes += 1000;
            worker.handle(at(ms), WorkerEvent::Measured { bytes }, true);
        }
    }
    let killed = first_kill(&mut worker, 8000..12_000, bytes);
    assert!(killed.is_some_and(|ms| ms < 11_700), "not killed after its file stopped growing: {killed:?}");
}

/// When a silent worker is killed whose file stays at `bytes`.
fn first_kill(worker: &mut Worker, ms: std::ops::Range<u64>, bytes: u64) -> Option<u64> {
    ms.step_by(200).find(|ms| {
        let acts = worker.handle(at(*ms), WorkerEvent::Tick, true);
        if acts.contains(&Act::Measure) {
            worker.handle(at(*ms), WorkerEvent::Measured { bytes }, true);
        }
        acts.contains(&Act::Kill)
    })
}

#[test]
fn a_silent_worker_whose_file_cannot_be_looked_at_is_not_killed() {
    let mut worker = linked_worker();
    assert!((400..60_000).step_by(200).all(|ms| !worker.handle(at(ms), WorkerEvent::Tick, true).contains(&Act::Kill)));
}

#[test]
fn a_worker_that_holds_its_lock_and_says_nothing_is_killed_only_when_its_file_stands_still() {
    for grows in [true, false] {
        let (mut worker, _) = Worker::new(at(0), Restarts::default());
        let (mut link, mut killed) = (1, None);
        for ms in (200..40_000).step_by(200) {
            let mut acts = worker.handle(at(ms), WorkerEvent::Tick, true);
            if ms % 5000 == 0 {
                acts.extend(worker.handle(at(ms), WorkerEvent::Mute { link, pid: Some(7) }, true));
            }
            for act in acts {
                match act {
                    Act::Connect { link: next, .. } => link = next,
                    Act::Measure => {
                        let bytes = if grows { ms } else { 5 };
                        worker.handle(at(ms), WorkerEvent::Measured { bytes }, true);
                    }
                    Act::Kill => killed = killed.or(Some(ms)),
                    _ => {}
                }
            }
        }
        assert_eq!(killed, (!grows).then_some(15_000));
    }
}

#[test]
fn a_silent_idle_worker_is_replaced_after_three_seconds() {
    let mut worker = linked_worker();
    let killed = (400..5000).step_by(200).find(|ms| worker.handle(at(*ms), WorkerEvent::Tick, false) == [Act::Kill]);
    assert_eq!(killed, Some(3400));
    assert!(matches!(
        worker.handle(at(3450), WorkerEvent::LinkLost { link: 2 }, false)[..],
        [Act::Connect { link: 3, child: false, pause: Duration::ZERO }]
    ));
    let acts = worker.handle(at(3500), WorkerEvent::LockFree { link: 3 }, false);
    assert!(is_death(&acts[0]) && acts[1] == Act::Spawn);
}

#[test]
fn an_engine_that_stood_still_kills_nobody() {
    let mut worker = linked_worker();
    assert_eq!(worker.handle(at(400), WorkerEvent::Tick, true), []);
    assert_eq!(worker.handle(at(20_400), WorkerEvent::Tick, true), []);
    assert_eq!(worker.handle(at(20_600), WorkerEvent::Tick, true), []);
    let killed = first_kill(&mut worker, 20_800..30_000, 5);
    assert!(killed.is_some_and(|ms| (23_400..25_500).contains(&ms)), "a worker silent since then: {killed:?}");
}

#[test]
fn the_fourth_death_without_media_ends_in_quarantine_until_the_operator_asks() {
    let mut worker = linked_worker();
    let mut now = 1000;
    let mut pid = 7;
    for _ in 0..3 {
        let acts = worker.handle(at(now), WorkerEvent::Exited { pid, how: "1".into() }, true);
        let mut spawned = acts.contains(&Act::Spawn);
        while !spawned {
            now += 100;
            spawned = worker.handle(at(now), WorkerEvent::Tick, true).contains(&Act::Spawn);
        }
        pid += 1;
        worker.handle(at(now), WorkerEvent::Spawned { pid }, true);
    }
    let acts = worker.handle(at(now), WorkerEvent::Exited { pid, how: "1".into() }, true);
    assert!(acts.contains(&Act::GaveUp) && worker.is_quarantined());
    assert_eq!(worker.handle(at(now), WorkerEvent::Retry, true), [Act::Spawn]);
}

#[test]
fn stalls_and_deaths_spend_the_same_attempts() {
    let mut worker = linked_worker();
    assert_eq!(worker.handle(at(10_000), WorkerEvent::Stalled, true), []);
    let acts = worker.handle(at(20_000), WorkerEvent::Exited { pid: 7, how: "1".into() }, true);
    assert!(acts.contains(&Act::Spawn));
    worker.handle(at(20_100), WorkerEvent::Spawned { pid: 8 }, true);
    let hello = WorkerEvent::Linked { link: worker.link(), pid: Some(8), started: at(2), session: None, older: false };
    worker.handle(at(20_400), hello, true);
    assert_eq!(worker.handle(at(60_000), WorkerEvent::Stalled, true), []);
    assert_eq!(worker.attempts(), 3);
    assert_eq!(worker.handle(at(90_000), WorkerEvent::Stalled, true), [Act::Terminate]);
    assert_eq!(worker.handle(at(90_050), WorkerEvent::Stalled, true), [], "it is on its way");
    let acts = worker.handle(at(90_100), WorkerEvent::Exited { pid: 8, how: "0".into() }, true);
    assert_eq!(acts, [Act::Died { reason: "its recording stalled again and again".into() }, Act::GaveUp]);
}

#[test]
fn a_late_stop_is_escalated_to_sigkill() {
    let mut worker = linked_worker();
    assert_eq!(worker.handle(at(1000), WorkerEvent::StopLate, false), [Act::Terminate]);
    assert_eq!(worker.handle(at(2900), WorkerEvent::Tick, false), []);
    assert_eq!(worker.handle(at(3000), WorkerEvent::Tick, false), [Act::Kill]);
}

#[test]
fn a_dismissed_child_is_waited_for_to_its_end() {
    let mut worker = linked_worker();
    assert_eq!(worker.handle(at(1000), WorkerEvent::Leave, false), [Act::Dismiss]);
    worker.handle(at(1100), WorkerEvent::LinkLost { link: 2 }, false);
    worker.handle(at(1101), WorkerEvent::LockFree { link: 3 }, false);
    assert!(!worker.is_gone());
    assert_eq!(worker.handle(at(1110), WorkerEvent::Exited { pid: 7, how: "0".into() }, false), []);
    assert!(worker.is_gone());
}

#[test]
fn an_outdated_worker_leaves_and_is_replaced_without_being_called_dead() {
    let mut worker = linked_worker();
    assert_eq!(worker.handle(at(1000), WorkerEvent::Outdated, false), [Act::Dismiss]);
    worker.handle(at(1100), WorkerEvent::LinkLost { link: 2 }, false);
    assert_eq!(worker.handle(at(1101), WorkerEvent::LockFree { link: 3 }, false), []);
    assert_eq!(worker.handle(at(1110), WorkerEvent::Exited { pid: 7, how: "0".into() }, false), [Act::Spawn]);
    assert_eq!(worker.attempts(), 0);
}

#[test]
fn a_worker_that_answers_no_command_is_ended_and_that_counts_as_a_death() {
    let mut worker = linked_worker();
    assert_eq!(worker.handle(at(1000), WorkerEvent::Deaf, false), [Act::Terminate]);
    assert_eq!(worker.handle(at(3000), WorkerEvent::Tick, false), [Act::Kill]);
    let acts = worker.handle(at(3010), WorkerEvent::Exited { pid: 7, how: "signal: 9".into() }, false);
    assert_eq!(acts, [Act::Died { reason: "it did not answer a command".into() }, Act::Spawn]);
    assert_eq!(worker.attempts(), 1);
    assert_eq!(worker.handle(at(3020), WorkerEvent::Deaf, false), [], "that was about another one");
}

#[test]
fn a_worker_that_breaks_every_link_is_asked_more_and_more_slowly() {
    let mut worker = linked_worker();
    let (mut now, mut pauses) = (300, Vec::new());
    for link in 2..10 {
        let acts = worker.handle(at(now), WorkerEvent::LinkLost { link }, true);
        let [Act::Connect { link: next, child: false, pause }] = acts[..] else { panic!("{acts:?}") };
        now += 1 + u64::try_from(pause.as_millis()).expect("a short pause");
        pauses.push(pause.as_millis());
        worker.handle(
            at(now),
            WorkerEvent::Linked { link: next, pid: Some(7), started: at(2), session: None, older: false },
            true,
        );
    }
    assert_eq!(pauses, [0, 250, 500, 1000, 2000, 4000, 5000, 5000]);
    let acts = worker.handle(at(now + 6000), WorkerEvent::LinkLost { link: 10 }, true);
    assert_eq!(acts, [Act::Connect { link: 11, child: false, pause: Duration::ZERO }]);
}

/// It lives in a process namespace we cannot see into: its number is nobody's here, or a stranger's.
#[test]
fn a_worker_that_cannot_be_seen_is_told_of_and_never_signalled() {
    let adopted = || {
        let (mut worker, _) = Worker::new(at(0), Restarts::default());
        let hello = WorkerEvent::Linked { link: 1, pid: None, started: at(0), session: None, older: false };
        assert_eq!(worker.handle(at(1), hello, true), [Act::Ready { session: None }]);
        assert!(worker.is_served() && worker.pid().is_none());
        worker
    };
    // Silent while it records nothing.
    let mut hung = adopted();
    let acts: Vec<Act> =
        (200..20_000).step_by(200).flat_map(|ms| hung.handle(at(ms), WorkerEvent::Tick, false)).collect();
    assert_eq!((acts, hung.is_quarantined()), (vec![Act::GaveUp], true));
    assert_eq!(hung.handle(at(20_000), WorkerEvent::StopLate, false), []);
    // Its death is one: there was somebody.
    hung.handle(at(20_001), WorkerEvent::LinkLost { link: 1 }, false);
    let acts = hung.handle(at(20_002), WorkerEvent::LockFree { link: 2 }, false);
    assert!(is_death(&acts[0]) && acts[1] == Act::Spawn, "{acts:?}");
    // It holds its lock and takes no word any more.
    let mut mute = adopted();
    mute.handle(at(2), WorkerEvent::LinkLost { link: 1 }, true);
    assert!(mute.is_unheard());
    let mut acts = Vec::new();
    for ms in (5000..40_000).step_by(200) {
        acts.extend(mute.handle(at(ms), WorkerEvent::Tick, true));
        acts.extend(mute.handle(at(ms), WorkerEvent::Measured { bytes: 1 }, true));
        if ms % 5000 == 0 {
            acts.extend(mute.handle(at(ms), WorkerEvent::Mute { link: mute.link(), pid: None }, true));
        }
    }
    assert!(
        acts.contains(&Act::GaveUp) && !acts.iter().any(|act| matches!(act, Act::Kill | Act::Terminate)),
        "{acts:?}"
    );
    // One that could be seen, and cannot be held on to.
    let mut lost = linked_worker();
    assert!(first_kill(&mut lost, 400..20_000, 0).is_some());
    assert_eq!(lost.handle(at(20_000), WorkerEvent::OutOfReach, false), [Act::GaveUp]);
}

fn event() -> impl Strategy<Value = WorkerEvent> {
    let link = 1u64..6;
    let pid = 1u32..4;
    prop_oneof![
        pid.clone().prop_map(|pid| WorkerEvent::Spawned { pid }),
        Just(WorkerEvent::SpawnFailed { reason: "no".into() }),
        link.clone().prop_map(|link| WorkerEvent::LockFree { link }),
        (link.clone(), prop::option::of(pid.clone())).prop_map(|(link, pid)| WorkerEvent::Mute { link, pid }),
        (link.clone(), prop::option::of(pid.clone())).prop_map(|(link, pid)| WorkerEvent::Linked {
            link,
            pid,
            started: at(0),
            session: None,
            older: false
        }),
        link.clone().prop_map(|link| WorkerEvent::LinkLost { link }),
        link.prop_map(|link| WorkerEvent::Heard { link }),
        (0u64..100).prop_map(|s| WorkerEvent::Media { written: Duration::from_secs(s) }),
        Just(WorkerEvent::Stalled),
        (0u64..9).prop_map(|bytes| WorkerEvent::Measured { bytes }),
        Just(WorkerEvent::DiskStands),
        pid.prop_map(|pid| WorkerEvent::Exited { pid, how: "0".into() }),
        Just(WorkerEvent::OutOfReach),
        Just(WorkerEvent::Retry),
        Just(WorkerEvent::StopLate),
        Just(WorkerEvent::Outdated),
        Just(WorkerEvent::Deaf),
        Just(WorkerEvent::Leave),
        Just(WorkerEvent::Tick),
    ]
}

proptest! {
    #[test]
    fn no_history_signals_nobody_or_replaces_a_dismissed_worker(
        events in prop::collection::vec((event(), 0u64..4000, any::<bool>()), 0..120)
    ) {
        let (mut worker, _) = Worker::new(at(0), Restarts::default());
        let (mut now, mut left) = (0, false);
        for (event, pause, recording) in events {
            now += pause;
            let had_pid = worker.pid().is_some() || matches!(event, WorkerEvent::Spawned { .. } | WorkerEvent::Mute { pid: Some(_), .. });
            left |= event == WorkerEvent::Leave;
            let acts = worker.handle(at(now), event, recording);
            for act in &acts {
                if matches!(act, Act::Kill | Act::Terminate) {
                    prop_assert!(had_pid, "signalled without a process");
                }
                prop_assert!(!(left && matches!(act, Act::GaveUp | Act::Died { .. })), "a dismissed worker was mourned: {act:?}");
            }
            prop_assert!(acts.iter().filter(|act| **act == Act::Spawn).count() <= 1);
        }
    }
}
