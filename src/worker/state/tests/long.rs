//! A recorder that nobody stops for a month (R-SUP-14).

use super::*;
use crate::model::policy::Split;

const DAY: Duration = s(24 * 3600);
const FOUR_HOURS: Duration = s(4 * 3600);

/// A second of it, in which media was written.
fn second(bench: &mut Bench) {
    bench.now = bench.now.plus(Duration::from_millis(900));
    if let Some(written) = &mut bench.written {
        *written += s(1);
    }
    bench.tick();
    // The picture after which the next part may begin, and the one before it settles at once.
    bench.keyframe();
    bench.settle();
}

#[test]
fn thirty_days_pass_without_wrap_or_drift() {
    let policy = WorkerPolicy { split: Split { after: Some(FOUR_HOURS), bytes: None }, ..WorkerPolicy::default() };
    let mut bench = Bench::with_policy(OnSignalLoss::Split, policy);
    bench.origin_at_growth = true;
    // Behind so many milliseconds a counter of 32 bits begins anew; a machine that has run for 49 days has passed it.
    bench.now = MonoNs((u64::from(u32::MAX) - 3_600_000) * MS);
    bench.tick();
    bench.start();
    let began = bench.now;
    for day in 1..=30 {
        for _ in 0..DAY.as_secs() {
            second(&mut bench);
        }
        let recording = bench.state.status(bench.now).recording.expect("it records");
        let passed = bench.now.since(began).as_millis() as u64;
        assert_eq!((recording.state, recording.safe_ms), (RecordingState::Recording, recording.media_ms), "day {day}");
        // The last second is looked at in the next one.
        let media = recording.media_ms.expect("it is known");
        assert!((passed - 1000..=passed).contains(&media), "day {day}: {media} of {passed} ms");
    }
    assert_eq!(bench.incidents(), []);
    let parts = (30 * DAY.as_secs() / FOUR_HOURS.as_secs()) as u32;
    assert!((parts..=parts + 1).contains(&bench.number()), "{} parts", bench.number());
    let mut numbers: Vec<u64> = bench.facts.iter().map(|(n, _)| *n).collect();
    numbers.dedup();
    assert_eq!(numbers, (1..=bench.facts.len() as u64).collect::<Vec<_>>(), "facts are counted without a gap");
}
