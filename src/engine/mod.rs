//! The supervisor: authoritative state, journal, alerts, disk, API.
//!
//! Contract: links no media code, opens no device, does no blocking I/O on its loop. The loop here turns
//! everything into [`event::Event`]s, lets [`state::State`] decide, and lets [`effect::Shell`] act.

pub mod alerts;
mod answer;
mod breaks;
mod budget;
mod disk;
mod effect;
mod errors;
pub mod event;
mod fence;
mod governor;
mod growth;
mod headroom;
mod history;
mod hook;
mod inhibit;
mod kept;
mod ladder;
mod last;
mod latency;
mod level;
mod lifetime;
mod link;
mod locks;
mod notify;
mod operations;
mod orders;
mod probe;
mod proof;
mod protect;
mod publish;
mod rates;
pub mod recover;
mod reply;
mod resources;
mod restart;
mod search;
mod server;
mod signals;
mod since;
mod start;
pub mod state;
mod takeover;
mod tally;
pub mod worker_event;
pub mod worker_state;

use crate::config::Config;
use crate::model::snapshot::{Alert, Snapshot};
use crate::model::time::ClockOffsets;
use crate::model::{InputId, MonoNs};
use crate::protocol::api::{HealthReply, HistoryReply};
use crate::storage::space::Home;
use crate::sys::clock;
use crate::sys::notify::Manager;
use crate::sys::paths::Runtime;
use anyhow::Context;
use budget::Measured;
use disk::Disk;
use effect::Shell;
use event::{Event, Now};
use fence::Fence;
use hook::Hook;
use kept::{Account, Keeping, Kept, Missing};
use last::{flush, tidy};
use lifetime::Lifetime;
use notify::Notify;
use publish::Publisher;
use resources::Watched;
use restart::Restarts;
use server::{Board, Clients, Fresh};
use signals::Signals;
use since::Since;
use start::{Left, Library};
use state::State;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

/// Deadlines are looked at this often; the shortest one is 2 s.
const TICK: Duration = Duration::from_millis(200);
/// The clocks are compared this often: a step is shown within 2 s (R-FM-6).
const CLOCKS: Duration = Duration::from_millis(500);
/// Events that may wait for the loop; sixteen workers send forty a second.
const EVENTS: usize = 1024;
/// Requests that may wait for the loop: every client one.
const REQUESTS: usize = 64;
/// Health is put together anew this often, and behind every clean-up.
const HEALTH_EVERY: Duration = Duration::from_millis(500);
/// Sequence numbers are reserved in steps, so that a crash never reuses one; the next step is asked for while half of
/// this one is left, because the disk may take its time.
const SEQ_STEP: u64 = 10_000;
/// The API answers when it is known what runs, so that nobody sees a session vanish and come back; after this long it
/// answers anyway: Record must be possible 2 s after launch (R-FM-11).
const SETTLE_DEADLINE: Duration = Duration::from_secs(1);

/// How to run an engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// The checked configuration.
    pub config: Config,
    /// Where sockets and locks go.
    pub runtime: Runtime,
    /// Synthetic inputs; handed to the workers.
    pub demo: bool,
    /// A window started it: it leaves with the window.
    pub spawned: bool,
}

/// Runs the supervisor until it is told to leave. Errors are the reasons it could not start.
pub fn run(options: Options) -> anyhow::Result<()> {
    let library = options.config.library.clone().context("no library: set HOME, or name a folder with --library")?;
    let locks = locks::take_over(&options.runtime, &library)?;
    let epoch = locks.epoch;
    tracing::info!(library = %library.display(), runtime = %options.runtime.dir().display(), epoch, "the engine starts");
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop")?;
    let result = executor.block_on(Engine { options, library, epoch, home: locks.home.clone() }.run());
    // A thread that hangs in a frozen file system must not keep the process.
    executor.shutdown_background();
    result
}

struct Engine {
    options: Options,
    library: PathBuf,
    epoch: u64,
    home: Home,
}

/// The loop's own things.
struct Loop {
    state: State,
    shell: Shell,
    publisher: Publisher,
    since: Since,
    keeping: Keeping,
    /// What an earlier engine kept has been taken in.
    recalled: bool,
    reserved: u64,
    /// How often workers were replaced, as it was kept last.
    restarts: BTreeMap<InputId, Restarts>,
    /// What workers were measured to need, as it was kept last.
    measured: BTreeMap<InputId, Measured>,
    /// The operator's order of inputs, as it was kept last.
    order: Vec<InputId>,
    /// What was told of the clocks, as it was kept last.
    clocks: Option<ClockOffsets>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    alerts: watch::Sender<Arc<Vec<Alert>>>,
    health: watch::Sender<Arc<HealthReply>>,
    histories: watch::Sender<Arc<Vec<HistoryReply>>>,
    health_told: MonoNs,
    pids: watch::Sender<Vec<(InputId, u32)>>,
    /// The folder that is written: the running session's, else the library.
    written: watch::Sender<PathBuf>,
    clients: broadcast::Sender<Fresh>,
}

impl Engine {
    async fn run(self) -> anyhow::Result<()> {
        let (events, mut queue) = mpsc::channel(EVENTS);
        let (requests, mut asked) = mpsc::channel(REQUESTS);
        let left = Left::by_others(&self.options).await?;
        let fence = Fence::new(&self.options.runtime, self.epoch);
        let (library, home) = (self.library.clone(), self.home.clone());
        let (disk, kept) = Disk::start(library, home, left.boot_id.clone(), fence, events.clone())
            .context("the disk thread cannot be started")?;
        let library = Library { path: self.library.clone(), boot_id: left.boot_id.clone() };
        let kept = library.read(kept, events.clone()).await;
        let now = now();
        let (recalled, kept) = (kept.is_some(), kept.unwrap_or_else(|| Kept::unread(now.mono)));
        let setup = left.setup(&self.options, self.library.clone(), self.epoch, &kept);
        let (state, effects) = State::new(now, setup);
        let rules = &self.options.config.supervision;
        let mut shell = Shell::new(
            self.options.runtime.clone(),
            self.options.demo,
            &self.library,
            self.epoch,
            events.clone(),
            disk.clone(),
            Hook::start(rules.alert_command.clone(), rules.alert_command_limit),
        );
        for effect in effects {
            shell.perform(effect);
        }
        let first = state.snapshot(now);
        let seq = kept.first_seq(self.epoch);
        let mut core = Loop {
            publisher: Publisher::new(first.clone(), seq),
            since: Since::default(),
            keeping: Keeping::default(),
            recalled,
            reserved: seq + SEQ_STEP,
            restarts: state.restarts(),
            measured: state.measured(),
            order: state.order(),
            clocks: state.clocks(),
            alerts: watch::Sender::new(Arc::new(state.alerts.list().to_vec())),
            health: watch::Sender::new(Arc::new(state.health(now, &first))),
            health_told: now.mono,
            histories: watch::Sender::new(Arc::new(state.histories())),
            snapshot: watch::Sender::new(Arc::new(Snapshot { seq, ..first })),
            pids: watch::Sender::new(Vec::new()),
            written: watch::Sender::new(self.library.clone()),
            clients: broadcast::Sender::new(server::EVENT_BUFFER),
            state,
            shell,
        };
        core.save(now);
        // Before anybody is told a number: a crash right after the start must not make the next engine use it again.
        flush(disk.clone()).await;
        let socket = self.options.runtime.engine_socket();
        let clients = Clients::default();
        let board = Board {
            snapshot: core.snapshot.subscribe(),
            alerts: core.alerts.subscribe(),
            health: core.health.subscribe(),
            histories: core.histories.subscribe(),
            latencies: core.shell.latencies(),
            session_name: Arc::new(self.options.config.session_name.clone()),
        };
        let api = Tally::default();
        tokio::spawn(resources::watch(Watched {
            snapshot: core.snapshot.subscribe(),
            events: events.clone(),
            requests: requests.clone(),
            disk: disk.clone(),
            clients: clients.clone(),
            api: api.clone(),
        }));
        let mut unserved = Some((requests, board));
        tokio::spawn(probe::watch_space(self.home.clone(), core.written.subscribe(), events.clone()));
        let pressure = self.options.config.degradation.pressure_percent;
        tokio::spawn(governor::watch::watch(pressure, core.shell.prover(), events.clone()));
        tokio::spawn(disk::watch::run(disk.at_work().clone(), events.clone()));
        tokio::spawn(probe::watch_usage(core.pids.subscribe(), events.clone()));
        tokio::spawn(protect::watch(core.snapshot.subscribe(), clients.clone(), events.clone()));
        proof::search(self.library.clone(), events.clone());
        tokio::spawn(search::run(self.library.clone(), events));

        let mut signals = Signals::catch()?;
        let mut notify = Notify::new(Manager::of_environment());
        let mut clocks = interval(CLOCKS);
        clocks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lifetime = self.options.spawned.then(|| Lifetime::new(now.mono));
        while !core.shell.may_exit() {
            if let Some(epoch) = core.shell.superseded() {
                anyhow::bail!(
                    "another engine (number {epoch}) has taken over; this one leaves and writes nothing more"
                );
            }
            if core.state.is_leaving() {
                notify.leave(core.state.is_idle());
            }
            let settled = core.state.is_settled() || clock::mono_now().since(now.mono) >= SETTLE_DEADLINE;
            if let Some((requests, board)) = unserved.take_if(|_| settled) {
                let listener =
                    server::bind(&socket).with_context(|| format!("{} cannot be bound", socket.display()))?;
                tokio::spawn(server::serve(
                    listener,
                    requests,
                    board,
                    self.library.clone(),
                    clients.clone(),
                    api.clone(),
                ));
            }
            tokio::select! {
                Some(event) = queue.recv() => core.handle(event),
                Some(request) = asked.recv() => core.answer(request),
                _ = ticks.tick() => {
                    core.handle(Event::Tick);
                    if clock::mono_now().since(core.health_told) >= HEALTH_EVERY {
                        core.tell_health(self::now());
                    }
                    let over = |lifetime: &mut Lifetime| lifetime.is_over(clock::mono_now(), clients.count(), core.state.is_idle());
                    if lifetime.as_mut().is_some_and(over) {
                        core.handle(Event::Leave);
                    }
                    notify.looked(clock::mono_now(), unserved.is_none(), &core.snapshot.borrow());
                }
                _ = clocks.tick() => clock::offsets().into_iter().for_each(|seen| core.handle(Event::Clocks(seen))),
                () = signals.next() => core.handle(Event::Leave),
            }
        }
        notify.leave(core.state.is_idle());
        if core.keeping.is_behind() {
            core.save(self::now());
        }
        flush(disk).await;
        tidy(&self.options, &socket);
        tracing::info!("the engine leaves");
        Ok(())
    }
}

impl Loop {
    fn handle(&mut self, event: Event) {
        let now = now();
        if matches!(event, Event::Recalled(_)) {
            self.recalled = true;
            // Of what has happened before, nothing was kept.
            self.keeping.note(Missing::Restart);
        }
        for effect in self.state.handle(now, event) {
            self.shell.perform(effect);
        }
        if self.shell.superseded().is_none() {
            self.publish(now);
        }
    }

    fn publish(&mut self, now: Now) {
        let mut next = self.state.snapshot(now);
        self.since.date(&mut next, now.at);
        let events = self.publisher.update(now, &next, |seq| self.state.alerts.take_changed(seq));
        let alerts_changed = events.iter().any(|event| matches!(**event, crate::protocol::event::Event::Alert { .. }));
        next.seq = self.publisher.seq();
        let pids: Vec<(InputId, u32)> =
            next.inputs.iter().filter_map(|input| Some((input.id.clone(), input.worker.as_ref()?.pid?))).collect();
        self.pids.send_if_modified(|known| std::mem::replace(known, pids.clone()) != pids);
        self.written.send_if_modified(|known| {
            let changed = known != self.state.written();
            self.state.written().clone_into(known);
            changed
        });
        let before = self.snapshot.send_replace(Arc::new(next.clone()));
        if before.level.words() != next.level.words() {
            tracing::info!(before = ?before.level, now = ?next.level, "the level has changed");
        }
        for event in events {
            // Nobody listens.
            drop(self.clients.send(Fresh { event, since: now.mono }));
        }
        if let Some(histories) = self.state.new_histories() {
            self.histories.send_replace(Arc::new(histories));
        }
        if alerts_changed {
            self.alerts.send_replace(Arc::new(self.state.alerts.list().to_vec()));
        }
        let restarts = self.state.restarts();
        if restarts != self.restarts {
            self.restarts = restarts;
            self.keeping.note(Missing::Restart);
        }
        let clocks = self.state.clocks();
        let set = std::mem::replace(&mut self.clocks, clocks) != clocks;
        let order = self.state.order();
        let set = (std::mem::replace(&mut self.order, order) != self.order) || set;
        let measured = self.state.measured();
        let set = (std::mem::replace(&mut self.measured, measured) != self.measured) || set;
        if set || alerts_changed || self.publisher.seq() + SEQ_STEP / 2 >= self.reserved {
            self.keeping.note(Missing::Account);
        }
        if self.keeping.is_due(now.mono, self.shell.is_saving()) {
            self.save(now);
        }
    }

    /// Publishes how the recorder is.
    fn tell_health(&mut self, now: Now) {
        let snapshot = self.snapshot.borrow().clone();
        self.health.send_replace(Arc::new(self.state.health(now, &snapshot)));
        self.health_told = now.mono;
    }

    /// Keeps what the next engine has to know.
    fn save(&mut self, now: Now) {
        let reserved = self.publisher.seq() + SEQ_STEP;
        let (alerts, restarts) = (self.state.alerts.list().to_vec(), self.restarts.clone());
        let (measured, order) = (self.measured.clone(), self.order.clone());
        let account =
            Account { seq: reserved, alerts, restarts, measured, clocks: self.clocks, order, whole: self.recalled };
        if self.shell.save(account) {
            self.reserved = reserved;
            self.keeping.begin(now.mono);
        }
    }
}

fn now() -> Now {
    Now { mono: clock::mono_now(), at: clock::wall_now() }
}
