//! Commands without an answer: named cases, and any order of giving, answering and waiting.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Distance between two looks, as the engine's ticks.
const TICK_MS: u64 = 200;

fn at(ms: u64) -> MonoNs {
    MonoNs(ms * 1_000_000)
}

fn session(n: u8) -> SessionId {
    SessionId(uuid::Uuid::from_u128(u128::from(n)))
}

fn stop(id: u64) -> Command {
    Command::Stop { id, session: session(1) }
}

fn split(id: u64) -> Command {
    Command::Split { id, session: session(1), at_ns: at(0) }
}

/// Looks until `until`, from the tick after `from` on; what was due, and when.
fn wait(orders: &mut Orders, from: u64, until: u64) -> Vec<(u64, Due)> {
    let ticks = (from + TICK_MS..=until).step_by(TICK_MS as usize);
    ticks.flat_map(|ms| orders.due(at(ms)).into_iter().map(move |due| (ms, due)).collect::<Vec<_>>()).collect()
}

#[test]
fn a_command_without_an_answer_is_given_three_times_and_then_given_up_once() {
    let mut orders = Orders::default();
    orders.due(at(0));
    orders.give(at(0), &stop(7));
    let due = wait(&mut orders, 0, 60_000);
    let expected = [(10_000, Due::Again(stop(7))), (20_000, Due::Again(stop(7))), (30_000, Due::GivenUp(stop(7)))];
    assert_eq!(due, expected);
}

#[test]
fn an_engine_that_stood_still_does_not_call_a_worker_silent() {
    let mut orders = Orders::default();
    orders.due(at(0));
    orders.give(at(0), &stop(7));
    assert_eq!(orders.due(at(25_000)), []);
    assert_eq!(wait(&mut orders, 25_000, 34_800), []);
    assert_eq!(wait(&mut orders, 34_800, 35_000), [(35_000, Due::Again(stop(7)))]);
}

#[test]
fn a_stop_takes_back_what_was_to_begin() {
    let mut orders = Orders::default();
    orders.due(at(0));
    orders.give(at(0), &split(1));
    orders.give(at(0), &stop(2));
    assert_eq!(wait(&mut orders, 0, 12_000), [(10_000, Due::Again(stop(2)))]);
    assert_eq!((orders.stop_of(session(1)), orders.stop_of(session(2))), (Some(stop(2)), None));
}

#[test]
fn a_new_link_to_the_same_worker_carries_over_what_it_does_not_begin_with() {
    let mut orders = Orders::default();
    orders.give(at(0), &Command::Retry { id: 1 });
    orders.give(at(0), &split(2));
    orders.give(at(0), &stop(3));
    assert_eq!(orders.carry_over(), [Command::Retry { id: 1 }]);
    assert_eq!(orders.carry_over(), []);
}

#[derive(Debug, Clone)]
enum Op {
    Give(u8),
    Answer(u64),
    Pass(u64),
    StandStill(u64),
    Forget,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0u8..4).prop_map(Op::Give),
        3 => (0u64..12).prop_map(Op::Answer),
        8 => (1u64..80).prop_map(Op::Pass),
        1 => (1_000u64..90_000).prop_map(Op::StandStill),
        1 => Just(Op::Forget),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_no_command_is_given_too_often_too_soon_or_after_its_answer(ops in prop::collection::vec(op(), 1..60)) {
        let (mut orders, mut now, mut next) = (Orders::default(), 0, 0);
        let mut given: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let (mut over, mut stopped): (BTreeSet<u64>, Option<u64>) = Default::default();
        orders.due(at(0));
        for op in ops {
            match op {
                Op::Give(kind) => {
                    next += 1;
                    let command = match kind {
                        0 => split(next),
                        1 => Command::Retry { id: next },
                        2 => Command::Leave { id: next },
                        _ => stop(next),
                    };
                    if kind == 3 {
                        stopped = Some(next);
                    }
                    given.insert(next, vec![now]);
                    orders.give(at(now), &command);
                }
                Op::Answer(id) => {
                    orders.answered(id);
                    over.extend((id <= next).then_some(id));
                }
                Op::StandStill(ms) => {
                    now += ms;
                    prop_assert_eq!(orders.due(at(now)), []);
                }
                Op::Forget => {
                    orders.forget();
                    over.extend(0..=next);
                }
                Op::Pass(ticks) => {
                    for _ in 0..ticks {
                        now += TICK_MS;
                        for due in orders.due(at(now)) {
                            let (Due::Again(command) | Due::GivenUp(command)) = &due;
                            let id = command.id().expect("a command with a number");
                            prop_assert!(!over.contains(&id), "{id} was answered, or given up");
                            let dismissal = matches!(command, Command::Leave { .. });
                            prop_assert!(!dismissal);
                            let begins = matches!(command, Command::Split { .. });
                            prop_assert!(!begins || stopped.is_none_or(|stop| stop < id), "{id} begins behind a stop");
                            let times = given.get_mut(&id).expect("it was given");
                            prop_assert!(now - times.last().expect("once") >= ANSWER_WITHIN.as_millis() as u64);
                            match due {
                                Due::Again(_) => times.push(now),
                                Due::GivenUp(_) => {
                                    prop_assert_eq!(times.len(), ATTEMPTS as usize);
                                    over.insert(id);
                                }
                            }
                            prop_assert!(times.len() <= ATTEMPTS as usize);
                        }
                        prop_assert!(orders.open.len() <= 5, "one of each kind");
                    }
                }
            }
        }
    }
}
