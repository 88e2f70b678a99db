//! A track against histories of a limit.

use super::super::action::CPU;
use super::*;
use proptest::prelude::*;

const CALM: Duration = Duration::from_secs(30);

fn at(ms: u64) -> MonoNs {
    MonoNs(ms * 1_000_000)
}

fn standing(bad: bool, good_ms: u64, pace_ms: u64) -> Standing {
    Standing { bad, good_for: Duration::from_millis(good_ms), pace: Duration::from_millis(pace_ms) }
}

/// What was done, when: taken or given back.
type Done = Vec<(u64, Action, bool)>;

/// A row of limits over time, looked at every half second: `load(ms, what is taken)` says which rows are passed.
fn run(track: &mut Track, ms: std::ops::Range<u64>, load: impl Fn(u64, &Track) -> [bool; 2]) -> Done {
    let (mut done, mut good_since) = (Done::new(), [Some(ms.start); 2]);
    for now in ms.step_by(500) {
        let bad = load(now, track);
        let mut rows = [standing(false, 0, 5000), standing(false, 0, 1500)];
        for ((row, since), bad) in rows.iter_mut().zip(&mut good_since).zip(bad) {
            *since = if bad { None } else { since.or(Some(now)) };
            row.bad = bad;
            row.good_for = since.map_or(Duration::ZERO, |since| Duration::from_millis(now - since));
        }
        let worth = |action: Action| match action {
            Action::JobsPaused => Worth::Nothing,
            _ => Worth::Something,
        };
        done.extend(track.step(at(now), CALM, &rows, worth).iter().map(|c| (now, c.action, c.taken)));
    }
    done
}

#[test]
fn a_row_is_taken_one_by_one_and_given_back_in_reverse() {
    let mut track = Track::new(&CPU);
    let done = run(&mut track, 0..20_000, |_, _| [true, false]);
    use Action::{FewPreviewsOff, JobsPaused, PreviewHeight, PreviewRate, PreviewsOff};
    assert_eq!(done, [(0, PreviewHeight, true), (5000, PreviewRate, true), (10_000, FewPreviewsOff, true)]);
    let done = run(&mut track, 20_000..21_000, |_, _| [true, true]);
    assert_eq!(done, [(20_000, JobsPaused, true), (20_000, PreviewsOff, true)], "what changes nothing costs no time");
    assert_eq!(track.level(), LevelName::Critical);
    // The load has gone.
    let done = run(&mut track, 21_000..90_000, |_, _| [false, false]);
    let expected = [
        (51_000, PreviewsOff, false),
        (51_000, JobsPaused, false),
        (54_000, FewPreviewsOff, false),
        (57_000, PreviewRate, false),
        (60_000, PreviewHeight, false),
    ];
    assert_eq!(done, expected);
    assert_eq!((track.level(), track.taken().count()), (LevelName::Normal, 0));
}

#[test]
fn a_jump_to_the_last_row_takes_the_first_row_first_and_faster() {
    let mut track = Track::new(&CPU);
    let done = run(&mut track, 0..10_000, |_, _| [true, true]);
    let felt: Vec<u64> = done.iter().map(|(at, ..)| *at).collect();
    assert_eq!(felt, [0, 1500, 3000, 3000, 4500], "all previews are off within 5 s");
}

#[test]
fn what_kept_the_load_down_is_tried_more_and_more_rarely() {
    let mut track = Track::new(&CPU);
    // The machine is above the limit for ever, unless previews have 15 pictures per second.
    let load = |_, track: &Track| [!track.is_taken(Action::PreviewRate), false];
    let done = run(&mut track, 0..3_600_000, load);
    let tried: Vec<u64> = done
        .iter()
        .filter(|(_, action, taken)| *action == Action::PreviewRate && !taken)
        .map(|(at, ..)| at / 1000)
        .collect();
    assert!((5..=9).contains(&tried.len()), "{tried:?}");
    let pauses: Vec<u64> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.windows(2).all(|pair| pair[1] + 5 >= pair[0]) && pauses.last() >= Some(&900), "{pauses:?}");
    // Once the cause has really gone, it is given back at the next try.
    let done = run(&mut track, 3_600_000..4_600_000, |_, _| [false, false]);
    assert!(done.iter().any(|(_, action, taken)| *action == Action::PreviewRate && !taken), "{done:?}");
    assert_eq!(track.taken().count(), 0);
}

#[test]
fn a_load_that_comes_again_later_is_no_relapse() {
    let mut track = Track::new(&CPU);
    for round in 0..5u64 {
        let begin = round * 100_000;
        run(&mut track, begin..begin + 10_000, |_, _| [true, true]);
        let done = run(&mut track, begin + 10_000..begin + 100_000, |_, _| [false, false]);
        assert!(done.last().is_some_and(|(at, ..)| at - begin - 10_000 <= 60_000), "{round}: {done:?}");
        assert_eq!(track.taken().count(), 0, "round {round}");
    }
}

proptest! {
    /// Whatever the load does: actions are taken in the order of the rows, given back in reverse, nothing of a row is given
    /// back while it is passed, and everything is back when it has been good for long enough.
    #[test]
    fn order_holds_in_every_history(steps in prop::collection::vec((0u64..80, 0usize..3), 1..60)) {
        let mut track = Track::new(&CPU);
        let (mut now, mut good_since) = (0u64, [0u64; 2]);
        let order: Vec<Action> = CPU.iter().flat_map(|row| row.actions.iter().copied()).collect();
        for (pause, load) in steps.into_iter().chain([(0, 0)]) {
            for _ in 0..pause {
                now += 500;
                let bad = [load > 0, load > 1];
                let mut rows = [standing(false, 0, 5000), standing(false, 0, 1500)];
                for ((row, since), bad) in rows.iter_mut().zip(&mut good_since).zip(bad) {
                    if bad { *since = now; }
                    (row.bad, row.good_for) = (bad, Duration::from_millis(now - *since));
                }
                let before: Vec<Action> = track.taken().collect();
                let changes = track.step(at(now), CALM, &rows, |_| Worth::Something);
                prop_assert!(changes.len() <= 1, "one at a time: {changes:?}");
                let taken: Vec<Action> = track.taken().collect();
                prop_assert_eq!(&taken[..], &order[..taken.len()], "a prefix of the rows");
                if let Some(change) = changes.first() {
                    prop_assert!(!change.taken || bad[0]);
                    let in_last_row = CPU[1].actions.contains(&change.action);
                    prop_assert!(change.taken || !bad[usize::from(in_last_row)]);
                    prop_assert!(before.len().abs_diff(taken.len()) == 1);
                }
            }
        }
        for _ in 0..2 * 2000 {
            now += 500;
            let rows = good_since.map(|since| standing(false, now - since, 5000));
            track.step(at(now), CALM, &rows, |_| Worth::Something);
        }
        prop_assert_eq!(track.taken().count(), 0);
    }
}
