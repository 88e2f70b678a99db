//! The list of alerts. Pure.
//!
//! Contract: repeats of one code at one source fold into one alert with a count; a cause that has gone leaves the
//! alert resolved; an alert stays until it was acknowledged, as far as the last [`KEPT`] reach, and a critical one that
//! nobody has acknowledged is never dropped for a newer one. Acknowledged means: this trouble was seen. Repeats while it
//! goes on leave that so; trouble that comes back is new, and wants to be seen again. A damaged file stays damaged: its
//! cause never goes, so each such file is an alert of its own, and the next one is new ([`LASTING`]).

use super::event::Now;
use crate::model::MonoNs;
use crate::model::incident::{Action, Incident, IncidentCode, Severity};
use crate::model::snapshot::{Alert, AlertCounts, AlertState};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many alerts are kept (R-ALR-1).
pub const KEPT: usize = 100;
/// Critical ones that nobody has acknowledged are kept beyond [`KEPT`]. There are as many as sources times codes, and
/// as damaged files; this is for a disk that damages all of them, and for a book made by somebody else.
const KEPT_AT_MOST: usize = 1000;
/// Causes told and not yet passed on; [`Alerts::take_raised`] empties it with every event.
const RAISED: usize = 1000;

/// What is said of a trouble that goes on is made new no more often than this: numbers change with every look.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// What is so for good once it was found.
const LASTING: [IncidentCode; 2] = [IncidentCode::FileDamaged, IncidentCode::ProofFailed];
/// Which parameters tell one of them from another.
const WHICH: [&str; 2] = ["file", "session"];

/// A cause that has come (again), for the log, the hook and the error rates.
#[derive(Debug, Clone, PartialEq)]
pub struct Raised {
    /// Where.
    pub source: String,
    /// What.
    pub incident: Incident,
    /// It did not go on already.
    pub fresh: bool,
}

/// Every alert kept, newest first.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    list: Vec<Alert>,
    next_id: u64,
    /// Alerts changed since they were last published.
    changed: Vec<u64>,
    raised: Vec<Raised>,
    /// When what is said of each was made new last.
    said: BTreeMap<u64, MonoNs>,
}

impl Alerts {
    /// The list an earlier engine left.
    pub fn restore(mut list: Vec<Alert>) -> Self {
        list.iter_mut().for_each(offer);
        let next_id = list.iter().map(|alert| alert.id).max().unwrap_or(0);
        Self { list, next_id, ..Self::default() }
    }

    /// Nothing is known of any cause any more: what still goes on will be told anew. Only a damaged file stays one.
    pub fn forget_causes(&mut self, now: Now) {
        let over = |alert: &&mut Alert| alert.state == AlertState::Active && !lasts(&alert.code);
        for alert in self.list.iter_mut().filter(over) {
            end(alert, now);
            self.changed.push(alert.id);
        }
    }

    /// Takes in the list an earlier engine left, behind what has come since; its causes are not known any more.
    pub fn recall(&mut self, now: Now, list: Vec<Alert>) {
        let mut earlier = Self::restore(list);
        earlier.forget_causes(now);
        let known = |alert: &Alert| self.list.iter().any(|ours| is_of(ours, &alert.source, &alert.code, &alert.params));
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

    /// How many are active, and how many nobody has acknowledged.
    pub fn counts(&self) -> AlertCounts {
        let unseen = self.list.iter().filter(|alert| !alert.acknowledged).count();
        let mut counts =
            AlertCounts { unacknowledged: u32::try_from(unseen).unwrap_or(u32::MAX), ..AlertCounts::default() };
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
        let known = self.list.iter().position(|alert| is_of(alert, source, code, &incident.params));
        let folded = known.map(|place| self.list.remove(place));
        let goes_on = folded.as_ref().is_some_and(|alert| alert.state == AlertState::Active);
        let (id, at, count, acknowledged) = match folded {
            Some(alert) => (alert.id, alert.at, alert.count.saturating_add(1), alert.acknowledged && goes_on),
            None => {
                self.next_id += 1;
                (self.next_id, now.at, 1, false)
            }
        };
        let mut alert = Alert {
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
            acknowledged,
            actions: Vec::new(),
        };
        offer(&mut alert);
        self.list.insert(0, alert);
        self.said.insert(id, now.mono);
        self.mark(id);
        if self.raised.len() < RAISED {
            self.raised.push(Raised { source: source.to_owned(), incident: incident.clone(), fresh: !goes_on });
        }
        self.shorten();
    }

    /// The cause of `incident` at `source` goes on: raised once and not counted again, but what is said of it stays true
    /// (R-ALR-2).
    pub fn keep(&mut self, now: Now, source: &str, incident: &Incident) {
        let same = |alert: &Alert| is_of(alert, source, incident.code.as_str(), &incident.params);
        let known = self.list.iter_mut().find(|alert| same(alert) && alert.state == AlertState::Active);
        let Some(alert) = known else { return self.raise(now, source, incident) };
        if alert.params == incident.params {
            return;
        }
        let due = self.said.get(&alert.id).is_none_or(|said| now.mono.since(*said) >= RENEW_EVERY);
        if !due {
            return;
        }
        alert.params.clone_from(&incident.params);
        alert.message = incident.message();
        let id = alert.id;
        self.said.insert(id, now.mono);
        self.mark(id);
    }

    /// The cause of `code` at `source` has gone.
    pub fn resolve(&mut self, now: Now, source: &str, code: &str) {
        let active =
            |alert: &&mut Alert| alert.source == source && alert.code == code && alert.state == AlertState::Active;
        if let Some(alert) = self.list.iter_mut().find(active) {
            end(alert, now);
            let id = alert.id;
            self.mark(id);
        }
    }

    /// The operator has seen alert `id`; `None` = there is none. Doing it again changes nothing.
    pub fn acknowledge(&mut self, id: u64) -> Option<Alert> {
        let alert = self.list.iter_mut().find(|alert| alert.id == id)?;
        if !std::mem::replace(&mut alert.acknowledged, true) {
            offer(alert);
            self.mark(id);
        }
        self.list.iter().find(|alert| alert.id == id).cloned()
    }

    /// The causes that have come since the last call, oldest first.
    pub fn take_raised(&mut self) -> Vec<Raised> {
        std::mem::take(&mut self.raised)
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
            // The oldest of those that matter least.
            let least = self.list.iter().enumerate().rev().min_by_key(|(_, alert)| weight(alert));
            let Some((place, alert)) = least else { return };
            if weight(alert) == Weight::Unseen && self.list.len() <= KEPT_AT_MOST {
                return;
            }
            let gone = self.list.remove(place);
            self.said.remove(&gone.id);
        }
    }
}

fn lasts(code: &str) -> bool {
    LASTING.iter().any(|lasting| lasting.as_str() == code)
}

/// Whether `alert` is about the cause of `code` at `source`, and of the same file if it is one that lasts.
fn is_of(alert: &Alert, source: &str, code: &str, params: &BTreeMap<String, String>) -> bool {
    let same_file = || WHICH.iter().all(|which| alert.params.get(*which) == params.get(*which));
    alert.source == source && alert.code == code && (!lasts(code) || same_file())
}

/// What goes first when the list is full, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Over, and seen.
    Settled,
    /// Over.
    Over,
    /// Goes on.
    GoesOn,
    /// Goes on, and is critical.
    Critical,
    /// Critical, and nobody has acknowledged it.
    Unseen,
}

fn weight(alert: &Alert) -> Weight {
    match (alert.severity, alert.state, alert.acknowledged) {
        (Severity::Critical, _, false) => Weight::Unseen,
        (_, AlertState::Resolved, true) => Weight::Settled,
        (_, AlertState::Resolved, false) => Weight::Over,
        (Severity::Critical, AlertState::Active, true) => Weight::Critical,
        (_, AlertState::Active, _) => Weight::GoesOn,
    }
}

fn end(alert: &mut Alert, now: Now) {
    alert.state = AlertState::Resolved;
    alert.resolved_at = Some(now.at);
    offer(alert);
}

/// The buttons that make sense now.
fn offer(alert: &mut Alert) {
    let code = IncidentCode::ALL.into_iter().find(|code| code.as_str() == alert.code);
    let active = alert.state == AlertState::Active;
    let remedies = code.map(IncidentCode::remedies).unwrap_or_default().iter().copied();
    let useful = remedies.filter(|action| active || !action.is_about_the_cause());
    let seen = (!alert.acknowledged).then_some(Action::Acknowledge);
    alert.actions = useful.chain(seen).map(|action| action.as_str().to_owned()).collect();
}

#[cfg(test)]
#[path = "alerts_tests.rs"]
mod tests;
