//! Steps of the wall clock and sleeps of the machine: what is told of them, and where it is written (R-FM-6).

use super::*;
use crate::model::time::ClockOffsets;

const S: i64 = 1_000_000_000;

fn seen(wall_ms: i64, boot_ms: i64) -> Event {
    Event::Clocks(ClockOffsets { wall_ns: wall_ms * 1_000_000, boot_ns: boot_ms * 1_000_000 })
}

/// What goes into a journal.
fn written(effects: &[Effect]) -> Vec<JournalKind> {
    let kind = |effect: &Effect| match effect {
        Effect::Journal { kind, .. } => Some((**kind).clone()),
        _ => None,
    };
    effects.iter().filter_map(kind).collect()
}

fn step(seconds: i64) -> JournalKind {
    JournalKind::ClockStep { step_ns: seconds * S }
}

fn alerts(bench: &Bench) -> Vec<(String, u32, crate::model::snapshot::AlertState)> {
    let alerts = bench.state.alerts.list().iter();
    alerts.map(|alert| (alert.code.clone(), alert.count, alert.state)).collect()
}

#[test]
fn a_step_is_told_once_written_down_and_restarts_nothing() {
    let mut bench = Bench::ready(&["a"]);
    assert!(written(&bench.feed(seen(0, 0))).is_empty());
    bench.record("k");
    let effects = bench.feed(seen(3_600_000, 0));
    assert_eq!(written(&effects), [step(3600)]);
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Journal { .. } | Effect::Log { .. })), "{effects:?}");
    assert!(bench.feed(seen(3_600_000, 0)).is_empty());
    assert_eq!(written(&bench.feed(seen(0, 0))), [step(-3600)]);
    let [(code, 2, crate::model::snapshot::AlertState::Active)] = &alerts(&bench)[..] else {
        panic!("{:?}", alerts(&bench));
    };
    assert_eq!(code, "clock_stepped");
    bench.tick_for(600_000);
    assert_eq!(bench.view().alerts.info, 0, "it is no news any more");
}

#[test]
fn a_clock_that_is_slewed_is_told_each_time_it_has_come_to_a_second() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(seen(0, 0));
    bench.record("k");
    let told: Vec<i64> = (1..=3000).filter(|ms| !written(&bench.feed(seen(*ms, 0))).is_empty()).collect();
    assert_eq!(told, [1001, 2002]);
}

#[test]
fn a_sleep_is_no_step_and_a_step_is_no_sleep() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(seen(0, 0));
    bench.record("k");
    // The wall clock goes on while CLOCK_MONOTONIC stands still.
    assert_eq!(written(&bench.feed(seen(8000, 8000))), [JournalKind::Suspend { slept_ns: 8_000_000_000 }]);
    assert_eq!(written(&bench.feed(seen(-92_000, 8000))), [step(-100)]);
    // Set while it woke up.
    let both = written(&bench.feed(seen(-52_000, 28_000)));
    assert_eq!(both, [JournalKind::Suspend { slept_ns: 20_000_000_000 }, step(20)]);
    let counts = bench.view().alerts;
    assert_eq!((counts.warning, counts.info), (1, 1));
    // Another time namespace: nobody slept backwards.
    assert!(written(&bench.feed(seen(-60_000, 20_000))).is_empty());
}

#[test]
fn what_happened_while_nobody_lived_is_written_into_the_session_that_is_gone_on_with() {
    let mut first = Bench::ready(&["a"]);
    first.feed(seen(0, 0));
    let session = first.record("k");
    let kept = first.state.clocks().expect("known");
    let running = first.state.session.as_ref().expect("a session");
    let (plan, dir) = (running.plan.clone(), running.dir.clone());
    let mut next = Bench::with(Setup { clocks: Some(kept), ..setup(&["a"]) });
    assert!(written(&next.feed(seen(-3_600_000, 0))).is_empty(), "its session is not known yet");
    assert_eq!(next.view().alerts.info, 1);
    let link = next.last_link("a");
    let linked = WorkerEvent::Linked { link, pid: Some(7), started: MonoNs(0), session: Some(session), older: false };
    next.worker("a", linked);
    let history = Default::default();
    let effects = next.feed(Event::Searched { interrupted: vec![Interrupted { plan, history, dir }], last: None });
    let adopted = effects.iter().position(|effect| matches!(effect, Effect::Adopt { .. })).expect("adopted");
    let steps =
        effects.iter().position(|effect| matches!(effect, Effect::Journal { kind, .. } if **kind == step(-3600)));
    assert!(steps.is_some_and(|place| place > adopted), "{effects:?}");
}

#[test]
fn an_account_that_comes_late_counts_as_if_it_had_come_first() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(seen(10_000, 0));
    bench.feed(seen(15_000, 0));
    let told = |bench: &Bench| alerts(bench).first().map(|(_, count, _)| *count);
    assert_eq!(told(&bench), Some(1));
    let clocks = Some(ClockOffsets { wall_ns: -3590 * S, boot_ns: 0 });
    let kept = Kept { boot_id: "another".into(), clocks, ..Kept::default() };
    bench.feed(Event::Recalled(Box::new(kept.clone())));
    bench.feed(seen(15_000, 0));
    assert_eq!(told(&bench), Some(1), "offsets of another boot mean nothing");
    bench.feed(Event::Recalled(Box::new(Kept { boot_id: "boot".into(), ..kept })));
    bench.feed(seen(15_000, 0));
    let last = bench.state.alerts.list()[0].params["seconds"].clone();
    assert_eq!((told(&bench), last.as_str()), (Some(2), "+3600.0"), "an hour between the two engines");
    assert_eq!(bench.state.clocks().map(|clocks| clocks.wall_ns), Some(15 * S));
}

#[test]
fn a_session_begins_with_the_calendar_of_its_begin() {
    let mut bench = Bench::ready(&["a"]);
    // The wall clock of this bench stands still at 1970: the offset runs back.
    bench.feed(seen(900, 0));
    bench.ms = 0;
    bench.start("k", None);
    assert!(bench.state.clocks().is_some_and(|clocks| clocks.wall_ns == 0), "slewed before, forgotten");
    // What comes before its plan is on the disk waits for it.
    assert!(written(&bench.feed(seen(5000, 0))).is_empty());
    let session = bench.session_id();
    let effects = bench.feed(Event::Persisted { session, result: Ok(()) });
    assert_eq!(written(&effects), [step(5)]);
}
