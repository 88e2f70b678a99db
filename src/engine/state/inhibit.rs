//! When the machine is kept awake, what is told of that, and what happens when it goes down all the same (R-SUP-12).
//! Pure.
//!
//! Contract: held from an accepted start until nothing records, whoever records it. A forced shutdown is a stop: the
//! system waits until everything is closed, because only then the hold is let go. A forced sleep is none: recording goes
//! on behind it, the kernel syncs every disk before it sleeps, and the sleep is a gap (see [`super::clock`]).

use super::super::event::{Effect, InhibitEvent, Now, Token};
use super::State;
use super::waiting::Asked;
use crate::model::incident::{Incident, IncidentCode};

/// Nobody waits for an answer; requests are numbered from 1.
const NOBODY: Token = 0;

impl State {
    /// Asks for a hold, or lets go, when that has to change.
    pub(super) fn keep_awake(&mut self, now: Now, out: &mut Vec<Effect>) {
        let wanted = !self.is_idle();
        if std::mem::replace(&mut self.awake, wanted) != wanted {
            out.push(Effect::Inhibit(wanted));
            if !wanted {
                self.alerts.resolve(now, super::ENGINE, IncidentCode::SleepNotInhibited.as_str());
            }
        }
    }

    pub(super) fn on_inhibit(&mut self, now: Now, event: InhibitEvent, out: &mut Vec<Effect>) {
        match event {
            InhibitEvent::Asked { reason: Some(reason) } if self.awake => {
                let incident = Incident::new(IncidentCode::SleepNotInhibited).with("reason", reason);
                self.keep(now, super::ENGINE, incident, out);
            }
            InhibitEvent::Asked { .. } => {
                self.alerts.resolve(now, super::ENGINE, IncidentCode::SleepNotInhibited.as_str());
            }
            InhibitEvent::GoesDown if self.awake => self.on_asked(now, Asked::Stop(NOBODY, None), out),
            InhibitEvent::GoesDown => {}
        }
    }
}
