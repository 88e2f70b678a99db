//! What a worker has told of its troubles: by its reports, which list those that go on, and by its facts, which come as
//! late as the disk lets them. Pure.
//!
//! Contract: a fact is news only if no report has told the same of its session, and what a report lists no more is over,
//! whichever of the two told it. A worker reports a trouble before it writes its fact.

use super::super::event::{Effect, Now};
use super::State;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::{InputId, SessionId};
use crate::protocol::worker::WorkerStatus;
use std::collections::BTreeSet;

/// What is known of a linked worker's troubles.
#[derive(Debug, Default)]
pub struct Told {
    /// The session of the last report.
    session: Option<SessionId>,
    /// Told, of that session or the one before.
    known: BTreeSet<(SessionId, IncidentCode)>,
    /// Told, and not known to be over.
    open: BTreeSet<IncidentCode>,
}

/// What a fact about a trouble adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// It was told.
    Known,
    /// It goes on, or may.
    GoesOn,
    /// It was over before it was known.
    Over,
}

impl Told {
    /// A report: what it no longer lists.
    fn reported(&mut self, status: &WorkerStatus) -> Vec<IncidentCode> {
        let before = std::mem::replace(&mut self.session, status.session);
        self.known.retain(|(session, _)| [before, status.session].contains(&Some(*session)));
        let now: BTreeSet<_> = status.active.iter().map(|incident| incident.code).collect();
        self.known.extend(status.session.into_iter().flat_map(|session| now.iter().map(move |code| (session, *code))));
        let gone = self.open.difference(&now).copied().collect();
        self.open = now;
        gone
    }

    /// Somebody else has told it: it is over with the first report that does not list it.
    pub(super) fn expects(&mut self, code: IncidentCode) {
        self.open.insert(code);
    }

    fn fact(&mut self, about: SessionId, code: IncidentCode, status: Option<&WorkerStatus>) -> News {
        if !self.known.insert((about, code)) {
            return News::Known;
        }
        match status {
            Some(status) if status.active.iter().all(|incident| incident.code != code) => News::Over,
            _ => {
                self.open.insert(code);
                News::GoesOn
            }
        }
    }
}

impl State {
    /// Causes that came or went, as the worker lists them.
    pub(super) fn follow_causes(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let Some(input) = self.input_mut(id) else { return };
        let Some((_, status)) = &input.status else { return };
        let (gone, active) = (input.told.reported(status), status.active.clone());
        for code in gone {
            self.alerts.resolve(now, id.as_str(), code.as_str());
        }
        for incident in active {
            self.keep(now, id.as_str(), incident, out);
        }
    }

    /// A trouble was written down: whoever has not heard of it does now, also when it is over.
    pub(super) fn on_incident_fact(
        &mut self,
        now: Now,
        id: &InputId,
        about: SessionId,
        incident: &Incident,
        out: &mut Vec<Effect>,
    ) {
        let news = match self.input_mut(id) {
            Some(input) => input.told.fact(about, incident.code, input.status.as_ref().map(|(_, status)| status)),
            // Of an input that is not configured any more nobody hears the end.
            None => News::Over,
        };
        match news {
            News::Known => {}
            News::GoesOn => self.keep(now, id.as_str(), incident.clone(), out),
            News::Over if self.alerts.is_active(id.as_str(), incident.code.as_str()) => {}
            News::Over => {
                self.raise(now, id.as_str(), incident.clone(), out);
                self.alerts.resolve(now, id.as_str(), incident.code.as_str());
            }
        }
    }

    /// The worker is gone: what it said goes on died with it; its successor tells what it finds.
    pub(super) fn forget_told(&mut self, now: Now, id: &InputId) {
        let told = self.input_mut(id).map(|input| std::mem::take(&mut input.told)).unwrap_or_default();
        for code in told.open {
            self.alerts.resolve(now, id.as_str(), code.as_str());
        }
    }
}
