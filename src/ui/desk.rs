//! What the window knows: the engine's snapshot and alerts, folded from its events, and whether there is contact.
//! Pure. Everything the window draws is worked out from here and nothing else.

use crate::model::snapshot::alert::shorten;
use crate::model::snapshot::{Alert, InputState, SessionState, Snapshot};
use crate::protocol::event::{Event, fold_alert};
use std::cmp::Reverse;
use std::collections::VecDeque;

/// More alerts than an engine keeps: every one is wanted.
pub(super) const ALERTS_ASKED: usize = 10_000;

/// Load of the processors is remembered for so many heartbeats, one a second.
pub(super) const CPU_BEATS: usize = 20;

/// Whether the engine is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Contact {
    /// Not heard of yet.
    #[default]
    Seeking,
    /// Heard within the last two seconds.
    Here,
    /// Silent for two seconds, or gone (R-TRU-8).
    Lost,
}

/// What the window knows.
#[derive(Debug, Default)]
pub struct Desk {
    /// The last state that was heard; old when there is no contact.
    pub snapshot: Option<Snapshot>,
    /// Whose cause came last first.
    pub alerts: Vec<Alert>,
    /// The engine's own list has been heard.
    pub listed: bool,
    /// Whether it is current.
    pub contact: Contact,
    /// A start was asked for and is not answered yet.
    pub starting: bool,
    /// Number of the last whole state that was heard: alerts above it were heard one by one.
    pub synced: u64,
    /// Busy processors of the machine in percent at the last [`CPU_BEATS`] heartbeats, oldest first; `None` = not known.
    pub cpu: VecDeque<Option<u8>>,
}

impl Desk {
    /// Folds one message in; hearing anything is contact.
    pub fn hear(&mut self, event: &Event) {
        if std::mem::replace(&mut self.contact, Contact::Here) != Contact::Here {
            // What lies before a silence does not stand beside what is now.
            self.cpu.clear();
        }
        event.fold(&mut self.snapshot);
        match event {
            Event::Sync { seq, .. } => {
                self.synced = *seq;
                // Of an engine that counted further than this one.
                self.alerts.retain(|alert| alert.seq <= *seq);
            }
            Event::Alert { data, .. } => {
                fold_alert(&mut self.alerts, data);
                // As the engine does.
                shorten(&mut self.alerts);
            }
            Event::Heartbeat { .. } => {
                if self.cpu.len() >= CPU_BEATS {
                    self.cpu.pop_front();
                }
                self.cpu.push_back(self.snapshot.as_ref().and_then(|snapshot| snapshot.level.cpu_percent));
            }
            Event::Input { .. }
            | Event::Session { .. }
            | Event::LastSession { .. }
            | Event::Storage { .. }
            | Event::Level { .. }
            | Event::Service { .. }
            | Event::Priority { .. }
            | Event::Alerts { .. }
            | Event::Sample { .. } => {}
        }
    }

    /// Takes in the list the engine was asked for after it had told its whole state. What was heard since then may be
    /// newer than the list.
    pub fn take_alerts(&mut self, list: Vec<Alert>) {
        let heard = std::mem::replace(&mut self.alerts, list);
        for alert in heard.iter().rev().filter(|alert| alert.seq > self.synced) {
            if self.alerts.iter().find(|listed| listed.id == alert.id).is_none_or(|listed| listed.seq < alert.seq) {
                fold_alert(&mut self.alerts, alert);
            }
        }
        shorten(&mut self.alerts);
        self.listed = true;
    }

    /// Whether what is known is current.
    pub fn is_current(&self) -> bool {
        self.contact == Contact::Here && self.snapshot.is_some()
    }

    /// Whether the alerts that are known are all there are.
    pub fn knows_alerts(&self) -> bool {
        self.listed && self.is_current()
    }

    /// State of the running session.
    pub fn session_state(&self) -> Option<SessionState> {
        Some(self.snapshot.as_ref()?.session.as_ref()?.state)
    }

    /// How far the proof of the last session is, in percent; `None` = none runs.
    pub fn proof_percent(&self) -> Option<u8> {
        self.snapshot.as_ref()?.last_session.as_ref()?.proof_percent
    }

    /// Whether something is being recorded, as far as is known; also when contact was lost meanwhile.
    pub fn is_recording(&self) -> bool {
        self.snapshot.as_ref().is_some_and(Snapshot::is_running)
    }

    /// Armed inputs, and those of them that deliver pictures.
    pub fn armed_and_live(&self) -> (usize, usize) {
        let armed = self.snapshot.iter().flat_map(|s| &s.inputs).filter(|input| input.armed);
        let (all, live): (Vec<_>, Vec<_>) = armed.map(|i| (i, i.state == InputState::Live)).unzip();
        (all.len(), live.into_iter().filter(|&live| live).count())
    }

    /// Alerts in the order of R-ALR-1: critical first, then newest. What was seen stands behind what was not, and what is
    /// settled last.
    pub fn alerts_by_weight(&self) -> Vec<&Alert> {
        let mut alerts: Vec<_> = self.alerts.iter().collect();
        alerts.sort_by_key(|a| (a.is_settled(), Reverse(a.severity), a.acknowledged));
        alerts
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::incident::Severity;
    use crate::model::snapshot::*;
    use jiff::Timestamp;

    /// An input in a state, with everything else quiet.
    pub fn input(id: &str, state: InputState) -> InputView {
        InputView {
            id: id.parse().expect("an id"),
            name: "HDMI 1".to_owned(),
            kind: "test".to_owned(),
            state,
            since: None,
            recording_since: None,
            detail: None,
            detail_code: None,
            detail_params: Default::default(),
            armed: true,
            importance: 0,
            health: Health { verdict: HealthVerdict::Healthy, reasons: Vec::new() },
            retry: RetryView { state: RetryState::Idle, attempt: 0, max: None, next_in_ms: None, error_class: None },
            signal: Some(Signal { width: 1920, height: 1080, fps: Some(30.0) }),
            breaker: BreakerState::Closed,
            worker: None,
            preview: PreviewView { state: PreviewState::Live, ..PreviewView::OFF },
            audio: Vec::new(),
            recording: None,
        }
    }

    /// A recording 12 s long.
    pub fn recording(state: RecordingState) -> RecordingView {
        RecordingView {
            state,
            verdict: None,
            part: 1,
            file: Some("cam1.mp4".to_owned()),
            media_ms: Some(12_345),
            safe_ms: Some(11_800),
            bytes: Some(1),
            bytes_per_s: Some(1),
            frames: Frames::default(),
        }
    }

    /// A session in a state.
    pub fn session(state: SessionState) -> SessionView {
        SessionView {
            id: crate::model::SessionId(uuid::Uuid::nil()),
            name: "keynote".parse().expect("a name"),
            state,
            started_at: Timestamp::UNIX_EPOCH,
            dir: "/".to_owned(),
            media_ms: Some(751_000),
            safe_ms: Some(750_000),
            open: false,
            markers: Default::default(),
        }
    }

    /// A state with these inputs and no session.
    pub fn snapshot(inputs: Vec<InputView>) -> Snapshot {
        Snapshot {
            version: SNAPSHOT_VERSION,
            seq: 1,
            session: None,
            last_session: None,
            inputs,
            storage: StorageView { path: "/".to_owned(), free_bytes: None, total_bytes: None, seconds_left: None },
            level: LevelView {
                name: LevelName::Normal,
                causes: Vec::new(),
                actions: Vec::new(),
                cpu_percent: Some(20),
            },
            alerts: AlertCounts::default(),
            services: Vec::new(),
            priority: PriorityView::unknown(),
        }
    }

    /// An alert of `cam1` without words.
    pub fn alert(id: u64, severity: Severity, state: AlertState) -> Alert {
        Alert {
            id,
            seq: id,
            at: Timestamp::UNIX_EPOCH,
            last_at: None,
            severity,
            source: "cam1".to_owned(),
            code: "no_signal".to_owned(),
            params: Default::default(),
            message: String::new(),
            count: 1,
            more: 0,
            state,
            resolved_at: None,
            acknowledged: false,
            actions: Vec::new(),
        }
    }

    #[test]
    fn events_before_the_first_state_are_contact_and_nothing_more() {
        let mut desk = Desk::default();
        desk.hear(&Event::Heartbeat { at: Timestamp::UNIX_EPOCH });
        assert_eq!((desk.contact, desk.is_current()), (Contact::Here, false));
        let data = Box::new(snapshot(vec![input("cam1", InputState::Live), input("cam2", InputState::NoSignal)]));
        desk.hear(&Event::Sync { seq: 1, at: Timestamp::UNIX_EPOCH, data });
        assert!(desk.is_current());
        assert_eq!(desk.armed_and_live(), (2, 1));
        let repaired = Box::new(input("cam2", InputState::Live));
        desk.hear(&Event::Input { seq: 2, at: Timestamp::UNIX_EPOCH, data: repaired });
        assert_eq!(desk.armed_and_live(), (2, 2));
    }

    #[test]
    fn the_load_of_the_last_seconds_is_remembered_and_what_was_not_known_is_a_hole() {
        let mut desk = Desk::default();
        let beat = Event::Heartbeat { at: Timestamp::UNIX_EPOCH };
        desk.hear(&beat);
        let data = Box::new(snapshot(Vec::new()));
        desk.hear(&Event::Sync { seq: 1, at: Timestamp::UNIX_EPOCH, data });
        desk.hear(&beat);
        assert_eq!(desk.cpu, [None, Some(20)]);
        (0..100).for_each(|_| desk.hear(&beat));
        assert_eq!((desk.cpu.len(), desk.cpu[0]), (CPU_BEATS, Some(20)));
        desk.contact = Contact::Lost;
        desk.hear(&beat);
        assert_eq!(desk.cpu, [Some(20)], "nobody knows what was meanwhile");
    }

    #[test]
    fn a_list_that_was_asked_for_takes_nothing_back_that_was_heard_meanwhile() {
        let mut desk = Desk::default();
        let (active, resolved) = (AlertState::Active, AlertState::Resolved);
        let numbered = |id, seq, state| Alert { seq, ..alert(id, Severity::Critical, state) };
        let hear = |desk: &mut Desk, alert: Alert| {
            desk.hear(&Event::Alert { seq: alert.seq, at: Timestamp::UNIX_EPOCH, data: Box::new(alert) });
        };
        // Of an engine that is gone.
        hear(&mut desk, numbered(9, 5, active));
        let data = Box::new(Snapshot { seq: 10, ..snapshot(Vec::new()) });
        desk.hear(&Event::Sync { seq: 10, at: Timestamp::UNIX_EPOCH, data });
        // The list is made, and then one alert is resolved and one raised, which are heard before it.
        let list = vec![numbered(2, 8, active), numbered(1, 7, active)];
        hear(&mut desk, numbered(1, 11, resolved));
        hear(&mut desk, numbered(3, 12, active));
        desk.take_alerts(list);
        let known: Vec<_> = desk.alerts.iter().map(|alert| (alert.id, alert.state)).collect();
        assert_eq!(known, [(3, active), (2, active), (1, resolved)]);
        // A list that is newer than what was heard stands.
        desk.take_alerts(vec![numbered(3, 13, resolved)]);
        assert!(desk.alerts.iter().any(|alert| (alert.id, alert.state) == (3, resolved)));
    }

    /// R-ALR-1: the window forgot what the engine still kept.
    #[test]
    fn a_critical_alert_that_nobody_has_seen_is_not_forgotten_for_newer_ones() {
        let mut desk = Desk::default();
        let hear = |desk: &mut Desk, id, severity| {
            let data = Box::new(alert(id, severity, AlertState::Active));
            desk.hear(&Event::Alert { seq: id, at: Timestamp::UNIX_EPOCH, data });
        };
        hear(&mut desk, 1, Severity::Critical);
        (2..200).for_each(|id| hear(&mut desk, id, Severity::Warning));
        let known: Vec<_> = desk.alerts.iter().map(|alert| alert.id).collect();
        assert_eq!((known.len(), known[0], known.contains(&1), known.contains(&2)), (100, 199, true, false));
        let list = (0..150).rev().map(|id| alert(id, Severity::Critical, AlertState::Active)).collect();
        desk.take_alerts(list);
        assert_eq!(desk.alerts.len(), 150);
    }

    #[test]
    fn critical_alerts_stand_first_then_the_newest_and_what_is_settled_last() {
        let mut desk = Desk::default();
        let (active, resolved) = (AlertState::Active, AlertState::Resolved);
        let hear = |desk: &mut Desk, alert: Alert| {
            desk.hear(&Event::Alert { seq: alert.seq, at: Timestamp::UNIX_EPOCH, data: Box::new(alert) });
        };
        for (id, severity, state, acknowledged) in [
            (1, Severity::Critical, resolved, false),
            (2, Severity::Critical, active, false),
            (3, Severity::Info, active, false),
            (4, Severity::Warning, active, true),
            (5, Severity::Warning, active, false),
            (6, Severity::Critical, resolved, true),
        ] {
            hear(&mut desk, Alert { acknowledged, ..alert(id, severity, state) });
        }
        let order = |desk: &Desk| desk.alerts_by_weight().iter().map(|a| a.id).collect::<Vec<_>>();
        assert_eq!(order(&desk), [2, 1, 5, 4, 3, 6]);
        // What is said of one changes nothing; that it came again does.
        hear(&mut desk, Alert { seq: 9, ..alert(1, Severity::Critical, active) });
        assert_eq!(order(&desk), [2, 1, 5, 4, 3, 6]);
        hear(&mut desk, Alert { seq: 10, count: 2, ..alert(1, Severity::Critical, active) });
        assert_eq!(order(&desk), [1, 2, 5, 4, 3, 6]);
    }
}
