//! The alert book against the requirements it states, and against random histories.

use super::*;
use crate::model::MonoNs;
use jiff::Timestamp;
use proptest::prelude::*;

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
fn another_damaged_file_is_a_new_alert_and_the_same_one_is_not() {
    for code in [IncidentCode::FileDamaged, IncidentCode::ProofFailed] {
        let damaged = |session: &str, file: &str| Incident::new(code).with("file", file).with("session", session);
        let mut alerts = Alerts::default();
        alerts.raise(now(), "cam1", &damaged("monday", "cam1.mp4"));
        let id = alerts.list()[0].id;
        alerts.acknowledge(id);
        // Found again, in other words.
        alerts.raise(now(), "cam1", &damaged("monday", "cam1.mp4").with("reason", "x"));
        alerts.keep(now(), "cam1", &damaged("monday", "cam1.mp4"));
        assert_eq!((alerts.list().len(), alerts.list()[0].count, alerts.list()[0].acknowledged), (1, 2, true));
        let fresh = |alerts: &mut Alerts| alerts.take_raised().iter().map(|raised| raised.fresh).collect::<Vec<_>>();
        assert_eq!(fresh(&mut alerts), [true, false]);
        alerts.raise(now(), "cam1", &damaged("tuesday", "cam1.mp4"));
        alerts.keep(now(), "cam1", &damaged("tuesday", "cam1_2.mp4"));
        assert_eq!(fresh(&mut alerts), [true, true], "an alarm each");
        assert_eq!((alerts.list().len(), alerts.counts().unacknowledged), (3, 2));
        let first = alerts.list().iter().find(|alert| alert.id == id).expect("it is kept");
        assert_eq!((&first.params["session"], first.acknowledged), (&"monday".into(), true));
        // What an earlier engine left is known by its file, too.
        let mut next = Alerts::default();
        next.raise(now(), "cam1", &damaged("tuesday", "cam1.mp4"));
        next.recall(now(), alerts.list().to_vec());
        assert_eq!(next.list().len(), 3);
    }
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

#[test]
fn what_was_acknowledged_stays_so_while_it_goes_on_and_is_new_when_it_comes_back() {
    let mut alerts = Alerts::default();
    let incident = Incident::new(IncidentCode::WorkerGaveUp);
    alerts.raise(now(), "cam1", &incident);
    assert_eq!(
        (alerts.counts().unacknowledged, &alerts.list()[0].actions[..]),
        (1, &words(&["retry", "acknowledge"])[..])
    );
    let id = alerts.list()[0].id;
    assert_eq!(alerts.acknowledge(id + 1), None);
    alerts.take_changed(&mut 0);
    for _ in 0..2 {
        assert!(alerts.acknowledge(id).is_some_and(|alert| alert.acknowledged && alert.actions == words(&["retry"])));
    }
    assert_eq!(alerts.take_changed(&mut 0).len(), 1, "acknowledging twice changes nothing");
    // It goes on, and was seen.
    alerts.raise(now(), "cam1", &incident);
    assert!(alerts.list()[0].acknowledged && alerts.counts().unacknowledged == 0);
    alerts.resolve(now(), "cam1", "worker_gave_up");
    assert!(alerts.list()[0].actions.is_empty());
    // Over and back again: that was not seen.
    alerts.raise(now(), "cam1", &incident);
    assert!(!alerts.list()[0].acknowledged && alerts.list()[0].count == 3);
    // Latched: gone, but not seen.
    alerts.resolve(now(), "cam1", "worker_gave_up");
    assert_eq!((alerts.counts().critical, alerts.counts().unacknowledged), (0, 1));
    assert_eq!(alerts.list()[0].actions, words(&["acknowledge"]));
}

#[test]
fn a_critical_alert_that_nobody_has_seen_outlives_a_flood_also_when_it_is_over() {
    let mut alerts = Alerts::default();
    alerts.raise(now(), "cam1", &Incident::new(IncidentCode::DiskFull));
    alerts.resolve(now(), "cam1", "disk_full");
    for n in 0..300 {
        alerts.raise(now(), &format!("x{n}"), &Incident::new(IncidentCode::NoSignal));
    }
    assert!(alerts.list().iter().any(|alert| alert.code == "disk_full"));
    let id = alerts.list().iter().find(|alert| alert.code == "disk_full").expect("it is there").id;
    alerts.acknowledge(id);
    alerts.raise(now(), "y", &Incident::new(IncidentCode::NoSignal));
    assert!(alerts.list().iter().all(|alert| alert.code != "disk_full"), "it was seen, and is over");
}

#[test]
fn a_disk_that_damages_everything_is_counted_file_by_file_and_told_in_a_hundred_alerts() {
    let damaged = |n: usize| Incident::new(IncidentCode::FileDamaged).with("file", format!("{n}.mp4"));
    let mut alerts = Alerts::default();
    alerts.raise(now(), "cam2", &damaged(0));
    (0..5000).for_each(|n| alerts.raise(now(), "cam1", &damaged(n)));
    assert_eq!((alerts.list().len(), alerts.counts().unacknowledged, alerts.counts().critical), (KEPT, 5001, 5001));
    assert_eq!(
        alerts.take_raised().iter().filter(|raised| raised.fresh).count(),
        RAISED,
        "each is a line and an alarm"
    );
    // It names the newest that has a name here, and how many it does not name.
    let alert = &alerts.list()[0];
    assert_eq!((alert.params["file"].as_str(), alert.more), ("98.mp4", 4901));
    assert!(alert.message.starts_with("98.mp4 cannot be read.") && alert.message.ends_with("And 4901 more like this."));
    let id = alert.id;
    // Another trouble is not one of them, nor is it lost.
    alerts.raise(now(), "cam1", &Incident::new(IncidentCode::DiskFull));
    alerts.raise(now(), "cam3", &damaged(0));
    assert_eq!((alerts.list().len(), alerts.list()[0].more, alerts.counts().unacknowledged), (KEPT + 2, 0, 5003));
    // The next engine goes on with that.
    let mut alerts = Alerts::restore(alerts.list().to_vec());
    alerts.raise(now(), "cam1", &damaged(98));
    assert_eq!((alerts.list()[0].id, alerts.list()[0].more, alerts.counts().unacknowledged), (id, 4901, 5003));
    // They were seen with the one that stands for them.
    alerts.acknowledge(id);
    assert_eq!(alerts.counts().unacknowledged, 101);
    alerts.raise(now(), "cam1", &damaged(6000));
    assert_ne!(alerts.list()[0].id, id);
    assert_eq!((alerts.list()[0].more, alerts.list().len()), (1, KEPT + 1));
}

#[test]
fn whatever_somebody_has_left_is_taken_over_within_bounds() {
    let mut left = Vec::new();
    for n in 0..3000u64 {
        let incident = Incident::new(if n % 2 == 0 { IncidentCode::DiskFull } else { IncidentCode::WorkerDied });
        let mut alert = first(3000 - n, now(), &format!("gone{n}"), &incident);
        alert.code = if n == 2999 { "from_the_future".to_owned() } else { alert.code };
        left.push(alert);
    }
    let restored = Alerts::restore(left.clone());
    assert_eq!((restored.list().len(), restored.counts().unacknowledged), (TAKEN_OVER, 3000));
    assert_eq!((restored.list()[0].id, restored.list()[0].more > 900), (3000, true));
    let mut recalled = Alerts::default();
    recalled.raise(now(), "cam1", &Incident::new(IncidentCode::DiskFull));
    recalled.recall(now(), left);
    assert_eq!((recalled.list().len(), recalled.counts().unacknowledged), (TAKEN_OVER, 3001));
}

#[test]
fn every_incident_can_be_raised_and_is_told_once_with_its_words_and_how_bad_it_is() {
    let mut alerts = Alerts::default();
    for code in IncidentCode::ALL {
        alerts.raise(now(), "cam1", &Incident::new(code));
        let alert = &alerts.list()[0];
        assert_eq!((alert.code.as_str(), alert.severity), (code.as_str(), code.severity()));
        assert!(alert.message.starts_with(&fill_start(code)) && alert.actions.contains(&"acknowledge".to_owned()));
        let told = alerts.take_raised();
        assert_eq!((told.len(), told[0].incident.code, told[0].fresh), (1, code, true));
        alerts.keep(now(), "cam1", &Incident::new(code));
        assert!(alerts.take_raised().is_empty(), "what goes on is not told again");
        alerts.raise(now(), "cam1", &Incident::new(code));
        assert!(alerts.take_raised().iter().all(|told| !told.fresh));
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

fn fill_start(code: IncidentCode) -> String {
    crate::model::incident::fill(code.words().happened, &Default::default())
}

#[derive(Debug, Clone)]
enum Op {
    Raise(usize, u8),
    Resolve(usize, u8),
    Acknowledge(usize),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let code = || 0..IncidentCode::ALL.len();
    prop_oneof![
        6 => (code(), 0u8..12).prop_map(|(code, source)| Op::Raise(code, source)),
        2 => (code(), 0u8..12).prop_map(|(code, source)| Op::Resolve(code, source)),
        2 => (0usize..200).prop_map(Op::Acknowledge),
        1 => Just(Op::Restart),
    ]
}

proptest! {
    /// Bounded, one alert per cause, and nothing critical is lost unseen (R-ALR-1).
    #[test]
    fn no_history_loses_a_critical_alert_that_nobody_has_seen(ops in prop::collection::vec(op(), 0..300)) {
        let mut alerts = Alerts::default();
        let mut unseen = std::collections::BTreeSet::new();
        for op in ops {
            let raised = matches!(op, Op::Raise(..));
            match op {
                Op::Raise(code, source) => {
                    let (code, source) = (IncidentCode::ALL[code], format!("cam{source}"));
                    let seen = alerts.list().iter().any(|a| {
                        a.source == source && a.code == code.as_str() && a.acknowledged && a.state == AlertState::Active
                    });
                    alerts.raise(now(), &source, &Incident::new(code));
                    if code.severity() == Severity::Critical && !seen {
                        unseen.insert((source, code.as_str()));
                    }
                }
                Op::Resolve(code, source) => {
                    alerts.resolve(now(), &format!("cam{source}"), IncidentCode::ALL[code].as_str());
                }
                Op::Acknowledge(place) => {
                    let Some(alert) = alerts.list().get(place).cloned() else { continue };
                    prop_assert!(alerts.acknowledge(alert.id).is_some());
                    unseen.retain(|(source, code)| (source, *code) != (&alert.source, alert.code.as_str()));
                }
                Op::Restart => {
                    alerts = Alerts::restore(alerts.list().to_vec());
                    alerts.forget_causes(now());
                }
            }
            let causes: std::collections::BTreeSet<_> = alerts.list().iter().map(|a| (&a.source, &a.code)).collect();
            prop_assert_eq!(causes.len(), alerts.list().len());
            let ids: std::collections::BTreeSet<_> = alerts.list().iter().map(|a| a.id).collect();
            prop_assert_eq!(ids.len(), alerts.list().len());
            for (source, code) in &unseen {
                let kept = alerts.list().iter().any(|a| a.source == *source && a.code == *code && !a.acknowledged);
                prop_assert!(kept, "{} of {} was lost", code, source);
            }
            // One that was just acknowledged stays until the next one comes: everybody is to hear of it first.
            let expendable = alerts.list().iter().filter(|a| a.severity != Severity::Critical || a.acknowledged).count();
            prop_assert!(alerts.list().len() <= KEPT || expendable == 0 || !raised);
        }
    }
    /// However many files are damaged and whoever acknowledges what: bounded, and each that nobody has seen is counted.
    #[test]
    fn no_history_of_damaged_files_grows_without_bounds_or_miscounts(ops in prop::collection::vec((0u8..20, 0u8..3, 0usize..200), 0..600)) {
        let (mut alerts, mut unseen, mut number) = (Alerts::default(), 0u32, 0);
        for (op, source, place) in ops {
            match op {
                0 => {
                    if let Some(alert) = alerts.list().get(place).cloned() {
                        unseen -= if alert.acknowledged { 0 } else { alert.more + 1 };
                        alerts.acknowledge(alert.id);
                    }
                }
                1 => {
                    alerts = Alerts::restore(alerts.list().to_vec());
                    alerts.forget_causes(now());
                }
                _ => {
                    number += 1;
                    unseen += 1;
                    let code = LASTING[place % LASTING.len()];
                    let incident = Incident::new(code).with("file", number);
                    alerts.raise(now(), &format!("cam{source}"), &incident);
                    let told = alerts.take_raised();
                    prop_assert!(told.len() == 1 && told[0].fresh);
                }
            }
            prop_assert_eq!(alerts.counts().unacknowledged, unseen);
            prop_assert!(alerts.counts().critical >= unseen);
            prop_assert!(alerts.list().len() <= KEPT + 3 * LASTING.len(), "{}", alerts.list().len());
            let ids: std::collections::BTreeSet<_> = alerts.list().iter().map(|a| a.id).collect();
            prop_assert_eq!(ids.len(), alerts.list().len());
        }
    }
}

#[test]
fn what_is_said_of_a_trouble_that_goes_on_stays_true_without_being_told_again() {
    let mut alerts = Alerts::default();
    let at = |s: u64| Now { mono: MonoNs(s * 1_000_000_000), ..now() };
    let low = |free: &str| Incident::new(IncidentCode::DiskLow).with("free", free).with("used", 90);
    alerts.keep(at(0), "storage", &low("9.9 GB"));
    alerts.take_raised();
    let id = alerts.list()[0].id;
    alerts.acknowledge(id);
    alerts.take_changed(&mut 0);
    // Not with every look.
    alerts.keep(at(5), "storage", &low("9.4 GB"));
    assert!(alerts.take_changed(&mut 0).is_empty());
    alerts.keep(at(12), "storage", &low("1.1 GB"));
    let told = alerts.take_changed(&mut 0);
    assert!(told.len() == 1 && told[0].message.contains("1.1 GB"), "{told:?}");
    assert_eq!((told[0].params["free"].as_str(), told[0].count, told[0].acknowledged), ("1.1 GB", 1, true));
    assert!(alerts.take_raised().is_empty());
    alerts.keep(at(60), "storage", &low("1.1 GB"));
    assert!(alerts.take_changed(&mut 0).is_empty(), "nothing has changed");
}
