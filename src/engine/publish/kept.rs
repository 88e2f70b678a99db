//! The last events, for clients that come back and say how far they had come (`?since=`). Pure.

use crate::protocol::event::Event;
use std::collections::VecDeque;
use std::sync::Arc;

/// Events kept for clients that reconnect (DESIGN §4).
pub const KEPT: usize = 1000;

/// See the module.
#[derive(Debug)]
pub struct Kept {
    events: VecDeque<Arc<Event>>,
    /// Who knows the state of this number needs all of `events` and nothing else.
    floor: u64,
}

impl Kept {
    /// Nothing has happened since `seq`.
    pub fn new(seq: u64) -> Self {
        Self { events: VecDeque::new(), floor: seq }
    }

    /// Keeps an event that has a number; the oldest one goes when there are [`KEPT`].
    pub fn push(&mut self, event: &Arc<Event>) {
        if event.seq().is_none() {
            return;
        }
        if self.events.len() >= KEPT
            && let Some(seq) = self.events.pop_front().and_then(|oldest| oldest.seq())
        {
            self.floor = seq;
        }
        self.events.push_back(event.clone());
    }

    /// What happened after `seq`; `None` = too much, or a number that was never given.
    pub fn since(&self, seq: u64) -> Option<Vec<Arc<Event>>> {
        let newest = self.events.back().and_then(|event| event.seq()).unwrap_or(self.floor);
        let missed = self.events.iter().filter(|event| event.seq().is_some_and(|number| number > seq));
        (self.floor..=newest).contains(&seq).then(|| missed.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::AlertCounts;
    use jiff::Timestamp;

    #[test]
    fn a_thousand_events_are_kept_and_unknown_numbers_are_refused() {
        let mut kept = Kept::new(10);
        assert_eq!((kept.since(10), kept.since(9), kept.since(11)), (Some(Vec::new()), None, None));
        for seq in 11..=1010 {
            let data = AlertCounts::default();
            kept.push(&Arc::new(Event::Alerts { seq, at: Timestamp::UNIX_EPOCH, data }));
        }
        kept.push(&Arc::new(Event::Heartbeat { at: Timestamp::UNIX_EPOCH }));
        assert_eq!(kept.since(10).map(|missed| missed.len()), Some(KEPT));
        let data = AlertCounts::default();
        kept.push(&Arc::new(Event::Alerts { seq: 1011, at: Timestamp::UNIX_EPOCH, data }));
        assert_eq!(kept.since(10), None);
        assert_eq!(kept.since(11).map(|missed| missed.len()), Some(KEPT));
        assert_eq!(kept.since(1010).map(|missed| missed.len()), Some(1));
    }
}
