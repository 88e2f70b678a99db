//! Since when each input and its recording are as they are, for "no signal since 20:30:55" (DESK "Tile"). Pure.
//!
//! Contract: what an engine finds when it begins has no date: it may have been so before (R-TRU-3).

use crate::model::InputId;
use crate::model::snapshot::{InputState, RecordingState, Snapshot};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A state, and since when.
#[derive(Debug, Clone, Copy)]
struct Dated<T> {
    state: T,
    since: Option<Timestamp>,
}

impl<T: PartialEq> Dated<T> {
    /// The date of `state` at `at`.
    fn of(known: Option<Self>, state: T, at: Timestamp) -> Self {
        match known {
            Some(known) if known.state == state => known,
            Some(_) => Self { state, since: Some(at) },
            None => Self { state, since: None },
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Since {
    inputs: BTreeMap<InputId, (Dated<InputState>, Dated<Option<RecordingState>>)>,
}

impl Since {
    /// Puts the dates into a snapshot of `at` (wall clock).
    pub fn date(&mut self, snapshot: &mut Snapshot, at: Timestamp) {
        let mut inputs = BTreeMap::new();
        for view in &mut snapshot.inputs {
            let known = self.inputs.get(&view.id).copied().unzip();
            let state = Dated::of(known.0, view.state, at);
            let recording = Dated::of(known.1, view.recording.as_ref().map(|recording| recording.state), at);
            (view.since, view.recording_since) = (state.since, recording.since);
            inputs.insert(view.id.clone(), (state, recording));
        }
        // Of inputs that are gone nothing is kept.
        self.inputs = inputs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::publish::tests::{empty, input};

    #[test]
    fn a_state_is_dated_by_its_beginning_and_one_that_was_found_is_not() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut since = Since::default();
        let mut look = |state, second| {
            let mut now = Snapshot { inputs: vec![input("cam1", state, None)], ..empty() };
            since.date(&mut now, at(second));
            now.inputs[0].since
        };
        assert_eq!(look(InputState::Live, 1), None);
        assert_eq!(look(InputState::Live, 2), None);
        assert_eq!(look(InputState::NoSignal, 3), Some(at(3)));
        assert_eq!(look(InputState::NoSignal, 9), Some(at(3)));
        assert_eq!(look(InputState::Live, 10), Some(at(10)));
    }
}
