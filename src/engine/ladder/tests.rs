//! The ladder against a simulated bus.

use super::*;
use crate::model::snapshot::{PriorityVia, Rung, RungResult};

fn at(seconds: u64) -> MonoNs {
    MonoNs(seconds * 1_000_000_000)
}

fn ladder(nice: i32) -> Ladder {
    Ladder::new(Here { nice, plan: Plan::default(), allowed: Cpus::from([0, 1]) })
}

/// `workers` with `threads` each at `nice`; every third thread works.
fn look(workers: u32, threads: u32, nice: i32, recording: bool) -> Look {
    let thread = |tid| Thread { tid, nice, busy: if tid % 3 == 0 { 20 } else { 0 } };
    let worker = |n: u32| Seen {
        pid: n * 100,
        threads: (n * 100..n * 100 + threads).map(thread).collect(),
        io: Some(Class::RECORDING),
        cpus: Some(Cpus::from([0, 1])),
        oom: Some(0),
        group: Some(nice),
    };
    let refused = (nice > nice::RECORDING).then(|| "EACCES".to_owned());
    Look { workers: (1..=workers).map(worker).collect(), recording, refused, ..Look::default() }
}

/// Asks until nothing is left to ask; returns the questions.
fn climb(ladder: &mut Ladder, now: MonoNs, answer: impl Fn(Ask, usize) -> Answer) -> Vec<Ask> {
    let mut asked = Vec::new();
    while let Some(ask) = ladder.ask(now) {
        assert!(asked.len() < 500, "it goes on for ever: {:?}", ladder.helpers);
        let answered = answer(ask, asked.len());
        ladder.answer(now, ask, answered);
        asked.push(ask);
    }
    asked
}

fn came_of(ladder: &Ladder, rung: Rung) -> RungResult {
    let report = ladder.report();
    report.rungs.iter().find(|view| view.rung == rung).expect("every rung is told").result
}

fn absent(_: Ask, _: usize) -> Answer {
    Err(Refusal::Absent("no bus".to_owned()))
}

#[test]
fn what_is_had_already_is_asked_of_nobody() {
    for (own, via) in [(-10, PriorityVia::Inherited), (0, PriorityVia::Setpriority)] {
        let mut ladder = ladder(own);
        assert!(ladder.report().rungs.is_empty(), "nothing was tried yet");
        ladder.look(look(4, 20, -10, true));
        assert_eq!(ladder.ask(at(1)), None);
        let report = ladder.report();
        assert_eq!((report.nice, report.via, report.is_refused()), (Some(-10), via, false));
        assert_eq!(came_of(&ladder, Rung::Rtkit), RungResult::NotNeeded);
        assert_eq!(came_of(&ladder, Rung::UiLowered), RungResult::NotNeeded);
        assert_eq!(came_of(&ladder, Rung::Group), RungResult::Granted);
    }
}

#[test]
fn what_is_not_read_back_is_not_told() {
    for own in [-10, 0] {
        let mut ladder = ladder(own);
        ladder.look(Look { refused: None, ..look(1, 3, 0, true) });
        climb(&mut ladder, at(1), absent);
        assert!(ladder.report().rungs.iter().take(5).all(|view| view.result != RungResult::Granted), "{own}");
    }
}

#[test]
fn where_nobody_helps_the_window_steps_back() {
    let mut ladder = ladder(0);
    ladder.look(look(1, 10, 0, false));
    assert_eq!(climb(&mut ladder, at(1), absent), [Ask::Call(Helper::Portal), Ask::Call(Helper::RealtimeKit)]);
    let report = ladder.report();
    assert!(report.is_refused());
    assert_eq!((report.via, came_of(&ladder, Rung::UiLowered)), (PriorityVia::None, RungResult::Absent));
    ladder.look(Look { unseen_window: true, ..look(1, 10, 0, false) });
    let said = |ladder: &Ladder| ladder.report().rungs.iter().find(|view| view.rung == Rung::UiLowered).cloned();
    assert!(said(&ladder).is_some_and(|view| view.detail.contains("another process namespace")));
    let lowered = Look { windows: vec![Window { nice: 10, oom: Some(300) }], ..look(1, 10, 0, true) };
    ladder.look(lowered);
    assert_eq!(climb(&mut ladder, at(2), absent), [], "they are left alone for a minute");
    let report = ladder.report();
    assert_eq!((report.via, report.nice, report.oom_score_adj_ui), (PriorityVia::UiLowered, Some(0), Some(300)));
    assert_eq!(climb(&mut ladder, at(62), absent).len(), 2);
}

#[test]
fn a_helper_is_asked_for_every_thread_once_something_is_recorded() {
    let mut ladder = ladder(0);
    ladder.look(look(1, 21, 0, false));
    let helps = |ask, _| match ask {
        Ask::Call(Helper::Portal) => absent(ask, 0),
        _ => Ok(-15),
    };
    assert_eq!(climb(&mut ladder, at(1), helps).len(), 2);
    assert!(!ladder.report().is_refused(), "there is still hope");
    ladder.look(look(1, 21, 0, true));
    let asked = climb(&mut ladder, at(2), helps);
    assert_eq!(asked.len(), 21);
    assert_eq!(asked[0], Ask::Raise { helper: Helper::RealtimeKit, pid: 100, tid: 102, nice: -10 });
    let report = ladder.report();
    assert_eq!((report.via, report.nice), (PriorityVia::Rtkit, Some(-10)));
    assert_eq!(came_of(&ladder, Rung::Setpriority), RungResult::Refused);
    assert_eq!(came_of(&ladder, Rung::Rtkit), RungResult::Granted);
    assert_eq!(came_of(&ladder, Rung::Group), RungResult::Refused, "threads are lent to, groups are not");
    // A new part brings new threads.
    let mut next = look(1, 24, 0, true);
    next.workers[0].threads.iter_mut().filter(|thread| thread.tid < 121).for_each(|thread| thread.nice = -10);
    ladder.look(next);
    assert_eq!(climb(&mut ladder, at(3), helps).len(), 3);
}

#[test]
fn of_more_threads_than_are_lent_to_those_get_it_that_work() {
    let mut ladder = ladder(0);
    let helps = |ask, _| match ask {
        Ask::Call(Helper::RealtimeKit) | Ask::Raise { .. } => Ok(-15),
        _ => absent(ask, 0),
    };
    ladder.look(look(4, 21, 0, true));
    assert_eq!(climb(&mut ladder, at(1), helps).len(), 2, "nobody knows yet who works");
    ladder.look(look(4, 21, 0, true));
    let asked = climb(&mut ladder, at(2), helps);
    assert_eq!(asked.len(), LENT);
    assert!(asked.iter().all(|ask| matches!(ask, Ask::Raise { tid, .. } if tid % 3 == 0)), "{asked:?}");
    assert_eq!(came_of(&ladder, Rung::Rtkit), RungResult::Partly);
    let report = ladder.report();
    assert_eq!((report.via, report.nice, report.is_refused()), (PriorityVia::Rtkit, Some(0), false));
}

#[test]
fn a_helper_that_has_lent_all_is_left_in_peace_for_a_while() {
    let mut ladder = ladder(0);
    let busy = |ask, n| match ask {
        Ask::Call(Helper::Portal) => absent(ask, 0),
        Ask::Raise { .. } if n >= 10 => Err(Refusal::Busy),
        _ => Ok(-15),
    };
    ladder.look(look(1, 21, 0, true));
    assert_eq!(climb(&mut ladder, at(1), busy).len(), 11);
    assert_eq!(came_of(&ladder, Rung::Rtkit), RungResult::Partly);
    ladder.look(look(1, 21, 0, true));
    assert_eq!(climb(&mut ladder, at(2), busy), []);
    assert!(!climb(&mut ladder, at(21), busy).is_empty());
}

#[test]
fn a_helper_that_goes_less_far_is_taken_at_its_word_and_a_gone_thread_is_nobodys_fault() {
    let mut ladder = ladder(0);
    ladder.look(look(1, 3, 0, true));
    let asked = climb(&mut ladder, at(1), |ask, _| match ask {
        Ask::Call(Helper::Portal) => Err(Refusal::Refused("no".to_owned())),
        Ask::Raise { tid: 100, .. } => Err(Refusal::Gone),
        _ => Ok(-5),
    });
    assert!(asked[2..].iter().all(|ask| matches!(ask, Ask::Raise { nice: -5, .. })) && asked.len() == 5, "{asked:?}");
    let report = ladder.report();
    assert_eq!((report.via, report.nice), (PriorityVia::Rtkit, Some(0)));
    assert_eq!(came_of(&ladder, Rung::Portal), RungResult::Refused);
    ladder.look(Look::default());
    assert!(ladder.report().rungs.is_empty() && ladder.report().nice.is_none());
}

#[test]
fn a_helper_that_says_gone_when_it_is_called_is_absent_for_a_while() {
    let mut ladder = ladder(0);
    ladder.look(look(1, 3, 0, true));
    let gone = |_, _| Err(Refusal::Gone);
    let calls = [Ask::Call(Helper::Portal), Ask::Call(Helper::RealtimeKit)];
    assert_eq!(climb(&mut ladder, at(1), gone), calls);
    ladder.look(look(1, 3, 0, true));
    assert_eq!(climb(&mut ladder, at(1).plus(AGAIN / 2), gone), []);
    assert_eq!(climb(&mut ladder, at(1).plus(AGAIN), gone), calls);
}

#[test]
fn questions_between_two_looks_have_an_end_whatever_is_answered() {
    let mut ladder = ladder(0);
    for n in 1..=2 {
        // Threads that are always others, and have always ended.
        ladder.look(look(8, 50, 0, true));
        let asked = climb(&mut ladder, at(n), |ask, _| match ask {
            Ask::Call(_) => Ok(-11),
            Ask::Raise { .. } => Err(Refusal::Gone),
        });
        assert!(asked.len() <= ASKS as usize && asked.len() > 2 * n as usize - 1, "{}", asked.len());
    }
}
