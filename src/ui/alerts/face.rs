//! What a card of the sidebar says, and what the badge counts, worked out from the alerts. Pure; DESK "Alerts".

use crate::model::InputId;
use crate::model::incident::{Action, Severity};
use crate::model::snapshot::{Alert, AlertState};
use crate::ui::format;
use crate::ui::l10n::{gettext, ngettext};
use crate::ui::words::{self, Said};
use jiff::Zoned;
use jiff::tz::TimeZone;

/// At most so many buttons per card (DESK).
const BUTTONS: usize = 2;

/// What a button asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Try an input again at once.
    Retry(InputId),
    /// Give a stuck operation up.
    CleanUp(u64),
    /// Show the folder of the recordings, or that of one session.
    OpenFolder(Option<String>),
    /// Show an input.
    ShowInput(InputId),
    /// These were seen.
    Acknowledge(Vec<u64>),
}

/// Everything a card shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardFace {
    /// The alert.
    pub id: u64,
    /// How bad.
    pub severity: Severity,
    /// Nobody has acknowledged it.
    pub fresh: bool,
    /// `20:31:07`, with the date if that is not today's.
    pub time: String,
    /// By the name the operator knows.
    pub source: String,
    /// `×3`.
    pub count: Option<String>,
    /// Line by line.
    pub said: Said,
    /// `back after 14 s`.
    pub over: Option<String>,
    /// What can be done about it, then that it was seen.
    pub buttons: Vec<Ask>,
}

impl CardFace {
    /// The card of `alert`; `inputs` are the inputs' names.
    pub fn new(alert: &Alert, inputs: &[(InputId, String)], now: &Zoned) -> Self {
        let input = inputs.iter().find(|(id, _)| id.as_str() == alert.source);
        let came = alert.came_at().to_zoned(now.time_zone().clone());
        let today = came.date() == now.date();
        Self {
            id: alert.id,
            severity: alert.severity,
            fresh: !alert.acknowledged,
            time: came.strftime(if today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" }).to_string(),
            source: input.map_or_else(|| source_name(&alert.source), |(_, name)| name.clone()),
            count: (alert.count > 1).then(|| format!("×{}", alert.count)),
            said: words::alert(alert),
            over: (alert.state == AlertState::Resolved).then(|| over(alert, input.is_some())),
            buttons: buttons(alert, input.map(|(id, _)| id)),
        }
    }

    /// Its icon.
    pub fn icon(&self) -> &'static str {
        icon(self.severity)
    }

    /// Its style class.
    pub fn class(&self) -> &'static str {
        match self.severity {
            Severity::Critical => "is-critical",
            Severity::Warning => "is-warning",
            Severity::Info => "is-notice",
        }
    }

    /// Everything, for somebody who does not see it.
    pub fn spoken(&self) -> String {
        let seen = if self.fresh { String::new() } else { gettext("acknowledged") };
        let lead = [severity_word(self.severity), self.source.clone(), self.time.clone()];
        let lead = lead.into_iter().chain(self.count.clone()).chain([seen]).filter(|word| !word.is_empty());
        let said = [&self.said.happened, &self.said.done, &self.said.remedy, &self.said.more];
        let said = said.into_iter().filter(|line| !line.is_empty()).cloned();
        let over = self.over.iter().map(|over| format!("{over}."));
        [lead.collect::<Vec<_>>().join(", ") + "."].into_iter().chain(said).chain(over).collect::<Vec<_>>().join(" ")
    }
}

/// The icon of a severity.
pub fn icon(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "dialog-error-symbolic",
        Severity::Warning => "dialog-warning-symbolic",
        Severity::Info => "dialog-information-symbolic",
    }
}

fn severity_word(severity: Severity) -> String {
    match severity {
        Severity::Critical => gettext("Critical"),
        Severity::Warning => gettext("Warning"),
        Severity::Info => gettext("Notice"),
    }
}

/// What is no input, as an operator calls it.
fn source_name(source: &str) -> String {
    match source {
        "storage" => gettext("Storage"),
        "engine" => gettext("Recorder"),
        "machine" => gettext("Machine"),
        "api" => gettext("Remote control"),
        // An input that is not configured any more.
        other => other.to_owned(),
    }
}

/// How long it went on; the calendar may have been moved meanwhile, and then nobody knows.
fn over(alert: &Alert, input: bool) -> String {
    let seconds = alert.resolved_at.map(|at| at.as_second() - alert.came_at().as_second());
    let template = match seconds {
        Some(0..) if input => gettext("back after {time}"),
        Some(0..) => gettext("over after {time}"),
        _ => return gettext("over"),
    };
    let took = seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    format::fill(&template, &[("time", &format::time_left(took))])
}

/// What the engine offers, as far as this version knows how.
fn buttons(alert: &Alert, input: Option<&InputId>) -> Vec<Ask> {
    let known = |word: &String| Action::ALL.into_iter().find(|action| action.as_str() == word);
    let ask = |action| match action {
        Action::Retry => input.cloned().map(Ask::Retry),
        Action::ShowInput => input.cloned().map(Ask::ShowInput),
        Action::Cleanup => alert.params.get("id").and_then(|id| id.parse().ok()).map(Ask::CleanUp),
        // A file says in which folder it lies; the name of a session does not.
        Action::OpenFolder => Some(Ask::OpenFolder(alert.params.get("file").and(alert.params.get("session")).cloned())),
        Action::Acknowledge => Some(Ask::Acknowledge(vec![alert.id])),
    };
    let (seen, remedies): (Vec<_>, Vec<_>) =
        alert.actions.iter().filter_map(known).filter_map(ask).partition(|ask| matches!(ask, Ask::Acknowledge(_)));
    remedies.into_iter().take(BUTTONS - seen.len().min(1)).chain(seen).collect()
}

impl Ask {
    /// The words on the button.
    pub fn label(&self) -> String {
        match self {
            Ask::Retry(_) => gettext("Retry now"),
            Ask::CleanUp(_) => gettext("Clean up"),
            Ask::OpenFolder(_) => gettext("Open folder"),
            Ask::ShowInput(_) => gettext("Show input"),
            Ask::Acknowledge(_) => gettext("Acknowledge"),
        }
    }
}

/// How many alerts nobody has acknowledged, also those whose cause has gone (R-ALR-1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Critical ones.
    pub critical: u32,
    /// Warnings.
    pub warning: u32,
    /// Notices.
    pub info: u32,
}

impl Unseen {
    /// Counts them, also those that have no card of their own.
    pub fn of(alerts: &[Alert]) -> Self {
        let mut unseen = Self::default();
        for alert in alerts.iter().filter(|alert| !alert.acknowledged) {
            let count = unseen.of_mut(alert.severity);
            *count = count.saturating_add(alert.more).saturating_add(1);
        }
        unseen
    }

    fn of_mut(&mut self, severity: Severity) -> &mut u32 {
        match severity {
            Severity::Critical => &mut self.critical,
            Severity::Warning => &mut self.warning,
            Severity::Info => &mut self.info,
        }
    }

    /// The counts, worst first.
    pub fn ranked(&self) -> [(Severity, u32); 3] {
        [(Severity::Critical, self.critical), (Severity::Warning, self.warning), (Severity::Info, self.info)]
    }

    /// `Alerts: 1 critical, 2 warnings`.
    pub fn spoken(&self) -> String {
        let counted = |(severity, n): (Severity, u32)| {
            let template = match severity {
                Severity::Critical => ngettext("{n} critical", "{n} critical", n),
                Severity::Warning => ngettext("{n} warning", "{n} warnings", n),
                Severity::Info => ngettext("{n} notice", "{n} notices", n),
            };
            format::fill(&template, &[("n", &n.to_string())])
        };
        let counts: Vec<_> = self.ranked().into_iter().filter(|(_, n)| *n > 0).map(counted).collect();
        if counts.is_empty() {
            return gettext("Alerts: nothing new");
        }
        format::fill(&gettext("Alerts: {counts}"), &[("counts", &counts.join(", "))])
    }
}

/// The wall clock in the operator's time zone.
pub fn local_now() -> Zoned {
    crate::sys::clock::wall_now().to_zoned(TimeZone::system())
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod raw;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::incident::IncidentCode;
    use crate::ui::desk::tests::alert;
    use jiff::Timestamp;

    fn face(alert: &Alert) -> CardFace {
        let inputs = [("cam1".parse().expect("an id"), "HDMI 3".to_owned())];
        let now = Timestamp::from_second(86_400).expect("in range").to_zoned(TimeZone::UTC);
        CardFace::new(alert, &inputs, &now)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[test]
    fn a_card_says_when_where_how_often_and_what_three_lines() {
        let active = Alert {
            last_at: Some(at(86_400 + 45_067)),
            count: 3,
            actions: vec!["retry".into(), "acknowledge".into()],
            ..alert(7, Severity::Warning, AlertState::Active)
        };
        let shown = face(&active);
        assert_eq!((shown.time.as_str(), shown.source.as_str()), ("12:31:07", "HDMI 3"));
        assert_eq!((shown.count.as_deref(), shown.over.as_deref(), shown.fresh), (Some("×3"), None, true));
        let words = IncidentCode::NoSignal.words();
        let said = Said {
            happened: words.happened.into(),
            done: words.done.into(),
            remedy: words.remedy.into(),
            ..Said::default()
        };
        assert_eq!(shown.said, said);
        let input: InputId = "cam1".parse().expect("an id");
        assert_eq!(shown.buttons, [Ask::Retry(input), Ask::Acknowledge(vec![7])]);
        assert!(shown.spoken().starts_with("Warning, HDMI 3, 12:31:07, ×3. No signal."), "{}", shown.spoken());
    }

    #[test]
    fn what_is_over_says_after_how_long_and_what_the_calendar_cannot_tell_is_not_told() {
        let ended = |seconds: i64, source: &str| {
            let (came, gone) = (Some(at(1000)), Some(at(1000 + seconds)));
            face(&Alert {
                last_at: came,
                resolved_at: gone,
                source: source.to_owned(),
                ..alert(1, Severity::Warning, AlertState::Resolved)
            })
            .over
        };
        assert_eq!(ended(14, "cam1").as_deref(), Some("back after 14 s"));
        assert_eq!(ended(125, "storage").as_deref(), Some("over after 2 min"));
        assert_eq!(ended(-3600, "cam1").as_deref(), Some("over"));
        assert_eq!(
            face(&Alert { last_at: Some(at(0)), ..alert(1, Severity::Info, AlertState::Active) }).time,
            "1970-01-01 00:00"
        );
    }

    #[test]
    fn at_most_two_buttons_and_none_that_nobody_knows() {
        let offered = |actions: &[&str], source: &str| {
            let actions = actions.iter().map(|&word| word.to_owned()).collect();
            face(&Alert { actions, source: source.into(), ..alert(1, Severity::Critical, AlertState::Active) }).buttons
        };
        let seen = Ask::Acknowledge(vec![1]);
        assert_eq!(offered(&["retry", "show_input", "open_folder", "acknowledge"], "cam1").len(), 2);
        assert_eq!(offered(&["from_the_future", "acknowledge"], "cam1"), std::slice::from_ref(&seen));
        // An input that is not configured any more, an operation that is not named.
        assert_eq!(offered(&["retry", "cleanup", "acknowledge"], "gone"), [seen]);
        assert_eq!(offered(&["open_folder"], "storage"), [Ask::OpenFolder(None)]);
    }

    /// A critical alert whose cause has gone was counted nowhere, although nobody had seen it.
    #[test]
    fn the_badge_counts_what_nobody_has_seen_also_when_it_is_over() {
        let (active, resolved) = (AlertState::Active, AlertState::Resolved);
        let mut alerts = vec![
            alert(1, Severity::Critical, resolved),
            Alert { more: 4, ..alert(2, Severity::Critical, active) },
            alert(3, Severity::Warning, active),
            Alert { acknowledged: true, ..alert(4, Severity::Critical, active) },
        ];
        let unseen = Unseen::of(&alerts);
        assert_eq!(unseen, Unseen { critical: 6, warning: 1, info: 0 });
        assert_eq!(unseen.spoken(), "Alerts: 6 critical, 1 warning");
        alerts.iter_mut().for_each(|alert| alert.acknowledged = true);
        assert_eq!(Unseen::of(&alerts).spoken(), "Alerts: nothing new");
    }
}
