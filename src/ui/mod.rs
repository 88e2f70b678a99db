//! The window (Relm4 + libadwaita). It draws what the engine says and asks the engine for what the operator wants.
//!
//! Contract: nothing here is needed for a recording to go on: killed, frozen or unable to draw, the window takes
//! nothing with it. It depends on `model`, `protocol`, `sys` and `storage::atomic` (and on the frame ring for its
//! previews); GStreamer stays in `inputs::preview`, words go through gettext here and nowhere else.

mod alerts;
mod announcer;
mod app;
mod desk;
mod engine;
mod format;
mod glib_once;
mod health;
mod inputs;
mod l10n;
mod link;
mod own_state;
mod refusals;
mod start;
mod status_line;
mod step_back;
mod table;
mod theme;
mod transport;
mod values;
mod words;

use crate::sys::paths::Runtime;
use anyhow::Context;
use app::AppInit;
use gtk::gio;
use std::cell::RefCell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use step_back::StepBack;

/// Application id (DESIGN §6).
pub const APPLICATION_ID: &str = "io.github.holdfast.Holdfast";

/// How the window was asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Synthetic inputs, in a recorder of their own.
    pub demo: bool,
    /// Passed on to an engine that is started.
    pub library: Option<PathBuf>,
    /// Passed on to an engine that is started.
    pub config: Option<PathBuf>,
}

/// Shows the window until it is closed. Without a display: a message and exit code 1.
pub fn run(options: Options) -> ExitCode {
    match show(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(options: Options) -> anyhow::Result<()> {
    let runtime = Runtime::open(options.demo)?;
    // Before anything lowers the priority of this process.
    let args = engine_args(&options);
    // A unit of systemd serves the runtime folder and the configuration nobody chose.
    let ours_alone = !args.is_empty() || std::env::var_os("HOLDFAST_RUNTIME_DIR").is_some();
    let starter = engine::EngineStarter::new(args, runtime.engine_socket(), ours_alone);
    let starter = starter.context("the window cannot start a thread")?;
    let folder = own_state::folder(options.demo);
    let own = folder.as_deref().map(own_state::OwnState::load).unwrap_or_default();
    l10n::choose(own.language.as_deref());
    // Asked first: Relm4 would panic without a display.
    gtk::init().context(
        "no window can be shown: there is no display. Recording needs none: run `holdfast engine`, \
         then `holdfast record start`. For a window set DISPLAY or WAYLAND_DISPLAY",
    )?;
    adw::init().context("no window can be shown: libadwaita does not start")?;
    theme::direct();
    inputs::prepare_previews().context("no window can be shown: previews do not start")?;
    // Not unique: a second window is a second viewer, and nothing depends on a session bus.
    let application = adw::Application::new(Some(APPLICATION_ID), gio::ApplicationFlags::NON_UNIQUE);
    let step_back = Rc::new(RefCell::new(StepBack::begin(starter.thread())));
    let (shown, windows) = (app::Shown::default(), app::Windows::default());
    let init = AppInit { runtime, starter, step_back, folder, own, shown, windows };
    theme::prepare(&application);
    app::run(&application, init);
    Ok(())
}

fn engine_args(options: &Options) -> Vec<OsString> {
    let mut args = Vec::new();
    if options.demo {
        args.push("--demo".into());
    }
    for (flag, path) in [("--library", &options.library), ("--config", &options.config)] {
        if let Some(path) = path {
            args.extend([flag.into(), path.clone().into_os_string()]);
        }
    }
    args
}
