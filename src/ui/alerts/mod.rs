//! The alerts: a sidebar beside the inputs, or over them in a narrow window, and a badge in the header that counts what
//! nobody has seen (R-ALR-1, -2, -7; DESK "Alerts").
//!
//! Contract: draws the alerts it is handed, and asks for what a button says; nothing changes on the screen until the
//! engine's event returns. However many alerts come, the window answers ([`list`]).

mod aloud;
mod badge;
mod breaks;
mod card;
mod face;
mod list;
mod news;
mod sound;
mod view;

use crate::model::InputId;
use crate::model::snapshot::Alert;
use crate::ui::format;
use crate::ui::l10n::{gettext, ngettext};
use crate::ui::own_state::OwnState;
use aloud::Aloud;
pub use badge::Badge;
pub use face::Ask;
use face::{CardFace, Unseen, local_now};
use gtk::glib;
use gtk::prelude::*;
use list::Cards;
use news::News;
use relm4::ComponentSender;
use std::path::PathBuf;

/// Up to this width of the window the sidebar lies over the inputs (DESK).
const OVER_UP_TO: i32 = 1024;
/// From this width on it stands beside them unless the operator has folded it.
const OPEN_FROM: i32 = 1500;
/// Width of the sidebar: this share of the window in percent, within these bounds in pixels, and so that an edge of what
/// lies below it stays in sight.
const SIDEBAR_PERCENT: i32 = 24;
const SIDEBAR_WIDTHS: (i32, i32) = (400, 560);
const EDGE: i32 = 56;

/// What the sidebar is made with.
#[derive(Debug)]
pub struct AlertsInit {
    /// The inputs, which it stands beside.
    pub content: gtk::Widget,
    /// Its button in the header.
    pub badge: Badge,
    /// Where the window remembers, if anywhere.
    pub folder: Option<PathBuf>,
    /// What it remembers.
    pub own: OwnState,
}

/// What is known of alerts.
#[derive(Debug, Default)]
pub struct AlertsView {
    /// In the order in which they are shown.
    pub alerts: Vec<Alert>,
    /// The engine is heard and has told all of them: only then is an empty list good news.
    pub current: bool,
    /// Ids and names.
    pub inputs: Vec<(InputId, String)>,
    /// Number of the last whole state that was heard, once the engine's own list was heard as well.
    pub listed: Option<u64>,
}

/// To the sidebar.
#[derive(Debug)]
pub enum AlertsMsg {
    /// These are the alerts.
    Show(Box<AlertsView>),
    /// Make the cards that are not made yet.
    Draw,
    /// Somebody wants to see more of them.
    More,
    /// Somebody has scrolled to the first ones.
    Top,
    /// The window is this wide now.
    Width(i32),
    /// It was folded out or in.
    Opened(bool),
    /// Fold it out.
    Open,
    /// Fold it out, or in.
    Toggle,
    /// Fold it in, if it lies over the inputs.
    Close,
    /// A sound for critical alerts, or none.
    Sound(bool),
    /// A button was pressed.
    Pressed(Ask),
    /// All of them were seen.
    AcknowledgeAll,
}

/// The sidebar.
pub struct Alerts {
    view: AlertsView,
    badge: Badge,
    cards: Cards,
    news: News,
    /// Number of the first whole state this window heard.
    first: Option<u64>,
    aloud: Aloud,
    flap: adw::Flap,
    width: i32,
    /// It lies over the inputs.
    over: bool,
    /// It was folded by the window itself; that is nothing to remember.
    folding: Option<bool>,
    own: OwnState,
    folder: Option<PathBuf>,
}

impl Alerts {
    fn show(&mut self, view: AlertsView, sender: &ComponentSender<Self>) {
        self.view = view;
        self.first = self.first.or(self.view.listed);
        self.badge.show(Unseen::of(&self.view.alerts), self.view.current);
        let told = self.news.hear(&self.view.alerts, self.first);
        let faces = self.faces();
        let fresh: Vec<_> = told.tell.iter().filter_map(|id| faces.iter().find(|face| face.id == *id)).collect();
        self.aloud.tell(&fresh, !self.own.alerts_silent);
        let none = Unseen::of(&self.view.alerts).critical == 0;
        self.aloud.withdraw(&told.withdraw, none);
        self.draw(faces, sender);
    }

    /// What the window remembers, with what was decided here.
    pub fn own(&self) -> &OwnState {
        &self.own
    }

    fn faces(&self) -> Vec<CardFace> {
        let now = local_now();
        self.view.alerts.iter().map(|alert| CardFace::new(alert, &self.view.inputs, &now)).collect()
    }

    fn draw(&mut self, faces: Vec<CardFace>, sender: &ComponentSender<Self>) {
        if !self.cards.show(faces) {
            let more = sender.input_sender().clone();
            // Behind whatever is to be drawn or answered.
            glib::idle_add_local_once(move || {
                // The sidebar is gone with the window.
                let _ = more.send(AlertsMsg::Draw);
            });
        }
    }

    fn unseen(&self) -> Vec<u64> {
        self.view.alerts.iter().filter(|alert| !alert.acknowledged).map(|alert| alert.id).collect()
    }

    fn set_width(&mut self, width: i32) {
        if width == self.width {
            return;
        }
        self.width = width;
        self.over = width <= OVER_UP_TO;
        self.flap.set_fold_policy(if self.over { adw::FlapFoldPolicy::Always } else { adw::FlapFoldPolicy::Never });
        // What lies over the inputs was asked for, or it is not there.
        let open = !self.over && self.own.alerts_open.unwrap_or(width >= OPEN_FROM);
        if self.flap.reveals_flap() != open {
            self.folding = Some(open);
            self.flap.set_reveal_flap(open);
        }
    }

    fn opened(&mut self, open: bool) {
        if self.folding.take() == Some(open) {
            return;
        }
        if self.over {
            if open {
                self.cards.focus();
            }
        } else {
            self.own.alerts_open = Some(open);
            self.remember();
        }
    }

    fn close(&mut self) {
        if self.over && self.flap.reveals_flap() {
            self.flap.set_reveal_flap(false);
            self.badge.button().grab_focus();
        }
    }

    fn set_sound(&mut self, sound: bool) {
        if self.own.alerts_silent == sound {
            self.own.alerts_silent = !sound;
            self.remember();
        }
    }

    /// The disk is not waited for.
    fn remember(&self) {
        let Some(folder) = self.folder.clone() else { return };
        let (open, silent) = (self.own.alerts_open, self.own.alerts_silent);
        relm4::spawn_blocking(move || {
            let change = |own: &mut OwnState| (own.alerts_open, own.alerts_silent) = (open, silent);
            if let Err(error) = OwnState::change(&folder, change) {
                tracing::debug!("the window cannot remember how alerts are shown: {error}");
            }
        });
    }

    fn sidebar_width(&self) -> i32 {
        let (least, most) = SIDEBAR_WIDTHS;
        (self.width * SIDEBAR_PERCENT / 100).clamp(least, most).min((self.width - EDGE).max(0))
    }

    /// What stands in an empty list, or above one that is old.
    fn contact_words(&self) -> String {
        if self.view.alerts.is_empty() {
            return gettext("Nobody knows whether there is anything to report: no contact with the recorder");
        }
        gettext("No contact with the recorder. These are the alerts it told last.")
    }

    fn sound_icon(&self) -> &'static str {
        if self.own.alerts_silent { "audio-volume-muted-symbolic" } else { "audio-volume-high-symbolic" }
    }

    /// Those that have no card.
    fn rest(&self) -> usize {
        self.view.alerts.len().saturating_sub(self.cards.wanted())
    }

    fn rest_words(&self) -> String {
        let rest = u32::try_from(self.rest()).unwrap_or(u32::MAX);
        let words = ngettext("Show {n} older alert", "Show {n} older alerts", rest);
        format::fill(&words, &[("n", &rest.to_string())])
    }
}
