//! The root component: owns what the window knows, hears the engine, asks it for what the operator wants.
//!
//! Contract: one circle. Events of the engine are folded into the [`Desk`]; from it the faces of header, grid and status
//! line are worked out and handed down. Requests go to the engine and come back as events.

mod alerting;
mod announce;
mod ask;
mod language;
mod leave;
mod menu;
mod notice;
mod toast;
mod view;
mod windows;

use super::alerts::{Alerts, AlertsInit, AlertsMsg, Ask, Badge};
use super::announcer::Announcer;
use super::desk::{Contact, Desk};
use super::engine::EngineStarter;
use super::glib_once::Debounce;
use super::health::{Health, HealthMsg};
use super::inputs::{Inputs, InputsMsg, InputsOutput, TileView};
use super::link::{self, Heard};
use super::own_state::OwnState;
use super::refusals;
use super::start::Starts;
use super::status_line::StatusLine;
use super::step_back::StepBack;
use super::transport::{Room, Transport, TransportFace, TransportMsg, TransportOutput};
use crate::model::InputId;
use crate::model::snapshot::InputView;
use crate::protocol::api::{AlertsReply, StartReply, StopReply, StopRequest};
use crate::protocol::client::{Client, ClientError};
use crate::protocol::event::Event;
use crate::protocol::health::HealthReply;
use crate::protocol::history::HistoryReply;
use crate::protocol::marker::{MarkerReply, MarkerRequest};
use crate::sys::clock::mono_now;
use crate::sys::paths::Runtime;
use announce::Moment;
use ask::Asking;
use gtk::gio::prelude::ApplicationExt;
use leave::Signals;
use notice::{Asked, Notice};
use relm4::{Component, ComponentController, ComponentSender, Controller};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use toast::Toast;
pub use windows::{Windows, run};

/// What the window needs to begin.
#[derive(Debug)]
pub struct AppInit {
    /// Sockets.
    pub runtime: Runtime,
    /// Starts an engine when none runs.
    pub starter: EngineStarter,
    /// What the window gives up; another window of this process goes on with it.
    pub step_back: Rc<RefCell<StepBack>>,
    /// Where the window remembers, if anywhere.
    pub folder: Option<PathBuf>,
    /// What it remembers.
    pub own: OwnState,
    /// What the one before it showed.
    pub shown: Shown,
    /// Where it is kept.
    pub windows: Windows,
}

/// What the operator has opened and typed, for a window that takes the place of another one.
#[derive(Debug, Default)]
pub struct Shown {
    /// The name of the next session, as typed.
    pub name: String,
    /// The input that is shown large.
    pub large: Option<InputId>,
    /// The health view.
    pub health: bool,
    /// A notice that nobody has dismissed.
    notice: Option<Notice>,
    /// What was found of the last session is bad, and nobody has closed those words.
    unread: bool,
    /// As large as the screen.
    maximised: bool,
}

/// To the window.
#[derive(Debug)]
pub enum AppMsg {
    /// The operator wants a session of this name.
    Record(Option<String>),
    /// The operator wants the running session stopped.
    Stop,
    /// The operator wants an input tried again.
    Retry(InputId),
    /// A button of an alert was pressed.
    Alert(Ask),
    /// Alerts came; it is time to show them.
    ShowAlerts,
    /// A key of the big button went down anywhere in the window.
    KeyDown,
    /// It was let go.
    KeyUp,
    /// The window is this wide now.
    Width(i32),
    /// The operator closes the window.
    Close,
    /// The operator closes it although a recording goes on.
    CloseAnyway,
    /// The operator has read the notice.
    Dismiss,
    /// The operator wants all inputs beside each other again.
    AllInputs,
    /// The operator sets a marker.
    Mark,
    /// The last minutes of an input are wanted.
    History(InputId),
    /// Show how the recorder is, or the inputs again.
    Health(bool),
    /// So long the first picture of a tile took.
    Painted(Duration),
    /// The operator puts the inputs in this order.
    Order(Vec<InputId>),
    /// Somebody has seen that the sound of this input clipped.
    ClearClip(InputId),
    /// Time to ask how it is.
    AskHealth,
    /// The operator wants another language.
    Language(String),
    /// Nothing on this machine shows this folder.
    NotOpened(String),
}

/// What comes back from background work.
#[derive(Debug)]
pub enum AppCmd {
    /// From the engine.
    Heard(Heard),
    /// Every alert the engine keeps, and which question that answers.
    Alerts(u64, Result<AlertsReply, ClientError>),
    /// Answer to a start.
    Started(Result<StartReply, ClientError>),
    /// Answer to a stop.
    Stopped(Result<StopReply, ClientError>),
    /// Answer to a retry.
    Retried(Result<(), ClientError>),
    /// Answer to an order of the inputs.
    Ordered(Result<(), ClientError>),
    /// The last minutes of an input, `None` = nobody knows them.
    History(Option<HistoryReply>),
    /// How the recorder is.
    Health(Option<Box<HealthReply>>),
    /// A measurement is told, or nobody hears of it.
    Told,
    /// Answer to a marker.
    Marked(Result<MarkerReply, ClientError>),
    /// The language of this code is remembered, or cannot be.
    LanguageKept(String),
    /// The size is remembered, or cannot be.
    SizeKept,
    /// Answer to what a button of an alert has asked for.
    Attended(Result<(), ClientError>),
}

/// The window.
pub struct App {
    desk: Desk,
    status: StatusLine,
    runtime: Runtime,
    starter: EngineStarter,
    step_back: Rc<RefCell<StepBack>>,
    client: Client,
    starts: Starts,
    /// How often the alerts were asked for; only the last answer counts.
    alerts_asked: u64,
    /// The alerts that are shown were all there were.
    knew_alerts: bool,
    /// The last question was not answered; it is asked again.
    alerts_missing: bool,
    asking_history: Asking,
    /// One order of the inputs after the other, or an older one could come to the engine last.
    asking_order: Asking,
    /// The order that is wanted and was not asked for yet.
    next_order: Option<Vec<InputId>>,
    notice: Option<Notice>,
    /// The window before had bad news of the last session that nobody has closed.
    unread: bool,
    /// The language to be spoken once a start was answered.
    speaks: Option<String>,
    room: Room,
    transport: Controller<Transport>,
    inputs: Controller<Inputs>,
    alerts: Controller<Alerts>,
    health: Controller<Health>,
    /// The health view is shown, and asked for.
    asking_health: Asking,
    /// Alerts that come close together are shown in one go.
    alerts_soon: Debounce,
    window: adw::ApplicationWindow,
    /// What was said last about a saved session; the next word takes its place.
    saved: Toast,
    /// The folder its button opens.
    opens: Rc<RefCell<String>>,
    /// The same about a marker.
    marked: Toast,
    announcer: Announcer,
    /// What was announced last.
    announced: Option<Moment>,
    /// It is about to end.
    leaving: bool,
    windows: Windows,
    _signals: Signals,
}

impl App {
    /// Takes in what the line to the engine says.
    fn hear(&mut self, heard: Heard, sender: &ComponentSender<Self>) {
        match heard {
            Heard::Event(event @ (Event::Alert { .. } | Event::Alerts { .. })) => return self.hear_alert(&event),
            Heard::Event(event) => {
                let before = self.desk.snapshot.as_ref().and_then(|s| s.last_session.clone());
                let first = self.desk.snapshot.is_none();
                self.desk.hear(&event);
                let again = self.alerts_missing && matches!(event, Event::Heartbeat { .. });
                if again || matches!(event, Event::Sync { .. }) {
                    self.fetch_alerts(sender);
                }
                self.notice = self.notice.take().filter(|notice| !notice.ends_with_contact());
                let unread = self.desk.snapshot.is_some() && std::mem::take(&mut self.unread);
                if !first || unread {
                    self.toast_if_saved(before.as_ref());
                }
            }
            Heard::Silence => self.desk.contact = Contact::Lost,
            Heard::NoEngine(why) => {
                self.desk.contact = Contact::Lost;
                tracing::warn!("no engine can be started: {why}");
                self.notice = Some(Notice::NoEngine);
            }
        }
        self.show_all();
    }

    /// Works out every face from what is known and hands it down.
    fn show_all(&mut self) {
        if let Some(snapshot) = self.desk.snapshot.as_ref().filter(|_| self.desk.is_current()) {
            self.step_back.borrow_mut().follow(snapshot);
        }
        self.announce();
        self.status = StatusLine::new(&self.desk);
        self.transport.emit(TransportMsg::Show(Box::new(TransportFace::new(&self.desk))));
        let session = self.desk.session_state();
        let contact = self.desk.is_current();
        let proof = self.desk.proof_percent();
        let mut inputs: Vec<_> = self.desk.snapshot.iter().flat_map(|snapshot| &snapshot.inputs).collect();
        // Stable: what nobody has placed stands as the configuration has it.
        inputs.sort_by_key(|input| Reverse(input.importance));
        let view = |input: &InputView| TileView { input: input.clone(), session, contact, proof };
        let views = inputs.into_iter().map(view).collect();
        self.inputs.emit(InputsMsg::Show(views));
        self.follow_contact();
    }

    fn record(&mut self, name: Option<String>, sender: &ComponentSender<Self>) {
        // Another press is the same wish.
        if std::mem::replace(&mut self.desk.starting, true) {
            return;
        }
        self.show_all();
        let mut starts = self.starts.clone();
        starts.client = starts.client.clicked(mono_now());
        sender.oneshot_command(async move { AppCmd::Started(starts.start(name).await) });
    }

    fn stop(&self, sender: &ComponentSender<Self>) {
        let session_id = self.desk.snapshot.as_ref().and_then(|s| s.session.as_ref()).map(|session| session.id);
        let client = self.client.clone().clicked(mono_now());
        sender.oneshot_command(async move { AppCmd::Stopped(client.stop(&StopRequest { session_id }).await) });
    }

    fn retry(&self, input: InputId, sender: &ComponentSender<Self>) {
        let client = self.client.clone();
        sender.oneshot_command(async move { AppCmd::Retried(client.retry(&input).await.map(drop)) });
    }

    /// One key per press: a repeated request is the same marker.
    fn mark(&self, sender: &ComponentSender<Self>) {
        if !self.desk.is_recording() {
            return;
        }
        let client = self.client.clone().clicked(mono_now());
        let key = uuid::Uuid::now_v7().to_string();
        let request = MarkerRequest { session_id: None, label: None };
        sender.oneshot_command(async move { AppCmd::Marked(client.mark(&key, &request).await) });
    }

    /// A refusal is said, in the log in the engine's own words; success is seen in the events.
    fn answered<T>(&mut self, asked: Asked, result: Result<T, ClientError>) {
        match result {
            Ok(_) => self.notice = self.notice.take().filter(|notice| !notice.ends_with(asked)),
            Err(error) => {
                tracing::warn!("what was asked for is not done: {error}");
                let words = refusals::words(&error);
                self.announcer.say(&words);
                let until_contact = matches!(error, ClientError::NoEngine { .. });
                self.notice = Some(Notice::Refused { asked, words, until_contact });
            }
        }
    }

    fn set_width(&mut self, width: i32) {
        self.alerts.emit(AlertsMsg::Width(width));
        let room = view::room(width);
        if room != self.room {
            self.room = room;
            self.transport.emit(TransportMsg::Room(room));
            self.inputs.emit(InputsMsg::Room(room));
            self.health.emit(HealthMsg::Room(room));
        }
    }

    fn perform(&mut self, cmd: AppCmd, sender: &ComponentSender<Self>) {
        match cmd {
            AppCmd::Heard(heard) => self.hear(heard, sender),
            AppCmd::Alerts(number, reply) => self.take_alerts(number, reply),
            AppCmd::Started(result) => {
                self.desk.starting = false;
                self.answered(Asked::Record, result);
                self.show_all();
                if let Some(code) = self.speaks.take() {
                    self.speak(code);
                }
            }
            AppCmd::Stopped(result) => self.answered(Asked::Stop, result),
            AppCmd::Retried(result) => self.answered(Asked::Retry, result),
            AppCmd::Ordered(result) => self.ordered(result, sender),
            AppCmd::History(history) => {
                self.asking_history.answered();
                // What was known when contact was lost is old.
                self.inputs.emit(InputsMsg::History(history.filter(|_| self.desk.is_current())));
            }
            AppCmd::Health(health) => self.show_health(health),
            AppCmd::Told => {}
            AppCmd::Marked(result) => self.marked(result),
            // Whoever waits for a start hears how it ends.
            AppCmd::LanguageKept(code) if self.desk.starting => self.speaks = Some(code),
            AppCmd::LanguageKept(code) => self.speak(code),
            AppCmd::SizeKept => relm4::main_application().quit(),
            AppCmd::Attended(result) => self.answered(Asked::Attend, result),
        }
    }

    /// Begins to follow the engine; goes on for as long as the window lives.
    fn follow(&self, sender: &ComponentSender<Self>) {
        let (client, starter) = (self.client.clone(), self.starter.clone());
        sender.command(move |out, shutdown| {
            let hear = move |heard| out.send(AppCmd::Heard(heard)).is_ok();
            shutdown.register(link::follow(client, Some(starter), hear)).drop_on_shutdown()
        });
    }
}
