//! The list of alerts. Pure.
//!
//! Contract: repeats of one code at one source fold into one alert with a count; a cause that has gone leaves the
//! alert resolved; the last [`KEPT`] are kept, and an active critical one is never dropped for a newer one.

use super::event::Now;
use crate::model::incident::{Incident, IncidentCode, Severity};
use crate::model::snapshot::{Alert, AlertCounts, AlertState};

/// How many alerts are kept (R-ALR-1).
const KEPT: usize = 100;

/// Every alert kept, newest first.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    list: Vec<Alert>,
    next_id: u64,
    /// Alerts changed since they were last published.
    changed: Vec<u64>,
}

impl Alerts {
    /// The list an earlier engine left.
    pub fn restore(list: Vec<Alert>) -> Self {
        let next_id = list.iter().map(|alert| alert.id).max().unwrap_or(0);
        Self { list, next_id, changed: Vec::new() }
    }

    /// Nothing is known of any cause any more: what still goes on will be told anew. Only a damaged file stays one.
    pub fn forget_causes(&mut self, now: Now) {
        let lasting = [IncidentCode::FileDamaged, IncidentCode::ProofFailed].map(IncidentCode::as_str);
        let lasts = |alert: &Alert| lasting.contains(&alert.code.as_str());
        let over = |alert: &&mut Alert| alert.state == AlertState::Active && !lasts(alert);
        for alert in self.list.iter_mut().filter(over) {
            alert.state = AlertState::Resolved;
            alert.resolved_at = Some(now.at);
            self.changed.push(alert.id);
        }
    }

    /// Takes in the list an earlier engine left, behind what has come since; its causes are not known any more.
    pub fn recall(&mut self, now: Now, list: Vec<Alert>) {
        let mut earlier = Self::restore(list);
        earlier.forget_causes(now);
        let known = |alert: &Alert| self.list.iter().any(|ours| ours.source == alert.source && ours.code == alert.code);
        let (mut more, mut next_id) = (Vec::new(), self.next_id.max(earlier.next_id));
        for mut alert in earlier.list.into_iter().filter(|alert| !known(alert)) {
            next_id += 1;
            alert.id = next_id;
            more.push(alert);
        }
        self.next_id = next_id;
        self.changed.extend(more.iter().map(|alert| alert.id));
        self.list.extend(more);
        self.shorten();
    }

    /// Every alert, newest first.
    pub fn list(&self) -> &[Alert] {
        &self.list
    }

    /// How many are active.
    pub fn counts(&self) -> AlertCounts {
        let mut counts = AlertCounts::default();
        for alert in self.list.iter().filter(|alert| alert.state == AlertState::Active) {
            match alert.severity {
                Severity::Critical => counts.critical += 1,
                Severity::Warning => counts.warning += 1,
                Severity::Info => counts.info += 1,
            }
        }
        counts
    }

    /// The cause of `incident` at `source` has come (again).
    pub fn raise(&mut self, now: Now, source: &str, incident: &Incident) {
        let code = incident.code.as_str();
        let known = self.list.iter().position(|alert| alert.source == source && alert.code == code);
        let folded = known.map(|place| self.list.remove(place));
        let (id, at, count) = match folded {
            Some(alert) => (alert.id, alert.at, alert.count.saturating_add(1)),
            None => {
                self.next_id += 1;
                (self.next_id, now.at, 1)
            }
        };
        let alert = Alert {
            id,
            seq: 0,
            at,
            severity: incident.code.severity(),
            source: source.to_owned(),
            code: code.to_owned(),
            params: incident.params.clone(),
            message: incident.message(),
            count,
            state: AlertState::Active,
            resolved_at: None,
            acknowledged: false,
            actions: Vec::new(),
        };
        self.list.insert(0, alert);
        self.mark(id);
        self.shorten();
    }

    /// The cause of `code` at `source` goes on: raised once, not counted again.
    pub fn keep(&mut self, now: Now, source: &str, incident: &Incident) {
        if !self.is_active(source, incident.code.as_str()) {
            self.raise(now, source, incident);
        }
    }

    /// The cause of `code` at `source` has gone.
    pub fn resolve(&mut self, now: Now, source: &str, code: &str) {
        let active =
            |alert: &&mut Alert| alert.source == source && alert.code == code && alert.state == AlertState::Active;
        if let Some(alert) = self.list.iter_mut().find(active) {
            alert.state = AlertState::Resolved;
            alert.resolved_at = Some(now.at);
            let id = alert.id;
            self.mark(id);
        }
    }

    /// Whether the cause of `code` at `source` goes on.
    pub fn is_active(&self, source: &str, code: &str) -> bool {
        let same = |alert: &Alert| alert.source == source && alert.code == code;
        self.list.iter().any(|alert| same(alert) && alert.state == AlertState::Active)
    }

    /// The alerts that changed since the last call, oldest change first; `seq` numbers them.
    pub fn take_changed(&mut self, seq: &mut u64) -> Vec<Alert> {
        let mut out = Vec::new();
        for id in std::mem::take(&mut self.changed) {
            if let Some(alert) = self.list.iter_mut().find(|alert| alert.id == id) {
                *seq += 1;
                alert.seq = *seq;
                out.push(alert.clone());
            }
        }
        out
    }

    fn mark(&mut self, id: u64) {
        if !self.changed.contains(&id) {
            self.changed.push(id);
        }
    }

    fn shorten(&mut self) {
        while self.list.len() > KEPT {
            let expendable =
                |alert: &Alert| alert.state == AlertState::Resolved || alert.severity != Severity::Critical;
            let place = self.list.iter().rposition(expendable).unwrap_or(self.list.len() - 1);
            self.list.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MonoNs;
    use jiff::Timestamp;

    fn now() -> Now {
        Now { mono: MonoNs(0), at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn repeats_fold_and_a_gone_cause_is_resolved() {
        let mut alerts = Alerts::default();
        let incident = Incident::new(IncidentCode::NoSignal);
        alerts.raise(now(), "cam1", &incident);
        alerts.raise(now(), "cam2", &incident);
        alerts.raise(now(), "cam1", &incident);
        assert_eq!(alerts.list().len(), 2);
        assert_eq!((alerts.list()[0].source.as_str(), alerts.list()[0].count), ("cam1", 2));
        assert_eq!(alerts.counts().warning, 2);
        alerts.resolve(now(), "cam1", "no_signal");
        assert_eq!(alerts.counts().warning, 1);
        let mut seq = 10;
        assert_eq!(alerts.take_changed(&mut seq).len(), 2);
        assert_eq!((seq, alerts.take_changed(&mut seq).len()), (12, 0));
    }

    #[test]
    fn a_new_engine_believes_no_cause_it_has_not_seen_but_a_damaged_file_stays_one() {
        let mut alerts = Alerts::default();
        for code in [IncidentCode::WorkerDied, IncidentCode::FileDamaged] {
            alerts.raise(now(), "cam1", &Incident::new(code));
        }
        let mut restored = Alerts::restore(alerts.list().to_vec());
        restored.forget_causes(now());
        assert!(!restored.is_active("cam1", "worker_died") && restored.is_active("cam1", "file_damaged"));
        assert_eq!(restored.take_changed(&mut 0).len(), 1);
    }

    #[test]
    fn an_active_critical_alert_outlives_a_flood() {
        let mut alerts = Alerts::default();
        alerts.raise(now(), "cam1", &Incident::new(IncidentCode::DiskFull));
        for n in 0..300 {
            alerts.raise(now(), &format!("x{n}"), &Incident::new(IncidentCode::SessionRecovered));
        }
        assert_eq!(alerts.list().len(), KEPT);
        assert!(alerts.is_active("cam1", "disk_full"));
    }
}
