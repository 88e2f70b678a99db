//! What is asked for again and again while it is shown: the last minutes of one input, and how the recorder is.

use super::notice::Asked;
use super::{App, AppCmd};
use crate::model::InputId;
use crate::protocol::api::OrderRequest;
use crate::protocol::client::ClientError;
use crate::protocol::health::HealthReply;
use crate::protocol::latency::{Latency, LatencyReport};
use crate::ui::health::HealthMsg;
use crate::ui::inputs::InputsMsg;
use gtk::prelude::*;
use relm4::{ComponentController, ComponentSender};
use std::time::Duration;

/// One question at a time: an engine that does not answer is not asked again meanwhile.
#[derive(Debug, Default)]
pub(super) struct Asking(bool);

impl Asking {
    /// Whether it may be asked now; then it was.
    fn may(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }

    /// It was answered, or never will be.
    pub(super) fn answered(&mut self) {
        self.0 = false;
    }
}

impl App {
    pub(super) fn fetch_history(&mut self, input: InputId, sender: &ComponentSender<Self>) {
        if self.asking_history.may() {
            let client = self.client.clone();
            sender.oneshot_command(async move { AppCmd::History(client.history(&input).await.ok()) });
        }
    }

    /// Tells the engine what only a window sees (R-CMD-5).
    pub(super) fn report_preview(&self, took: Duration, sender: &ComponentSender<Self>) {
        let client = self.client.clone();
        let report = LatencyReport { kind: Latency::Preview, took_ms: took.as_secs_f64() * 1000.0 };
        sender.oneshot_command(async move {
            if let Err(error) = client.report_latency(&report).await {
                tracing::debug!("nobody hears how long a preview took: {error}");
            }
            AppCmd::Told
        });
    }

    /// The operator says which inputs matter most: those are previewed longest, and stand first.
    pub(super) fn order(&mut self, order: Vec<InputId>, sender: &ComponentSender<Self>) {
        self.next_order = Some(order);
        self.send_order(sender);
    }

    fn send_order(&mut self, sender: &ComponentSender<Self>) {
        if self.next_order.is_none() || !self.asking_order.may() {
            return;
        }
        let client = self.client.clone();
        let order = self.next_order.take().unwrap_or_default();
        let request = OrderRequest { inputs: order.iter().map(ToString::to_string).collect() };
        sender.oneshot_command(async move { AppCmd::Ordered(client.order(&request).await.map(drop)) });
    }

    /// A refused order takes with it what was built upon it.
    pub(super) fn ordered(&mut self, result: Result<(), ClientError>, sender: &ComponentSender<Self>) {
        self.asking_order.answered();
        if result.is_err() {
            self.next_order = None;
            self.inputs.emit(InputsMsg::NotMoved);
        }
        self.answered(Asked::Order, result);
        self.send_order(sender);
    }

    pub(super) fn clear_clip(&self, input: InputId, sender: &ComponentSender<Self>) {
        let client = self.client.clone();
        sender.oneshot_command(async move { AppCmd::Attended(client.clear_clip(&input).await.map(drop)) });
    }

    /// Shows the health view in place of the inputs, whose pictures cost nothing meanwhile.
    pub(super) fn set_health(&mut self, shown: bool, sender: &ComponentSender<Self>) {
        let (health, inputs) = (self.health.widget().clone(), self.inputs.widget().clone());
        if health.is_visible() == shown {
            return;
        }
        health.set_visible(shown);
        inputs.set_visible(!shown);
        // Whoever uses keys goes on where they look.
        if shown {
            health.child_focus(gtk::DirectionType::TabForward);
        } else {
            self.inputs.emit(InputsMsg::Focus);
        }
        self.fetch_health(sender);
    }

    pub(super) fn fetch_health(&mut self, sender: &ComponentSender<Self>) {
        if self.health.widget().is_visible() && self.desk.is_current() && self.asking_health.may() {
            self.health.emit(HealthMsg::Asked);
            let client = self.client.clone();
            sender.oneshot_command(async move { AppCmd::Health(client.health().await.ok().map(Box::new)) });
        }
    }

    pub(super) fn show_health(&mut self, health: Option<Box<HealthReply>>) {
        self.asking_health.answered();
        // What was asked before contact was lost is old.
        if !self.desk.is_current() {
            return;
        }
        self.health.emit(match health.zip(self.desk.snapshot.clone()) {
            Some((health, snapshot)) => HealthMsg::Show(Box::new((*health, snapshot))),
            None => HealthMsg::Unanswered,
        });
    }
}
