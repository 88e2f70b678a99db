//! What an engine has to read before it begins, on threads of its own and with deadlines: its loop never waits for a
//! disk, and a library that does not answer keeps nobody from recording what still can be recorded.

use super::event::Event;
use super::kept::Kept;
use super::state::Setup;
use super::{Options, locks};
use crate::model::InputId;
use crate::storage::recent::{self, Clocks};
use crate::sys::{build, clock};
use anyhow::Context;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot::Receiver;
use tokio::time::{sleep, timeout};

/// The runtime folder and `/proc` are memory.
const MEMORY_ANSWERS: Duration = Duration::from_secs(2);
/// A disk that has to spin up takes longer; then its alerts come later, and everything else begins without it.
const DISK_ANSWERS: Duration = Duration::from_secs(2);
/// A library whose sessions cannot be listed is asked again after this long.
const PLANS_AGAIN: Duration = Duration::from_secs(2);

/// What others have left in this machine's memory.
#[derive(Debug)]
pub struct Left {
    /// This boot.
    pub boot_id: String,
    strays: Vec<InputId>,
}

impl Left {
    /// Looks for it.
    pub async fn by_others(options: &Options) -> anyhow::Result<Self> {
        let (runtime, inputs) = (options.runtime.clone(), options.config.inputs.clone());
        let look = tokio::task::spawn_blocking(move || {
            let boot_id = clock::boot_id().context("the kernel does not name this boot")?;
            tracing::debug!(build = build::id(), "the program was named");
            Ok(Self { boot_id, strays: locks::strays(&runtime, &inputs) })
        });
        let looked = timeout(MEMORY_ANSWERS, look).await;
        looked.with_context(|| format!("the runtime folder {} does not answer", options.runtime.dir().display()))??
    }

    /// What the state machine is made from.
    pub fn setup(self, options: &Options, library: PathBuf, epoch: u64, kept: &Kept) -> Setup {
        let config = &options.config;
        let config_file = match &config.file {
            Some(file) => file.display().to_string(),
            None => "~/.config/holdfast/config.toml".to_owned(),
        };
        Setup {
            inputs: config.inputs.clone(),
            encoding: config.encoding.clone(),
            policy: config.policy.clone(),
            storage: config.storage,
            supervision: config.supervision.clone(),
            degradation: config.degradation.clone(),
            library,
            epoch,
            config_file,
            alerts: kept.alerts.clone(),
            strays: self.strays,
            restarts: kept.restarts_in(&self.boot_id),
            measured: kept.measured_in(&self.boot_id),
            order: kept.order.clone(),
            clocks: kept.clocks_in(&self.boot_id),
            boot_id: self.boot_id,
        }
    }
}

/// The library of an engine that begins.
#[derive(Debug, Clone)]
pub struct Library {
    /// Where it is.
    pub path: PathBuf,
    /// This boot.
    pub boot_id: String,
}

impl Library {
    /// What an earlier engine left there, if the disk answers soon; else `None`, and it comes as an event
    /// ([`Event::Recalled`]). The plans of the last day always do.
    pub async fn read(self, mut kept: Receiver<Kept>, events: Sender<Event>) -> Option<Kept> {
        match timeout(DISK_ANSWERS, &mut kept).await {
            Ok(Ok(kept)) => {
                tokio::spawn(self.read_plans(kept.clone(), events));
                Some(kept)
            }
            _ => {
                tracing::error!(library = %self.path.display(), "the library does not answer; the engine begins without it");
                tokio::spawn(async move {
                    // The disk thread sends, or has ended, and then nobody needs this any more.
                    let Ok(kept) = kept.await else { return };
                    drop(events.send(Event::Recalled(Box::new(kept.clone()))).await);
                    self.read_plans(kept, events).await;
                });
                None
            }
        }
    }

    /// Reads which starts may be repeated, until it succeeds.
    async fn read_plans(self, kept: Kept, events: Sender<Event>) {
        while !events.is_closed() {
            let (path, boot_id, listed) = (self.path.clone(), self.boot_id.clone(), kept.recent.clone());
            let read = tokio::task::spawn_blocking(move || {
                let clocks = Clocks { boot_id, mono: clock::mono_now(), wall: clock::wall_now() };
                recent::plans(&path, &clocks, &listed)
            });
            match read.await {
                Ok(Ok(plans)) => return drop(events.send(Event::Plans(plans)).await),
                Ok(Err(error)) => tracing::error!(%error, "the starts of the last day cannot be read yet"),
                Err(error) => tracing::error!(%error, "the starts of the last day cannot be read yet"),
            }
            sleep(PLANS_AGAIN).await;
        }
    }
}
