//! What priority the recording got: shown as it was told, and an alert where nobody gave any (R-SUP-7).

use super::{ENGINE, State};
use crate::engine::event::{Effect, Now};
use crate::model::incident::{Incident, IncidentCode};
use crate::model::snapshot::PriorityView;

impl State {
    pub(super) fn on_protection(&mut self, now: Now, protection: PriorityView, out: &mut Vec<Effect>) {
        let code = IncidentCode::PriorityRefused;
        if protection.is_refused() {
            self.keep(now, ENGINE, Incident::new(code), out);
        } else if !protection.rungs.is_empty() {
            self.alerts.resolve(now, ENGINE, code.as_str());
        }
        self.protection = protection;
    }
}
