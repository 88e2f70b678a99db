//! What a worker tells twice, by a report and by a fact that comes later: once told, and over when it is over.

use super::*;
use crate::model::session::{PartEnd, PartRecord};
use crate::model::snapshot::AlertState;

impl Bench {
    pub(super) fn reports(
        &mut self,
        session: SessionId,
        state: RecordingState,
        active: &[IncidentCode],
    ) -> Vec<Effect> {
        let mut report = status(Some(session), state, 500);
        report.active = active.iter().map(|code| Incident::new(*code)).collect();
        let link = self.last_link("a");
        self.feed(Event::Status { input: id("a"), link, status: Box::new(report) })
    }

    pub(super) fn incident_fact(&mut self, session: SessionId, code: IncidentCode) -> Vec<Effect> {
        let fact = Fact { n: 4, kind: FactKind::Incident(Incident::new(code)) };
        self.feed(Event::Fact { input: id("a"), session, t_ns: 0, fact })
    }

    /// State and count of the alert about `code` at input `a`.
    pub(super) fn told(&self, code: IncidentCode) -> Option<(AlertState, u64)> {
        let ours = |alert: &&crate::model::snapshot::Alert| alert.source == "a" && alert.code == code.as_str();
        self.state.alerts.list().iter().find(ours).map(|alert| (alert.state, u64::from(alert.count)))
    }
}

fn alarms(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Alarm { .. })).count()
}

/// A disk that holds facts up lets them through when its trouble is over.
#[test]
fn a_fact_that_comes_behind_the_end_of_its_cause_brings_nothing_back() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    assert_eq!(alarms(&bench.reports(session, RecordingState::Recording, &[IncidentCode::DiskFull])), 1);
    bench.reports(session, RecordingState::Recording, &[]);
    let effects = bench.incident_fact(session, IncidentCode::DiskFull);
    assert_eq!(alarms(&effects), 0, "the operator was told");
    assert_eq!(bench.told(IncidentCode::DiskFull), Some((AlertState::Resolved, 1)));
    // Trouble that comes back is trouble again.
    assert_eq!(alarms(&bench.reports(session, RecordingState::Recording, &[IncidentCode::DiskFull])), 1);
    assert_eq!(bench.told(IncidentCode::DiskFull), Some((AlertState::Active, 2)));
}

/// Shorter than the time between two reports that reach the engine: only its fact tells of it.
#[test]
fn a_cause_that_no_report_has_listed_is_told_once_and_is_over() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.reports(session, RecordingState::Recording, &[]);
    let effects = bench.incident_fact(session, IncidentCode::RecordingStalled);
    assert_eq!(alarms(&effects), 1);
    assert_eq!(bench.told(IncidentCode::RecordingStalled), Some((AlertState::Resolved, 1)));
    bench.reports(session, RecordingState::Recording, &[]);
    assert_eq!(bench.told(IncidentCode::RecordingStalled), Some((AlertState::Resolved, 1)));
}

/// Before the first report of a worker its facts are all there is; the first report ends what it does not list.
#[test]
fn a_fact_ahead_of_all_reports_stands_until_a_report_knows_better() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.incident_fact(session, IncidentCode::NoSignal);
    bench.incident_fact(session, IncidentCode::AudioLost);
    assert_eq!(bench.told(IncidentCode::NoSignal), Some((AlertState::Active, 1)));
    bench.reports(session, RecordingState::Recording, &[IncidentCode::AudioLost]);
    assert_eq!(bench.told(IncidentCode::NoSignal), Some((AlertState::Resolved, 1)));
    assert_eq!(bench.told(IncidentCode::AudioLost), Some((AlertState::Active, 1)));
}

/// A link that breaks is not the end of a trouble, and whoever has seen it need not see it again.
#[test]
fn what_a_worker_says_again_over_another_link_is_what_was_told() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    let stuck = [IncidentCode::TeardownStuck];
    bench.reports(session, RecordingState::Recording, &stuck);
    let alert = |bench: &Bench| bench.state.alerts.list().iter().find(|alert| alert.source == "a").cloned();
    let seen = alert(&bench).expect("it is told").id;
    bench.ask(|token| Event::Acknowledge { token, alert: seen });
    let relink = |bench: &mut Bench| {
        let link = bench.last_link("a");
        bench.worker("a", WorkerEvent::LinkLost { link });
        let link = bench.last_link("a");
        let hello =
            WorkerEvent::Linked { link, pid: Some(1), started: MonoNs(0), session: Some(session), older: false };
        bench.worker("a", hello);
    };
    relink(&mut bench);
    bench.reports(session, RecordingState::Recording, &stuck);
    let now = alert(&bench).expect("it goes on");
    assert_eq!((now.state, now.count, now.acknowledged), (AlertState::Active, 1, true));
    relink(&mut bench);
    bench.reports(session, RecordingState::Recording, &[]);
    assert!(!bench.is_told("a", "teardown_stuck"), "it is over");
}

/// What a worker said of the disk ends with its recording; that it ended for that stays known.
#[test]
fn a_session_that_ended_for_want_of_room_is_known_by_what_its_worker_said_while_it_recorded() {
    let end = |reports: &[&[IncidentCode]], end: PartEnd| {
        let mut bench = Bench::ready(&["a"]);
        let session = bench.record("k");
        for active in reports {
            bench.reports(session, RecordingState::Recording, active);
        }
        bench.reports(session, RecordingState::Failed, &[]);
        // It comes late.
        bench.incident_fact(session, IncidentCode::SyncFailed);
        let record = PartRecord { end, ..closed_part() };
        let fact = Fact { n: 8, kind: FactKind::PartClosed(record) };
        bench.feed(Event::Fact { input: id("a"), session, t_ns: 0, fact });
        closes(&bench.done_fact("a", session))
    };
    let full = [IncidentCode::DiskFull];
    assert_eq!(end(&[&full], PartEnd::Completed), Some(Closed::Completed));
    assert_eq!(end(&[&[]], PartEnd::DiskFull), Some(Closed::Completed), "no report got through");
    assert_eq!(end(&[&full, &[]], PartEnd::Completed), Some(Closed::Failed), "there was room again");
}

fn closed_part() -> PartRecord {
    PartRecord {
        offset_ns: Some(0),
        ..PartRecord::new(1, "a.mp4", crate::model::encoding::Container::Mp4, PartEnd::Completed)
    }
}
