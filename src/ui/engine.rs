//! Has an engine started when none answers (R-SUP-11), from a thread that keeps the priority the window was started
//! with: nice can only go up, so whatever the window later gives away must not be inherited by the recorder.
//!
//! Contract: an engine that is mute is never ended from here. A new one is started, looks for itself and takes over;
//! it is harmless when several windows start one each, because only one gets the lock. Where systemd runs the engine,
//! systemd is asked and nothing is spawned.

use crate::model::MonoNs;
use crate::sys::clock::mono_now;
use crate::sys::process::{self, Priority, Process};
use std::ffi::OsString;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Requests that may wait; one link asks for one engine at a time.
const WAITING: usize = 1;
/// An engine that ends within this time did not come up: it takes less than one second to read its configuration.
const COMING_UP: Duration = Duration::from_secs(2);
/// An engine that was started to take over has done so by then (R-SUP-11: 5 s in all); later another one may try.
const TAKING_OVER: Duration = Duration::from_secs(5);
/// The one that does not answer, and the one that is to take its place.
const AT_ONCE: usize = 2;
/// The unit of the engine, where systemd runs it.
const UNIT: &str = "holdfast-engine.service";
/// systemd answers within milliseconds; the operator must not wait for a bus that does not.
const SYSTEMD_ANSWERS: Duration = Duration::from_secs(1);

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
}

impl EngineStarter {
    /// Starts the thread. `args` follow `engine --spawned`; `ours_alone` = no unit of systemd serves this runtime
    /// folder. Call before the window's priority is changed.
    pub fn new(args: Vec<OsString>, ours_alone: bool) -> io::Result<Self> {
        let (requests, waiting) = sync_channel(WAITING);
        let systemd = (!ours_alone).then(|| Systemd { program: "systemctl".into() });
        let starter = Starter { args, systemd, engines: Vec::new() };
        std::thread::Builder::new().name("engine-starter".to_owned()).spawn(move || starter.serve(&waiting))?;
        Ok(Self { requests })
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
        if let Some(systemd) = self.systemd.as_ref().filter(|systemd| systemd.runs_the_engine()) {
            return Ok(systemd.bring(need));
        }
        if let (Need::Absent, Some(how)) = (need, failed) {
            return Ok(Started::Failed(how));
        }
        let on_its_way = self.engines.last().is_some_and(|newest| match need {
            Need::Absent => true,
            Need::Mute => self.engines.len() >= AT_ONCE || mono_now().since(newest.since) < TAKING_OVER,
        });
        if on_its_way {
            return Ok(Started::Running);
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

/// The user's own systemd.
#[derive(Debug)]
struct Systemd {
    program: OsString,
}

impl Systemd {
    /// Whether the engine is a unit that runs, or that systemd is about to start again. Without systemd: no.
    fn runs_the_engine(&self) -> bool {
        let state = process::ask(&self.program, &["--user", "is-active", UNIT], SYSTEMD_ANSWERS);
        let state = state.map(|finished| String::from_utf8_lossy(&finished.output).trim().to_owned());
        matches!(state.as_deref(), Ok("active" | "activating" | "deactivating" | "reloading"))
    }

    /// A mute engine is killed first: it would not hear SIGTERM, and systemd would wait for it for 90 s. Its workers,
    /// in the same group, are not touched.
    fn bring(&self, need: Need) -> Started {
        let asked = match need {
            Need::Absent => self.tell(&["start"]),
            Need::Mute => {
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
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    /// A systemctl that says `state` and notes what it was told.
    fn systemd(folder: &Path, state: &str) -> Systemd {
        let program = folder.join("systemctl");
        let told = folder.join("told");
        let script =
            format!("#!/bin/sh\n[ \"$2\" = is-active ] && exec echo {state}\necho \"$*\" >> {}\n", told.display());
        std::fs::write(&program, script).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("executable");
        Systemd { program: program.into() }
    }

    #[test]
    fn where_systemd_runs_the_engine_only_systemd_is_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        for state in ["active", "activating"] {
            let systemd = Some(systemd(folder.path(), state));
            let mut starter = Starter { args: Vec::new(), systemd, engines: Vec::new() };
            assert_eq!(starter.ensure(Need::Absent).expect("asked"), Started::Running);
            assert_eq!(starter.ensure(Need::Mute).expect("asked"), Started::Running);
            assert!(starter.engines.is_empty(), "an engine was spawned beside systemd's");
        }
        let told = std::fs::read_to_string(folder.path().join("told")).expect("told");
        let lines: Vec<&str> = told.lines().take(3).collect();
        let kill = "--user --no-block kill --kill-who=main --signal=SIGKILL holdfast-engine.service";
        assert_eq!(lines[0], "--user --no-block start holdfast-engine.service");
        assert_eq!(lines[1..], [kill, "--user --no-block restart holdfast-engine.service"]);
    }

    #[test]
    fn without_systemd_or_its_unit_the_window_starts_the_engine_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!systemd(folder.path(), "inactive").runs_the_engine());
        assert!(!systemd(folder.path(), "failed").runs_the_engine());
        assert!(!Systemd { program: folder.path().join("nowhere").into() }.runs_the_engine());
        let mute = folder.path().join("mute");
        std::fs::write(&mute, "#!/bin/sh\nexec tail -f /dev/null\n").expect("written");
        std::fs::set_permissions(&mute, std::fs::Permissions::from_mode(0o700)).expect("executable");
        assert!(!Systemd { program: mute.into() }.runs_the_engine(), "a bus that does not answer is given up");
    }
}
