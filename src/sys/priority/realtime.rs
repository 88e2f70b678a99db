//! Those who may give a thread of ours a higher priority: the realtime portal (the way out of a sandbox) and RealtimeKit.
//!
//! Contract: every question has a deadline; a bus that is absent or hangs costs nothing but that. Both lend negative
//! nice values per thread, and only to so many threads of a user at a time; a thread started by such a thread begins at
//! nice 0 again (the kernel's `SCHED_RESET_ON_FORK`), so each has to be asked for itself.

use std::time::Duration;
use tokio::time::timeout;
use zbus::zvariant::OwnedValue;
use zbus::{Connection, connection};

/// A bus answers within milliseconds; a service that has to be started first within this, or it is asked again later.
const ANSWERS: Duration = Duration::from_secs(2);
/// What both grant by default; asked for because another administrator may think otherwise.
const LOWEST: &str = "MinNiceLevel";

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Helper {
    /// `org.freedesktop.portal.Realtime`, on the session bus.
    Portal,
    /// `org.freedesktop.RealtimeKit1`, on the system bus.
    RealtimeKit,
}

/// Why a thread was not raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such bus or service, or it does not answer; why, in English.
    Absent(String),
    /// It has lent as much as it lends at a time.
    Busy,
    /// The thread has ended.
    Gone,
    /// It does not want to; why, in English.
    Refused(String),
}

/// A helper that answered.
#[derive(Debug, Clone)]
pub struct Realtime {
    helper: Helper,
    bus: Connection,
    lowest: i32,
}

impl Helper {
    /// Bus name, object, interface.
    fn address(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Portal => {
                ("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop", "org.freedesktop.portal.Realtime")
            }
            Self::RealtimeKit => {
                ("org.freedesktop.RealtimeKit1", "/org/freedesktop/RealtimeKit1", "org.freedesktop.RealtimeKit1")
            }
        }
    }

    /// In a Flatpak a proxy speaks to the bus for us: the portal knows what our numbers mean there, nobody else does.
    fn is_told_by_proxy(self) -> bool {
        self == Self::Portal && std::path::Path::new("/.flatpak-info").exists()
    }

    /// Asks whether it is there and how far it goes.
    pub async fn call(self) -> Result<Realtime, Refusal> {
        let connect = async {
            let builder = match self {
                Self::Portal => connection::Builder::session(),
                Self::RealtimeKit => connection::Builder::system(),
            };
            let bus = builder?.method_timeout(ANSWERS).build().await?;
            if !self.is_told_by_proxy() && !knows_us(&bus).await? {
                return Ok(None);
            }
            let (name, path, interface) = self.address();
            let question = (interface, LOWEST);
            let answer =
                bus.call_method(Some(name), path, Some("org.freedesktop.DBus.Properties"), "Get", &question).await?;
            let lowest = i32::try_from(answer.body().deserialize::<OwnedValue>()?)?;
            Ok(Some(Realtime { helper: self, bus, lowest }))
        };
        match in_time(connect).await {
            Ok(helper) => helper.ok_or_else(|| Refusal::Absent("it is of another process namespace".to_owned())),
            Err(refusal) => Err(called(refusal)),
        }
    }
}

/// Whether a process number of ours means the same at the other end of a bus: else a stranger's threads would be raised.
/// The bus knows whose numbers it is told; whoever answers on it lives where it does.
async fn knows_us(bus: &Connection) -> zbus::Result<bool> {
    let (name, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
    let Some(own) = bus.unique_name() else { return Ok(false) };
    match bus.call_method(Some(name), path, Some(name), "GetConnectionUnixProcessID", &own.as_str()).await {
        Ok(answer) => Ok(answer.body().deserialize::<u32>()? == std::process::id()),
        // One it cannot see has no number.
        Err(zbus::Error::MethodError(..)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a refusal means to who was only called: of threads there was no talk, so what is missing is the service, or
/// the program that a bus was to start.
fn called(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Gone => Refusal::Absent("it cannot be started".to_owned()),
        other => other,
    }
}

impl Realtime {
    /// The lowest nice value it lends.
    pub fn lowest(&self) -> i32 {
        self.lowest
    }

    /// Has a thread of a process of ours raised.
    pub async fn raise(&self, pid: u32, tid: u32, nice: i32) -> Result<(), Refusal> {
        let (name, path, interface) = self.helper.address();
        let thread = (u64::from(pid), u64::from(tid), nice);
        let asked = self.bus.call_method(Some(name), path, Some(interface), "MakeThreadHighPriorityWithPID", &thread);
        in_time(async { asked.await.map(drop) }).await
    }
}

async fn in_time<T>(asked: impl Future<Output = zbus::Result<T>>) -> Result<T, Refusal> {
    match timeout(ANSWERS, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(understand(&error)),
        Err(_) => Err(Refusal::Absent("it does not answer".to_owned())),
    }
}

fn understand(error: &zbus::Error) -> Refusal {
    let zbus::Error::MethodError(name, words, _) = error else {
        return Refusal::Absent(error.to_string());
    };
    let words = words.clone().unwrap_or_default();
    match name.as_str().rsplit('.').next().unwrap_or_default() {
        "ServiceUnknown" | "NameHasNoOwner" | "UnknownMethod" | "UnknownInterface" | "UnknownObject"
        | "UnknownProperty" | "NoReply" | "Disconnected" | "InvalidArgs" => Refusal::Absent(words),
        "LimitsExceeded" => Refusal::Busy,
        // RealtimeKit puts the words of an errno into whatever name there is.
        _ if words.contains("busy") => Refusal::Busy,
        _ if words.contains("No such") => Refusal::Gone,
        name => Refusal::Refused(if words.is_empty() { name.to_owned() } else { words }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bus of somebody outside.
    const OUTSIDE: &str = "HOLDFAST_TEST_BUS";

    async fn connect(address: &str) -> Connection {
        connection::Builder::address(address).expect("an address").build().await.expect("a bus")
    }

    #[test]
    fn whose_bus_is_of_another_process_namespace_is_not_told_our_numbers() {
        let loops = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a loop");
        if let Ok(outside) = std::env::var(OUTSIDE) {
            return assert!(!loops.block_on(async { knows_us(&connect(&outside).await).await }).expect("an answer"));
        }
        let dir = tempfile::tempdir().expect("a folder");
        let address = format!("unix:path={}", dir.path().join("bus").display());
        #[allow(clippy::disallowed_methods, reason = "a process of a test")]
        let mut bus = std::process::Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address=1", &format!("--address={address}")])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("dbus-daemon");
        let said = std::io::BufRead::lines(std::io::BufReader::new(bus.stdout.take().expect("piped"))).next();
        assert!(said.is_some_and(|said| said.is_ok()), "it says where it is");
        let known = loops.block_on(async { knows_us(&connect(&address).await).await });
        let test = "sys::priority::realtime::tests::whose_bus_is_of_another_process_namespace_is_not_told_our_numbers";
        crate::sys::sandbox::runs(test, &[(OUTSIDE, address.as_ref())]);
        bus.kill().expect("ours");
        bus.wait().expect("killed");
        assert!(known.expect("an answer"));
    }

    #[test]
    fn a_service_whose_program_is_missing_is_absent_and_no_ended_thread() {
        let message = zbus::Message::method_call("/", "Get").expect("a name").build(&()).expect("a question");
        let name =
            zbus::names::OwnedErrorName::try_from("org.freedesktop.DBus.Error.Spawn.ExecFailed").expect("a name");
        let words = "Failed to execute program: No such file or directory".to_owned();
        let refusal = understand(&zbus::Error::MethodError(name, Some(words), message));
        assert_eq!(refusal, Refusal::Gone, "so it is about a thread");
        assert!(matches!(called(refusal), Refusal::Absent(_)));
        assert_eq!(called(Refusal::Busy), Refusal::Busy);
    }
}
