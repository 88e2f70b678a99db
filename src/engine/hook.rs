//! The operator's own command for critical alerts (R-ALR-7): one at a time, in the order of the alerts.
//!
//! Contract: nobody waits for it. What does not fit into the queue is not told to it, and a failure is one log line.

use crate::model::MonoNs;
use crate::model::incident::Incident;
use crate::sys::{clock, hook};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Alerts that may wait for it.
const WAITING: usize = 16;

/// A critical alert.
#[derive(Debug)]
struct Alarm {
    source: String,
    incident: Incident,
    told: MonoNs,
}

/// See the module.
#[derive(Debug)]
pub struct Hook {
    alarms: Option<Sender<Alarm>>,
}

impl Hook {
    /// Runs `command` for each alarm, each for at most `limit`; an empty one is none.
    pub fn start(command: Vec<String>, limit: Duration) -> Self {
        if command.is_empty() {
            return Self { alarms: None };
        }
        let (alarms, queue) = channel(WAITING);
        tokio::spawn(serve(queue, command, limit));
        Self { alarms: Some(alarms) }
    }

    /// Something critical has happened.
    pub fn tell(&self, source: &str, incident: &Incident) {
        let Some(alarms) = &self.alarms else { return };
        let alarm = Alarm { source: source.to_owned(), incident: incident.clone(), told: clock::mono_now() };
        if alarms.try_send(alarm).is_err() {
            let code = incident.code.as_str();
            tracing::warn!(source, code, "the command for alerts is too slow; it is not told of this one");
        }
    }
}

async fn serve(mut queue: Receiver<Alarm>, command: Vec<String>, limit: Duration) {
    while let Some(alarm) = queue.recv().await {
        let severity = match serde_json::to_value(alarm.incident.code.severity()) {
            Ok(serde_json::Value::String(word)) => word,
            _ => String::new(),
        };
        let (code, source) = (alarm.incident.code.as_str(), alarm.source.clone());
        let variables = [
            ("HOLDFAST_ALERT_CODE", code.to_owned()),
            ("HOLDFAST_ALERT_SOURCE", alarm.source),
            ("HOLDFAST_ALERT_SEVERITY", severity),
            ("HOLDFAST_ALERT_MESSAGE", alarm.incident.message()),
        ];
        let command = command.clone();
        let ran = tokio::task::spawn_blocking(move || hook::run(&command, &variables, limit)).await;
        if let Err(error) = ran.map_err(std::io::Error::other).and_then(|ran| ran) {
            let waited = clock::mono_now().since(alarm.told);
            tracing::warn!(source, code, %error, ?waited, "the command for alerts failed");
        }
    }
}
