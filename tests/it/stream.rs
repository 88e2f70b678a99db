//! The event stream for those who come back (R-FM-3): what they missed, or everything, and never another state than
//! the one everybody else sees.

use crate::record::{LIVE_WITHIN, start};
use crate::support::api::Events;
use crate::support::proc::{Holdfast, test_inputs};
use crate::support::process::Deadline;
use holdfast::model::snapshot::Snapshot;
use holdfast::protocol::event::Event;
use rustix::process::Signal;
use std::time::Duration;

/// Samples come twice a second.
const SOON: Duration = Duration::from_secs(10);

/// A client that folds what it hears.
struct Client {
    events: Events,
    held: Option<Snapshot>,
}

impl Client {
    fn join(holdfast: &Holdfast, held: Option<Snapshot>) -> Self {
        let query = held.as_ref().map(|held| format!("?since={}", held.seq)).unwrap_or_default();
        Self { events: holdfast.events_since(&query).expect("a stream"), held }
    }

    fn hear(&mut self) -> Event {
        let event = self.events.next(SOON).expect("a stream").expect("an event");
        let event: Event = serde_json::from_value(event).expect("an event of this version");
        event.fold(&mut self.held);
        event
    }

    /// Folds on to a sample at or after `at`; when that was made.
    fn hear_sample(&mut self, at: jiff::Timestamp) -> jiff::Timestamp {
        loop {
            match self.hear() {
                Event::Sample { at: made, .. } if made >= at => return made,
                _ => {}
            }
        }
    }
}

/// Lets both fold on to one and the same sample and compares what they hold.
fn assert_agree(one: &mut Client, other: &mut Client) {
    let deadline = Deadline::after(SOON);
    let (mut a, mut b) = (one.hear_sample(jiff::Timestamp::MIN), other.hear_sample(jiff::Timestamp::MIN));
    while a != b {
        assert!(deadline.left().is_some(), "they never hear the same sample: {a}, {b}");
        if a < b { a = one.hear_sample(b) } else { b = other.hear_sample(a) }
    }
    assert!(one.held.is_some());
    assert_eq!(one.held, other.held);
}

#[test]
fn who_comes_back_hears_what_was_missed_and_agrees_with_who_never_left() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let mut stays = Client::join(&holdfast, None);
    assert!(matches!(stays.hear(), Event::Sync { .. }));
    let mut leaves = Client::join(&holdfast, None);
    assert!(matches!(leaves.hear(), Event::Sync { .. }));
    let held = leaves.held.take().expect("a state");
    let left_at = held.seq;
    drop(leaves);
    start(&holdfast, &["cam1", "cam2"]);

    let mut back = Client::join(&holdfast, Some(held));
    let mut missed = Vec::new();
    loop {
        match back.hear() {
            Event::Sample { .. } => break,
            event => missed.extend(event.seq()),
        }
    }
    let wanted: Vec<u64> = (left_at + 1..).take(missed.len()).collect();
    assert!(missed.len() > 3 && missed == wanted, "after {left_at} came {missed:?}");
    assert_agree(&mut stays, &mut back);
    let mut new = Client::join(&holdfast, None);
    assert_agree(&mut new, &mut back);

    // Numbers nobody gave are answered with everything.
    let unknown = new.held.clone().map(|held| Snapshot { seq: held.seq + 1_000_000, ..held });
    let mut odd = Client::join(&holdfast, unknown);
    assert!(matches!(odd.hear(), Event::Sync { .. }));
    assert_agree(&mut odd, &mut new);

    // And the next engine, however this one ends, gives no number twice.
    let pid = holdfast.engine().pid();
    holdfast.signal(pid, Signal::KILL);
    assert!(holdfast.ended(pid, SOON));
    let before = new.held.clone().expect("a state");
    holdfast.spawn_engine();
    let mut after = Client::join(&holdfast, Some(before.clone()));
    assert!(
        matches!(after.hear(), Event::Sync { seq, .. } if seq > before.seq),
        "an old number was taken for a new one"
    );
    holdfast.cli_ok(&["record", "stop"]);
}

#[test]
fn an_engine_killed_at_once_never_gives_a_number_twice() {
    let mut holdfast = Holdfast::new("");
    let mut highest = 0;
    for _ in 0..3 {
        holdfast.spawn_engine();
        let mut client = Client::join(&holdfast, None);
        let Event::Sync { seq, .. } = client.hear() else { panic!("the state comes first") };
        assert!(seq > highest, "{seq} was given before");
        highest = client.held.expect("a state").seq;
        let pid = holdfast.engine().pid();
        holdfast.signal(pid, Signal::KILL);
        assert!(holdfast.engine().wait(SOON).is_some());
    }
}
