//! What a worker needs outlives the engine that has measured it.

use super::*;

/// The next engine took what a worker had grown to for what it needs, and said nothing more.
#[test]
fn a_worker_that_has_grown_is_told_by_the_next_engine_at_once() {
    let mut bench = Bench::ready(&["a"]);
    bench.live(61_000, None, RecordingState::Done);
    bench.uses(150);
    bench.live(61_000, None, RecordingState::Done);
    bench.uses(150);
    let measured = bench.state.measured();
    assert_eq!(measured.len(), 1);
    let mut next = Bench::with(Setup { measured: measured.clone(), ..setup(&["a"]) });
    // Before anybody knows which processes run, and before it was looked at for the first time.
    next.feed(Event::Usage(Vec::new()));
    assert_eq!(next.state.measured(), measured, "an engine that lives for a second keeps it, too");
    next.link("a", 1);
    next.feed(Event::Searched { interrupted: Vec::new(), last: None });
    next.live(400, None, RecordingState::Done);
    next.feed(Event::Usage(Vec::new()));
    next.uses(900);
    assert!(next.is_told("a", "worker_memory"));
    next.live(120_000, None, RecordingState::Done);
    next.uses(900);
    assert!(next.is_told("a", "worker_memory") && next.state.measured() == measured);
    // Remembered late.
    let mut late = Bench::ready(&["a"]);
    late.uses(900);
    late.live(61_000, None, RecordingState::Done);
    late.uses(900);
    assert!(!late.is_told("a", "worker_memory"));
    let kept = Kept { boot_id: "boot".to_owned(), measured: measured.clone(), ..Kept::default() };
    late.feed(Event::Recalled(Box::new(kept)));
    late.uses(900);
    assert!(late.is_told("a", "worker_memory"));
    // Another process of the same number, in another boot.
    let mut other = Bench::ready(&["a"]);
    other.feed(Event::Recalled(Box::new(Kept { boot_id: "another".to_owned(), measured, ..Kept::default() })));
    other.uses(900);
    assert!(!other.is_told("a", "worker_memory"));
}
