//! The list of alerts. Pure.
//!
//! Contract: repeats of one code at one source fold into one alert with a count; a cause that has gone leaves the
//! alert resolved; an alert stays until it was acknowledged, as far as the last [`KEPT`] reach, and a critical one that
//! nobody has acknowledged is never dropped. Acknowledged means: this trouble was seen. Repeats while it
//! goes on leave that so; trouble that comes back is new, and wants to be seen again. A damaged file stays damaged: its
//! cause never goes, so each such file is an alert of its own, and the next one is new ([`LASTING`]). When [`KEPT`]
//! critical alerts wait to be seen, the next such file has none: the newest of its source and code says how many more
//! there are, and is counted as so many. So the list is bounded by what an engine took over, or [`KEPT`], and one for each
//! source and code.

use super::event::Now;
use crate::model::MonoNs;
use crate::model::incident::{Action, Incident, IncidentCode, Severity};
use crate::model::snapshot::alert::{KEPT, shorten};
use crate::model::snapshot::{Alert, AlertCounts, AlertState};
use std::collections::BTreeMap;
use std::time::Duration;

/// Critical alerts that wait to be seen and are taken over from an earlier engine, each by itself: of inputs that are gone
/// as well, and of a book made by somebody else.
const TAKEN_OVER: usize = 1000;
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
        crowd(&mut list);
        shorten(&mut list);
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
        crowd(&mut self.list);
        shorten(&mut self.list);
    }

    /// Every alert, newest first.
    pub fn list(&self) -> &[Alert] {
        &self.list
    }

    /// How many are active, and how many nobody has acknowledged, also those that have no place of their own.
    pub fn counts(&self) -> AlertCounts {
        let mut counts = AlertCounts::default();
        for alert in &self.list {
            let add = |count: &mut u32| *count = count.saturating_add(alert.more).saturating_add(1);
            match alert.severity {
                _ if alert.state != AlertState::Active => {}
                Severity::Critical => add(&mut counts.critical),
                Severity::Warning => add(&mut counts.warning),
                Severity::Info => add(&mut counts.info),
            }
            if !alert.acknowledged {
                add(&mut counts.unacknowledged);
            }
        }
        counts
    }

    /// The cause of `incident` at `source` has come (again).
    pub fn raise(&mut self, now: Now, source: &str, incident: &Incident) {
        let code = incident.code.as_str();
        let known = self.list.iter().position(|alert| is_of(alert, source, code, &incident.params));
        let critical = incident.code.severity() == Severity::Critical;
        let joined = if known.is_none() && critical { self.stand_in(source, code) } else { None };
        let earlier = known.or(joined).map(|place| self.list.remove(place));
        let goes_on = joined.is_none() && earlier.as_ref().is_some_and(|alert| alert.state == AlertState::Active);
        let mut alert = match earlier {
            Some(alert) => Alert { count: alert.count.saturating_add(1), ..alert },
            None => {
                self.next_id += 1;
                first(self.next_id, now, source, incident)
            }
        };
        match joined {
            Some(_) => alert.more = alert.more.saturating_add(1),
            // Of a repeat, the last is told.
            None => alert.params.clone_from(&incident.params),
        }
        alert.acknowledged &= goes_on;
        (alert.state, alert.resolved_at, alert.last_at) = (AlertState::Active, None, Some(now.at));
        say(&mut alert);
        offer(&mut alert);
        let id = alert.id;
        self.list.insert(0, alert);
        self.said.insert(id, now.mono);
        self.mark(id);
        if self.raised.len() < RAISED {
            self.raised.push(Raised { source: source.to_owned(), incident: incident.clone(), fresh: !goes_on });
        }
        shorten(&mut self.list);
        if self.said.len() > self.list.len() {
            self.said.retain(|id, _| self.list.iter().any(|alert| alert.id == *id));
        }
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
        say(alert);
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

    /// Another cause of this kind has no alert of its own any more: the place of the one that stands for it.
    fn stand_in(&self, source: &str, code: &str) -> Option<usize> {
        let full = self.list.iter().filter(|alert| alert.is_unseen()).count() >= KEPT;
        let place = || self.list.iter().position(|a| a.is_unseen() && a.source == source && a.code == code);
        full.then(place).flatten()
    }
}

/// Of a list that somebody has left, whatever it holds, so much is taken over: the oldest critical alerts that nobody has
/// acknowledged join a newer one of their code, or else the newest of all.
fn crowd(list: &mut Vec<Alert>) {
    let mut unseen = list.iter().filter(|alert| alert.is_unseen()).count();
    while unseen > TAKEN_OVER
        && let Some(oldest) = list.iter().rposition(Alert::is_unseen)
    {
        let alert = list.remove(oldest);
        let newer = list.iter().position(|a| a.is_unseen() && a.code == alert.code);
        if let Some(place) = newer.or_else(|| list.iter().position(Alert::is_unseen)) {
            let stands = &mut list[place];
            stands.count = stands.count.saturating_add(alert.count);
            stands.more = stands.more.saturating_add(alert.more).saturating_add(1);
            say(stands);
        }
        unseen -= 1;
    }
}

/// Its words, with how many more it stands for. A code of another build keeps what that build has said.
fn say(alert: &mut Alert) {
    if let Some(code) = IncidentCode::ALL.into_iter().find(|code| code.as_str() == alert.code) {
        alert.message = Incident { code, params: alert.params.clone() }.message_of(alert.more);
    }
}

/// The alert of a cause that comes for the first time.
fn first(id: u64, now: Now, source: &str, incident: &Incident) -> Alert {
    Alert {
        id,
        seq: 0,
        at: now.at,
        last_at: None,
        severity: incident.code.severity(),
        source: source.to_owned(),
        code: incident.code.as_str().to_owned(),
        params: BTreeMap::new(),
        message: String::new(),
        count: 1,
        more: 0,
        state: AlertState::Active,
        resolved_at: None,
        acknowledged: false,
        actions: Vec::new(),
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
