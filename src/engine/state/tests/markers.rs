//! Markers: where they lie, who may set them, and that none is told before it is kept.

use super::super::super::event::MarkCommand;
use super::*;
use crate::model::marker::{MARKERS_MAX, MARKERS_SHOWN, Marker, MarkerLine};
use crate::model::session::Line;
use crate::protocol::api::MarkerRequest;
use crate::storage::history::History;

impl Bench {
    fn mark_at(&mut self, key: &str, label: &str, clicked: Option<u64>) -> Vec<Effect> {
        self.token += 1;
        let request = MarkerRequest { session_id: None, label: Some(label.to_owned()) };
        let clicked = clicked.map(|ms| MonoNs(ms * 1_000_000));
        self.feed(Event::Mark(MarkCommand { token: self.token, key: key.to_owned(), request, clicked }))
    }

    fn mark(&mut self, key: &str, label: &str) -> Vec<Effect> {
        self.mark_at(key, label, None)
    }

    fn marked(&mut self, n: u32, result: Result<(), Unwritten>) -> Vec<Effect> {
        let session = self.session_id();
        self.feed(Event::Marked { session, n, result })
    }

    fn running() -> Self {
        let mut bench = Self::ready(&["a"]);
        let session = bench.record("k");
        bench.ms += 5000;
        bench.status("a", Some(session), RecordingState::Recording, 4000);
        bench
    }
}

fn written(effects: &[Effect]) -> Option<&Line<MarkerLine>> {
    effects.iter().find_map(|effect| if let Effect::WriteMarker { line, .. } = effect { Some(&**line) } else { None })
}

fn answers(effects: &[Effect]) -> Vec<(u32, bool)> {
    let marked = |effect: &Effect| match effect {
        Effect::Reply(_, Reply::Marked { body, new }) => Some((body.marker.n, *new)),
        _ => None,
    };
    effects.iter().filter_map(marked).collect()
}

#[test]
fn a_marker_lies_where_the_operator_clicked_and_is_told_once_it_is_kept() {
    let mut bench = Bench::running();
    let effects = bench.mark_at("m", "goal", Some(4600));
    let line = written(&effects).expect("a line").clone();
    // The session began 100 ms behind the command.
    assert_eq!((line.kind.n, line.t_ns, line.kind.media_ms), (1, 4_500_000_000, Some(4000)));
    assert!(reply(&effects).is_none() && bench.view().session.expect("a session").markers.count == 0);
    // Asked again while it is being written, and once more behind that.
    assert!(bench.mark("m", "goal").is_empty());
    assert_eq!(answers(&bench.marked(1, Ok(()))), [(1, true), (1, false)]);
    assert_eq!(answers(&bench.mark("m", "goal")), [(1, false)]);
    assert_eq!(refusal(&bench.mark("m", "other")).code, "key_reused");
    let markers = bench.view().session.expect("a session").markers;
    assert_eq!((markers.count, markers.last[0].t_ns), (1, 4_500_000_000));
}

#[test]
fn nothing_is_marked_that_is_not_recorded_and_the_refusal_says_so() {
    let mut bench = Bench::ready(&["a"]);
    assert_eq!(refusal(&bench.mark("m", "")).code, "not_recording");
    bench.start("k", None);
    // A moment later it can be marked.
    assert!(reply(&bench.mark("m", "")).is_none());
    let session = bench.session_id();
    bench.feed(Event::Persisted { session, result: Ok(()) });
    let effects = bench.feed(Event::Tick);
    let line = written(&effects).expect("it waited for the plan");
    assert_eq!(line.t_ns, 0, "never before the session");
    assert_eq!(refusal(&bench.mark("n", "two\nlines")).code, "bad_label");
    bench.marked(1, Ok(()));
    bench.stop();
    assert_eq!(refusal(&bench.mark("o", "")).code, "not_recording");
    assert_eq!(answers(&bench.mark("m", "")), [(1, false)], "it stands, whatever runs now");
}

#[test]
fn a_marker_the_disk_refuses_is_named_and_not_shown() {
    let mut bench = Bench::running();
    bench.mark("m", "");
    let why = Unwritten { reason: "full".into(), code: IncidentCode::DiskFull };
    let refused = bench.marked(1, Err(why));
    assert_eq!((refusal(&refused).status, refusal(&refused).code), (507, "no_space"));
    assert_eq!(bench.view().session.expect("a session").markers.count, 0);
    // What was refused may stand in the journal all the same: nobody else gets its number.
    // A disk that stands still is not waited for; what it takes in the end counts.
    assert_eq!(written(&bench.mark("n", "late")).map(|line| line.kind.n), Some(2));
    bench.tick_for(7200);
    let late = bench.done.iter().rev().find_map(|effect| match effect {
        Effect::Reply(_, Reply::Refused(refused)) => Some(refused.code),
        _ => None,
    });
    assert_eq!(late, Some("storage_frozen"));
    bench.marked(2, Ok(()));
    assert_eq!(answers(&bench.mark("n", "late")), [(2, false)]);
}

#[test]
fn markers_are_bounded_and_the_next_engine_counts_on() {
    let mut bench = Bench::running();
    let session = bench.session_id();
    let marker = |n| Marker { n, t_ns: 1, media_ms: None, at: Timestamp::UNIX_EPOCH, label: None, places: Vec::new() };
    let markers: Vec<_> = (1..=MARKERS_MAX).filter(|n| *n != 7).map(|n| (format!("k{n}"), marker(n))).collect();
    let history = History { markers, ..History::default() };
    bench.feed(Event::Adopted { session, result: Ok(Box::new(history)) });
    let view = bench.view().session.expect("a session").markers;
    assert_eq!((view.count, view.last.len(), view.last[0].n), (MARKERS_MAX - 1, MARKERS_SHOWN, MARKERS_MAX));
    // Markers are counted, not numbers: one was refused.
    assert_eq!(written(&bench.mark("last", "")).map(|line| line.kind.n), Some(MARKERS_MAX + 1));
    assert_eq!(refusal(&bench.mark("new", "")).code, "too_many_markers");
    assert_eq!(answers(&bench.mark("k999", "")), [(999, false)]);
}
