//! What follows from an alert, whoever raised it: one log line, the operator's command, the error rates; and what the
//! operator answers to it (R-ALR-1, -3, -7).

use super::super::errors::WINDOW_S;
use super::super::event::{Effect, Now, Reply, Token};
use super::State;
use super::commands::refuse;
use crate::model::incident::{Incident, IncidentCode, Severity};
use crate::protocol::api::AckReply;
use crate::protocol::health::ErrorRate;

impl State {
    /// Every cause that has come is told once, here and nowhere else.
    pub(super) fn tell_raised(&mut self, now: Now, out: &mut Vec<Effect>) {
        for raised in self.alerts.take_raised() {
            let (source, incident) = (raised.source, raised.incident);
            if is_error(incident.code) {
                self.oversight.errors.note(now.mono, &source, 1, 0);
            }
            if raised.fresh && incident.code.severity() == Severity::Critical {
                out.push(Effect::Alarm { source: source.clone(), incident: incident.clone() });
            }
            out.push(Effect::Log { source, incident });
        }
    }

    /// The operator has seen an alert. It is kept for the next engine within a second.
    pub(super) fn on_acknowledge(&mut self, token: Token, id: u64, out: &mut Vec<Effect>) {
        out.push(match self.alerts.acknowledge(id) {
            Some(alert) => Effect::Reply(token, Reply::Acknowledged(Box::new(AckReply { alert }))),
            None => refuse(token, 404, "unknown_alert", format!("there is no alert {id} any more"), false),
        });
    }

    /// Sources at which something goes wrong too often, or no longer does.
    pub(super) fn watch_errors(&mut self, now: Now) {
        let code = IncidentCode::ErrorRate;
        for (source, rate) in self.oversight.errors.rates(now.mono) {
            let told = self.alerts.is_active(&source, code.as_str());
            match rate.high() {
                Some((errors, seconds)) if !told => {
                    let incident = Incident::new(code).with("errors", errors).with("seconds", seconds);
                    self.alerts.raise(now, &source, &incident);
                }
                None if told && rate.is_calm() => self.alerts.resolve(now, &source, code.as_str()),
                _ => {}
            }
        }
    }
}

/// Something went wrong. What was found out by watching, and what the operator or the machine did, is no error.
fn is_error(code: IncidentCode) -> bool {
    use IncidentCode as Code;
    let watched = matches!(
        code,
        Code::ErrorRate
            | Code::OperationStuck
            | Code::WorkerMemory
            | Code::MemoryLow
            | Code::LimitNear
            | Code::DiskLow
            | Code::DiskCritical
            | Code::EngineRestarted
            | Code::Suspended
    );
    code.severity() >= Severity::Warning && !watched
}

/// A rate as the API tells it.
pub(super) fn rate_view(rate: super::super::errors::Rate) -> ErrorRate {
    let percent = rate.percent().map(|percent| (percent * 100.0).round() / 100.0);
    ErrorRate { errors: rate.errors, successes: rate.successes, total: rate.total(), percent, window_s: WINDOW_S }
}
