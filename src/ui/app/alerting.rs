//! What the window does about alerts: hears them, hands them to the sidebar, asks the engine for what its buttons say.

use super::leave::open_folder;
use super::{App, AppCmd, AppMsg};
use crate::model::InputId;
use crate::protocol::api::AlertsReply;
use crate::protocol::client::{Client, ClientError};
use crate::protocol::event::Event;
use crate::ui::alerts::{AlertsMsg, AlertsView, Ask};
use crate::ui::desk::{ALERTS_ASKED, Contact};
use crate::ui::glib_once::Debounce;
use crate::ui::health::HealthMsg;
use crate::ui::inputs::InputsMsg;
use relm4::{ComponentController, ComponentSender};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Alerts are shown so long after the first that came: a flood of them is one refresh, and nobody sees the delay.
const SOON: Duration = Duration::from_millis(80);

/// Fires once alerts have come.
pub(super) fn make_alerts_soon(sender: &ComponentSender<App>) -> Debounce {
    let show = sender.input_sender().clone();
    Debounce::new(SOON, move || {
        // The window is gone, and its alerts with it.
        let _ = show.send(AppMsg::ShowAlerts);
    })
}

impl App {
    /// Nothing but the alerts changes by it, and however many come, nothing else is drawn anew.
    pub(super) fn hear_alert(&mut self, event: &Event) {
        let in_contact = self.desk.contact == Contact::Here;
        self.desk.hear(event);
        if matches!(event, Event::Alert { .. }) {
            self.alerts_soon.start_once();
        }
        if !in_contact {
            self.show_all();
        }
    }

    pub(super) fn show_alerts(&self) {
        let alerts = self.desk.alerts_by_weight().into_iter().cloned().collect();
        let inputs = self.desk.snapshot.iter().flat_map(|snapshot| &snapshot.inputs);
        let inputs = inputs.map(|input| (input.id.clone(), input.name.clone())).collect();
        let listed = self.desk.listed.then_some(self.desk.synced);
        let current = self.desk.knows_alerts();
        self.alerts.emit(AlertsMsg::Show(Box::new(AlertsView { alerts, current, inputs, listed })));
    }

    /// Contact came or went: what was told before is current no more, or again.
    pub(super) fn follow_contact(&mut self) {
        if std::mem::replace(&mut self.knew_alerts, self.desk.knows_alerts()) != self.desk.knows_alerts() {
            self.show_alerts();
        }
        if !self.desk.is_current() {
            self.inputs.emit(InputsMsg::History(None));
            self.health.emit(HealthMsg::NoContact);
        }
    }

    /// Events tell of changes only; what was there before is asked for.
    pub(super) fn fetch_alerts(&mut self, sender: &ComponentSender<Self>) {
        self.alerts_asked += 1;
        self.alerts_missing = false;
        let (client, number) = (self.client.clone(), self.alerts_asked);
        sender.oneshot_command(async move { AppCmd::Alerts(number, client.alerts(ALERTS_ASKED).await) });
    }

    /// Only the answer to the last question counts.
    pub(super) fn take_alerts(&mut self, number: u64, reply: Result<AlertsReply, ClientError>) {
        match reply {
            _ if number != self.alerts_asked => {}
            Ok(reply) => {
                self.desk.take_alerts(reply.alerts);
                self.show_alerts();
            }
            Err(error) => {
                self.alerts_missing = true;
                tracing::warn!("the alerts could not be fetched: {error}; they are asked for again");
            }
        }
    }

    /// A button of an alert was pressed.
    pub(super) fn attend(&mut self, ask: Ask, sender: &ComponentSender<Self>) {
        let client = self.client.clone();
        match ask {
            Ask::Retry(input) => self.retry(input, sender),
            Ask::ShowInput(input) => self.show_input(input, sender),
            Ask::OpenFolder(session) => self.open_recordings(session, sender),
            Ask::CleanUp(operation) => {
                sender.oneshot_command(async move { AppCmd::Attended(client.clean_up(operation).await.map(drop)) });
            }
            Ask::Acknowledge(alerts) => {
                sender.oneshot_command(async move { AppCmd::Attended(acknowledge(&client, alerts).await) });
            }
        }
    }

    fn show_input(&mut self, input: InputId, sender: &ComponentSender<Self>) {
        self.alerts.emit(AlertsMsg::Close);
        self.set_health(false, sender);
        self.inputs.emit(InputsMsg::Enlarge(Some(input)));
    }

    /// The folder of one session, or that of all.
    fn open_recordings(&self, session: Option<String>, sender: &ComponentSender<Self>) {
        let Some(snapshot) = &self.desk.snapshot else { return };
        let library = PathBuf::from(&snapshot.storage.path);
        // A name, not a path: it came over the wire.
        let name = session.as_deref().map(Path::new).and_then(Path::file_name);
        open_folder(&name.map_or_else(|| library.clone(), |name| library.join(name)), sender.input_sender());
    }
}

/// One by one; one that is there no more needs nobody. The first that is refused otherwise is told.
async fn acknowledge(client: &Client, alerts: Vec<u64>) -> Result<(), ClientError> {
    for alert in alerts {
        match client.acknowledge(alert).await {
            Err(ClientError::Api(refusal)) if refusal.code == "unknown_alert" => {}
            other => drop(other?),
        }
    }
    Ok(())
}
