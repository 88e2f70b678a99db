//! Has an engine started when none answers (R-SUP-11), from a thread that keeps the priority the window was started
//! with: nice can only go up, so whatever the window later gives away must not be inherited by the recorder.
//!
//! Contract: an engine that is mute is not ended from here. A new one is started, looks for itself and takes over; it
//! is harmless when several windows start one each, because only one gets the lock. Where systemd runs the engine,
//! systemd is asked and nothing is spawned, unless its unit does not come to serve ([`UNIT_SERVES`]); it is told to kill
//! one only if that was asked for a sign of life and gave none, and not again while the next one comes up.

use crate::model::MonoNs;
use crate::protocol::api::SIGN_OF_LIFE;
use crate::protocol::client::EVENT_SILENCE;
use crate::sys::clock::mono_now;
use crate::sys::process::{self, Priority, Process};
use crate::sys::unix_listener;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Requests that may wait; one link asks for one engine at a time.
const WAITING: usize = 1;
/// An engine that ends within this time did not come up: it takes less than one second to read its configuration.
const COMING_UP: Duration = Duration::from_secs(2);
/// An engine that was started to take over has done so by then (R-SUP-11: 5 s in all); later another one may try.
const TAKING_OVER: Duration = Duration::from_secs(5);
/// An engine that nobody hears of after this long waits for a disk that hangs: it gives its library 15 s to be locked,
/// and everything else is there within 3 s. It is not replaced; the next one would wait as well.
const HEARD_OF: Duration = Duration::from_secs(10);
/// The one that does not answer, and the one that is to take its place.
const AT_ONCE: usize = 2;
/// The unit of the engine, where systemd runs it.
const UNIT: &str = "holdfast-engine.service";
/// systemd answers within milliseconds; the operator must not wait for a bus that does not.
const SYSTEMD_ANSWERS: Duration = Duration::from_secs(1);

/// The same for one that systemd was told to start. A unit that cannot start (its program was moved, it was started too
/// often) must not leave the window without an engine: after this long it starts its own.
const UNIT_SERVES: Duration = Duration::from_secs(20);

/// Why an engine is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nobody listens.
    Absent,
    /// Somebody listens and says nothing.
    Mute,
}

/// How the last engine this window started is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It runs (or is coming up).
    Running,
    /// It could not be started, or ended at once; the words say why.
    Failed(String),
}

type Request = (Need, oneshot::Sender<Started>);

/// Asks the thread for an engine.
#[derive(Debug, Clone)]
pub struct EngineStarter {
    requests: SyncSender<Request>,
    thread: u32,
}

impl EngineStarter {
    /// Starts the thread. `args` follow `engine --spawned`; `ours_alone` = no unit of systemd serves this runtime
    /// folder, where an engine listens on `socket`. Call before the window's priority is changed.
    pub fn new(args: Vec<OsString>, socket: PathBuf, ours_alone: bool) -> io::Result<Self> {
        let (requests, waiting) = sync_channel(WAITING);
        let systemd =
            (!ours_alone).then(|| Systemd { program: "systemctl".into(), socket, replaced: None, absent: None });
        let starter = Starter { args, systemd, engines: Vec::new() };
        let (say, told) = sync_channel(1);
        std::thread::Builder::new().name("engine-starter".to_owned()).spawn(move || {
            // Nobody is left to hear it only if the window is gone.
            let _ = say.send(process::own_thread());
            starter.serve(&waiting);
        })?;
        let thread = told.recv_timeout(COMING_UP).map_err(|_| io::Error::other("a thread does not start"))?;
        Ok(Self { requests, thread })
    }

    /// The thread that spawns.
    pub fn thread(&self) -> u32 {
        self.thread
    }

    /// Has an engine started unless the one started before is on its way; says how that went.
    pub async fn ensure(&self, need: Need) -> Started {
        let (reply, answer) = oneshot::channel();
        if self.requests.try_send((need, reply)).is_err() {
            return Started::Running;
        }
        answer.await.unwrap_or_else(|_| Started::Failed("the window is closing".to_owned()))
    }
}

/// An engine this window started.
struct Engine {
    process: Process,
    since: MonoNs,
}

struct Starter {
    args: Vec<OsString>,
    systemd: Option<Systemd>,
    /// Those that were not seen to end, oldest first.
    engines: Vec<Engine>,
}

impl Starter {
    fn serve(mut self, waiting: &Receiver<Request>) {
        while let Ok((need, reply)) = waiting.recv() {
            let started = self.ensure(need).unwrap_or_else(|error| Started::Failed(error.to_string()));
            // The link that asked may be gone; the engine stays.
            let _ = reply.send(started);
        }
    }

    /// An engine that had worked is replaced at once; one that ended while coming up is told first, and replaced when
    /// asked again.
    fn ensure(&mut self, need: Need) -> io::Result<Started> {
        let failed = self.reap()?;
        // While one of ours runs it is the one, also where systemd's is given up.
        let systemd = self.systemd.as_mut().filter(|_| self.engines.is_empty());
        let mut instead = false;
        if let Some(systemd) = systemd.filter(|systemd| systemd.runs_the_engine()) {
            if systemd.is_waited_for(need, mono_now()) {
                return Ok(systemd.bring(need));
            }
            instead = true;
        }
        if let (Need::Absent, Some(how)) = (need, failed) {
            return Ok(Started::Failed(how));
        }
        let newest = self.engines.last().map(|newest| mono_now().since(newest.since));
        if let Some(known) = newest.and_then(|age| on_its_way(need, self.engines.len(), age)) {
            return Ok(known);
        }
        tracing::warn!(
            "{}; an engine is started, recordings go on meanwhile",
            match need {
                Need::Absent => "no engine runs",
                Need::Mute => "the engine does not answer",
            }
        );
        let mut all = vec![OsString::from("engine"), OsString::from("--spawned")];
        all.extend_from_slice(&self.args);
        self.engines.push(Engine { process: process::spawn(&all, Priority::Inherited)?, since: mono_now() });
        if instead {
            tracing::error!("{UNIT} does not come to serve; this window starts an engine itself");
            let why = format!("{UNIT} does not start; this window starts an engine itself");
            return Ok(Started::Failed(format!("{why}; see journalctl --user -u {UNIT}")));
        }
        Ok(Started::Running)
    }

    /// Forgets the engines that ended; how the newest one did, if it did not even come up.
    fn reap(&mut self) -> io::Result<Option<String>> {
        let mut failed = None;
        for Engine { mut process, since } in std::mem::take(&mut self.engines) {
            match process.ended()? {
                None => {
                    failed = None;
                    self.engines.push(Engine { process, since });
                }
                Some(how) => {
                    let came_up = mono_now().since(since) > COMING_UP;
                    tracing::warn!("an engine ended ({how})");
                    failed = (!came_up).then_some(how);
                }
            }
        }
        Ok(failed)
    }
}

/// How those of ours are doing of which `engines` have not ended, the newest after `age`; `None` = another is needed.
fn on_its_way(need: Need, engines: usize, age: Duration) -> Option<Started> {
    match need {
        Need::Absent if age >= HEARD_OF => {
            Some(Started::Failed("the engine does not come up; its disk may hang".to_owned()))
        }
        Need::Absent => Some(Started::Running),
        Need::Mute => (engines >= AT_ONCE || age < TAKING_OVER).then_some(Started::Running),
    }
}

/// The user's own systemd.
#[derive(Debug)]
struct Systemd {
    program: OsString,
    /// Where its engine answers.
    socket: PathBuf,
    /// When it was last told to kill an engine and start another.
    replaced: Option<MonoNs>,
    /// Since when nobody listens, and when that was seen last.
    absent: Option<(MonoNs, MonoNs)>,
}

impl Systemd {
    /// Whether the engine is a unit that runs, that systemd is about to start again, or that is to run whenever the user
    /// is there (enabled). Without systemd: no.
    fn runs_the_engine(&self) -> bool {
        let says = |verb| {
            let said = process::ask(&self.program, &["--user", verb, UNIT], SYSTEMD_ANSWERS);
            said.map(|finished| String::from_utf8_lossy(&finished.output).trim().to_owned())
        };
        match says("is-active").as_deref() {
            Ok("active" | "activating" | "deactivating" | "reloading") => true,
            Ok(_) => matches!(says("is-enabled").as_deref(), Ok("enabled" | "enabled-runtime")),
            // No systemd, or one that does not answer.
            Err(_) => false,
        }
    }

    /// Whether its engine may still come up by itself. A window asks every few seconds as long as nobody listens.
    fn is_waited_for(&mut self, need: Need, now: MonoNs) -> bool {
        let since = match (need, self.absent) {
            (Need::Mute, _) => {
                self.absent = None;
                return true;
            }
            (Need::Absent, Some((since, last))) if now.since(last) < HEARD_OF => since,
            (Need::Absent, _) => now,
        };
        self.absent = Some((since, now));
        now.since(since) < UNIT_SERVES
    }

    /// A mute engine is killed first: it would not hear SIGTERM, and systemd would wait for it for 90 s. Its workers,
    /// in the same group, are not touched.
    fn bring(&mut self, need: Need) -> Started {
        let on_its_way = |at: MonoNs| mono_now().since(at) < TAKING_OVER;
        let asked = match need {
            Need::Absent => self.tell(&["start"]),
            Need::Mute if self.replaced.is_some_and(on_its_way) || !self.is_mute() => Ok(()),
            Need::Mute => {
                tracing::error!("the engine of {UNIT} does not answer; it is replaced, the recordings go on");
                self.replaced = Some(mono_now());
                self.tell(&["kill", "--kill-who=main", "--signal=SIGKILL"]).and_then(|()| self.tell(&["restart"]))
            }
        };
        match asked {
            Ok(()) => Started::Running,
            Err(error) => {
                Started::Failed(format!("systemd does not start {UNIT}: {error}; see journalctl --user -u {UNIT}"))
            }
        }
    }

    /// Whether somebody listens and says nothing. One that is coming up, or that systemd is about to start, has no
    /// socket yet; one that is full says so.
    fn is_mute(&self) -> bool {
        let asked = unix_listener::connect_within(&self.socket, EVENT_SILENCE);
        let answered = asked.and_then(|mut peer| peer.answers(SIGN_OF_LIFE, EVENT_SILENCE));
        answered.is_err_and(|error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }

    fn tell(&self, verb: &[&str]) -> io::Result<()> {
        let args: Vec<&str> = ["--user", "--no-block"].iter().chain(verb).copied().chain([UNIT]).collect();
        match process::ask(&self.program, &args, SYSTEMD_ANSWERS)?.success {
            true => Ok(()),
            false => Err(io::Error::other(format!("{} was refused", verb[0]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    /// An executable of this text. Another process writes it: a neighbour test that starts a child just then would hand
    /// a descriptor of ours down to it, and what is open for writing cannot be executed (ETXTBSY).
    fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        let write = "printf %s \"$2\" > \"$1\" && chmod 700 \"$1\"";
        let args = [OsStr::new("-c"), write.as_ref(), "write".as_ref(), path.as_os_str(), text.as_ref()];
        let written = process::ask("sh".as_ref(), &args, Duration::from_secs(10)).expect("a shell");
        assert!(written.success, "{} is not written", path.display());
        path
    }

    /// A systemctl that says `state` (`VERB:ANSWER` …) and notes what it was told.
    fn systemd(folder: &Path, state: &str) -> Systemd {
        let told = folder.join("told");
        let script = format!(
            "#!/bin/sh\ncase \"$2\" in is-*) for said in {state}; do [ \"${{said%%:*}}\" = \"$2\" ] && echo \"${{said#*:}}\"; done; exit;; esac\n\
                 echo \"$*\" >> {}\n",
            told.display()
        );
        let program = program(folder, "systemctl", &script).into();
        Systemd { program, socket: folder.join("socket"), replaced: None, absent: None }
    }

    fn told(folder: &Path) -> Vec<String> {
        let told = std::fs::read_to_string(folder.join("told")).unwrap_or_default();
        told.lines().map(|line| line.replace("--user --no-block ", "")).collect()
    }

    #[test]
    fn where_systemd_runs_the_engine_only_systemd_is_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        // The kernel takes the connection, and nobody ever answers.
        let _mute = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        let systemd = Some(systemd(folder.path(), "is-active:activating"));
        let mut starter = Starter { args: Vec::new(), systemd, engines: Vec::new() };
        for need in [Need::Absent, Need::Mute, Need::Mute] {
            assert_eq!(starter.ensure(need).expect("asked"), Started::Running);
        }
        assert!(starter.engines.is_empty(), "an engine was spawned beside systemd's");
        // The one that comes up instead is left alone.
        let kill = format!("kill --kill-who=main --signal=SIGKILL {UNIT}");
        assert_eq!(told(folder.path()), [format!("start {UNIT}"), kill, format!("restart {UNIT}")]);
    }

    #[test]
    fn a_unit_that_does_not_come_to_serve_is_given_up_and_the_window_starts_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut waited = systemd(folder.path(), "is-active:failed is-enabled:enabled");
        let at = |seconds: u64| MonoNs(seconds * 1_000_000_000);
        assert!((0..5).all(|n| waited.is_waited_for(Need::Absent, at(4 * n))), "it comes up");
        assert!(!waited.is_waited_for(Need::Absent, at(20)));
        // It had served meanwhile, and went away just now.
        assert!(waited.is_waited_for(Need::Absent, at(100)));
        assert!(waited.is_waited_for(Need::Mute, at(104)) && waited.absent.is_none());

        let now = mono_now();
        waited.absent = Some((MonoNs(now.0.saturating_sub(UNIT_SERVES.as_nanos() as u64)), now));
        let mut starter = Starter { args: Vec::new(), systemd: Some(waited), engines: Vec::new() };
        let Started::Failed(why) = starter.ensure(Need::Absent).expect("asked") else { panic!("it is said") };
        assert!(why.contains(UNIT) && why.contains("itself"), "{why}");
        assert_eq!((starter.engines.len(), told(folder.path()).len()), (1, 0));
    }

    #[test]
    fn an_engine_that_does_not_come_up_is_spoken_of_and_not_doubled() {
        assert_eq!(on_its_way(Need::Absent, 1, HEARD_OF / 2), Some(Started::Running));
        assert!(matches!(on_its_way(Need::Absent, 1, HEARD_OF), Some(Started::Failed(_))));
        assert_eq!(on_its_way(Need::Mute, 1, HEARD_OF), None, "it has come up, and hangs");
        assert_eq!(on_its_way(Need::Mute, AT_ONCE, HEARD_OF), Some(Started::Running));
    }

    #[test]
    fn an_engine_of_systemd_that_answers_or_comes_up_is_never_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut systemd = systemd(folder.path(), "is-active:active");
        assert_eq!(systemd.bring(Need::Mute), Started::Running, "it has no socket yet");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        let full = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").expect("an answer");
        });
        assert_eq!(systemd.bring(Need::Mute), Started::Running, "it is full");
        full.join().expect("the engine");
        assert_eq!(told(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn without_systemd_or_its_unit_the_window_starts_the_engine_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!systemd(folder.path(), "is-active:inactive").runs_the_engine());
        assert!(!systemd(folder.path(), "is-active:failed is-enabled:disabled").runs_the_engine());
        assert!(systemd(folder.path(), "is-active:failed is-enabled:enabled").runs_the_engine());
        assert!(
            !Systemd { program: folder.path().join("nowhere").into(), ..systemd(folder.path(), "is-active:active") }
                .runs_the_engine()
        );
        let mute = program(folder.path(), "mute", "#!/bin/sh\nexec tail -f /dev/null\n");
        assert!(
            !Systemd { program: mute.into(), ..systemd(folder.path(), "is-active:active") }.runs_the_engine(),
            "a bus that does not answer is given up"
        );
    }
}
