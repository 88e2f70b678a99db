//! Which critical alerts are told aloud: by sound, to the desktop, to a screen reader. Pure.
//!
//! Contract: each once, and anew only when somebody had acknowledged it before it came back; nothing that was there
//! before this window was (R-ALR-7).

use crate::model::incident::Severity;
use crate::model::snapshot::Alert;
use std::collections::BTreeSet;

/// An alert as it is known again: numbers are the library's, and an engine that could not read it counts from the begin.
type Name = (u64, String, String);

/// What was told.
#[derive(Debug, Default)]
pub struct News {
    told: BTreeSet<Name>,
    begun: bool,
}

/// What is to be done now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Alerts to be told.
    pub tell: Vec<u64>,
    /// Alerts that were told and need not be any more: somebody has seen them.
    pub withdraw: Vec<u64>,
}

impl News {
    /// Takes in every alert there is. `before` is the number of the first whole state this window heard, once it has heard
    /// the list as well: what is no younger is old.
    pub fn hear(&mut self, alerts: &[Alert], before: Option<u64>) -> Told {
        let Some(before) = before else { return Told::default() };
        let waits = |alert: &&Alert| alert.severity == Severity::Critical && !alert.acknowledged;
        let waiting: BTreeSet<Name> = alerts.iter().filter(waits).map(name).collect();
        if !std::mem::replace(&mut self.begun, true) {
            self.told = alerts.iter().filter(waits).filter(|alert| alert.seq <= before).map(name).collect();
        }
        let withdraw = self.told.difference(&waiting).map(|(id, ..)| *id).collect();
        self.told.retain(|known| waiting.contains(known));
        // The oldest first.
        let fresh = alerts.iter().rev().filter(|alert| waits(alert) && !self.told.contains(&name(alert)));
        let tell = fresh.map(|alert| alert.id).collect();
        self.told = waiting;
        Told { tell, withdraw }
    }
}

fn name(alert: &Alert) -> Name {
    (alert.id, alert.source.clone(), alert.code.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::AlertState;
    use crate::ui::desk::tests::alert;

    fn critical(id: u64, seq: u64) -> Alert {
        Alert { seq, ..alert(id, Severity::Critical, AlertState::Active) }
    }

    #[test]
    fn each_is_told_once_and_what_was_there_before_the_window_is_not() {
        let mut news = News::default();
        assert_eq!(news.hear(&[critical(9, 50)], None), Told::default(), "the list has not come yet");
        let mut list =
            vec![critical(3, 60), critical(2, 40), critical(1, 30), alert(4, Severity::Warning, AlertState::Active)];
        assert_eq!(news.hear(&list, Some(45)).tell, [3], "it came between the state and the list");
        // It goes on, and more is said of it; it is over; it comes back, and nobody has seen it yet.
        for (seq, state) in [(70, AlertState::Active), (71, AlertState::Resolved), (72, AlertState::Active)] {
            list[1] = Alert { seq, state, ..critical(2, seq) };
            assert_eq!(news.hear(&list, Some(45)), Told::default());
        }
        list[1].acknowledged = true;
        assert_eq!(news.hear(&list, Some(45)), Told { tell: vec![], withdraw: vec![2] });
        list[1] = critical(2, 80);
        list.insert(0, critical(5, 81));
        assert_eq!(news.hear(&list, Some(45)).tell, [2, 5], "it was seen, and has come back");
    }

    #[test]
    fn what_has_left_the_list_is_forgotten() {
        let mut news = News::default();
        news.hear(&[], Some(0));
        assert_eq!(news.hear(&[critical(1, 1)], Some(0)).tell, [1]);
        assert_eq!(news.hear(&[], Some(0)).withdraw, [1]);
        assert!(news.told.is_empty());
    }
}
