//! How the window leaves: a recording goes on and that is said; an idle engine it started goes with it.

use super::notice::{Asked, Notice};
use super::{App, AppCmd, AppMsg};
use crate::model::session::Verdict;
use crate::model::snapshot::LastSession;
use crate::protocol::client::ClientError;
use crate::protocol::marker::MarkerReply;
use crate::ui::format;
use crate::ui::l10n::{gettext, ngettext};
use gtk::gio;
use gtk::glib;
use gtk::prelude::*;
use relm4::{ComponentSender, Sender};
use std::path::Path;
use std::time::Duration;

/// Leave, recordings go on (R-SUP-12); SIGHUP: the terminal the window was started from is closed.
const SIGNALS: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Long enough to be read from two metres, short enough not to stand before the lower pictures: each tile keeps its own
/// verdict.
pub(super) const SAVED_LASTS: Duration = Duration::from_secs(8);
/// The same for less.
pub(super) const MARKED_LASTS: Duration = Duration::from_secs(3);

impl App {
    /// The operator closes the window: at once when idle; while something is recorded it is said first, in the window.
    pub(super) fn close(&mut self, sender: &ComponentSender<Self>) {
        if self.desk.is_recording() && self.notice != Some(Notice::Closing) {
            self.notice = Some(Notice::Closing);
        } else {
            self.leave(sender);
        }
    }

    /// Leaves. Workers and engine are processes of their own; an engine this window started ends by itself once nothing
    /// is recorded and nobody is connected. A disk that does not take the size in time keeps nobody here.
    pub(super) fn leave(&mut self, sender: &ComponentSender<Self>) {
        if std::mem::replace(&mut self.leaving, true) {
            return;
        }
        if self.desk.is_recording() {
            let words = Notice::Closing.words();
            eprintln!("holdfast: {words}");
            let notification = gio::Notification::new(&gettext("Recording goes on"));
            notification.set_body(Some(&words));
            relm4::main_application().send_notification(None, &notification);
        }
        let (size, starts) = (self.size(), self.starts.clone());
        self.window.set_visible(false);
        sender.oneshot_command(async move {
            starts.keep(move |own| own.size = size.or(own.size)).await;
            AppCmd::SizeKept
        });
    }

    /// What the window is to open with next time, unless it is as large as the screen.
    pub(super) fn size(&self) -> Option<(i32, i32)> {
        let (width, height) = (self.window.width(), self.window.height());
        (width > 0 && height > 0 && !self.window.is_maximized()).then_some((width, height))
    }

    /// Says where a marker stands.
    pub(super) fn marked(&mut self, result: Result<MarkerReply, ClientError>) {
        if let Ok(reply) = &result {
            let time = format::media_time_or_unknown(reply.marker.media_ms);
            let words =
                format::fill(&gettext("Marker {n} at {time}"), &[("n", &reply.marker.n.to_string()), ("time", &time)]);
            self.announcer.say(&words);
            self.marked.say(&words, false);
        }
        self.answered(Asked::Mark, result);
    }

    /// Says once that a session was saved, and once more what was found when its files were read again.
    pub(super) fn toast_if_saved(&mut self, before: Option<&LastSession>) {
        let last = self.desk.snapshot.as_ref().and_then(|s| s.last_session.as_ref());
        let Some(last) = last else { return };
        if before.is_some_and(|before| before.id == last.id && before.verdict == last.verdict) {
            return;
        }
        let (words, folder) = (saved_words(last), last.dir.clone());
        self.announcer.say(&words);
        self.opens.replace(folder);
        // Bad news waits until it was read.
        self.saved.say(&words, last.verdict == Verdict::Failed);
    }
}

/// Shows a folder; where nothing can, its path is said instead.
pub(super) fn open_folder(folder: &Path, tell: &Sender<AppMsg>) {
    let (uri, nobody) = (gio::File::for_path(folder).uri(), gio::Cancellable::NONE);
    let (path, tell) = (folder.display().to_string(), tell.clone());
    gio::AppInfo::launch_default_for_uri_async(&uri, gio::AppLaunchContext::NONE, nobody, move |result| {
        if let Err(error) = result {
            tracing::info!("the folder cannot be shown: {error}");
            // The window is gone, and who has pressed with it.
            let _ = tell.send(AppMsg::NotOpened(path));
        }
    });
}

fn saved_words(last: &LastSession) -> String {
    let template = match last.verdict {
        Verdict::Unverified => ngettext("{name} saved · {n} file", "{name} saved · {n} files", last.parts),
        Verdict::Ok => ngettext("{name} saved · {n} file proved", "{name} saved · {n} of {n} files proved", last.parts),
        Verdict::Warning => gettext("{name} saved · all files are readable, but something is missing in them"),
        Verdict::Failed => gettext("{name}: something that was recorded cannot be read · see the alerts"),
    };
    format::fill(&template, &[("name", last.name.as_str()), ("n", &last.parts.to_string())])
}

/// The signals that end a program end this one properly, for as long as this lives. Main thread only.
#[derive(Debug)]
pub(super) struct Signals(Vec<glib::SourceId>);

impl Signals {
    pub(super) fn new(sender: &ComponentSender<App>) -> Self {
        let source = |signal| {
            let input = sender.input_sender().clone();
            glib::unix_signal_add_local(signal, move || {
                // Gone already: then there is nothing to leave.
                let _ = input.send(AppMsg::CloseAnyway);
                glib::ControlFlow::Continue
            })
        };
        Self(SIGNALS.map(source).into())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.0.drain(..).for_each(glib::SourceId::remove);
    }
}
