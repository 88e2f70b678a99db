//! Asks the system not to sleep, shut down or end the session, over D-Bus: logind on the system bus, the session's
//! manager or the desktop portal on the session bus (a Flatpak sees only the latter).
//!
//! Contract: whatever is asked is answered within [`ANSWERS_WITHIN`] or counts as refused; a bus that is not there is
//! absent at once. What was got lasts as long as the [`Inhibitor`], its bus and the service that gave it, and ends with
//! this process in any case. A service that was not there or refused is worth to be asked again when another one answers
//! to its name.

use futures_util::StreamExt;
use futures_util::stream::select_all;
use std::time::Duration;
use zbus::proxy::{Builder, CacheProperties, SignalStream};
use zbus::zvariant::{OwnedFd, OwnedObjectPath, Value};
use zbus::{Connection, Message, MessageStream, connection};

/// A bus answers within milliseconds, a portal that has to be started first within a second.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const LOGIND: (&str, &str, &str) =
    ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager");
const SESSION: (&str, &str, &str) =
    ("org.gnome.SessionManager", "/org/gnome/SessionManager", "org.gnome.SessionManager");
const PORTAL: (&str, &str, &str) =
    ("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop", "org.freedesktop.portal.Inhibit");
/// What is inhibited at the session's manager and the portal: logout 1, sleep 4, idleness 8.
const FLAGS: u32 = 1 | 4 | 8;
/// What logind is asked to inhibit. Of all three at once it refuses everything when one may not be had.
const WHATS: [&str; 3] = ["sleep", "shutdown", "idle"];
const NO_ANSWER: &str = "no answer";
const WHO: &str = "Holdfast";
const APP: &str = "io.github.holdfast.Holdfast";

const BUS: (&str, &str, &str) = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus");

type Place = (&'static str, &'static str, &'static str);

/// What keeps the system from sleeping: of each bus what was got there, and asked for again by itself.
#[derive(Debug, Default)]
pub struct Inhibitor {
    system: Half,
    session: Half,
}

/// What came of asking: of each bus that was asked.
#[derive(Debug)]
pub struct Answer {
    system: Option<Half>,
    session: Option<Half>,
}

/// Which buses are to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    system: bool,
    session: bool,
}

/// What came of one bus.
#[derive(Debug, Default)]
struct Half {
    /// Closed to let go.
    locks: Vec<OwnedFd>,
    /// Says that the system goes down.
    shutdown: Option<SignalStream<'static>>,
    bus: Option<Connection>,
    held: Option<Held>,
    /// Says that somebody else answers to a name, or nobody.
    owners: Vec<Owners>,
    got: Vec<String>,
    keeps_awake: bool,
    /// Not everything was answered: what is missing may be had yet, above all word of a shutdown.
    late: bool,
    refused: Vec<String>,
    /// Its bus or its service is gone, and what was got there with it; or one has come that had not given anything.
    lost: bool,
}

/// Who answers to a name.
#[derive(Debug)]
struct Owners {
    changes: SignalStream<'static>,
    /// Something is held there.
    held: bool,
}

/// Something held at the session bus, which ends with its connection too.
#[derive(Debug)]
enum Held {
    Cookie(Connection, u32),
    Request(Connection, OwnedObjectPath),
}

impl Missing {
    /// Asks whoever may be asked; `why` is shown to the user whose machine does not sleep.
    pub async fn ask(self, why: &str) -> Answer {
        let system = if self.system { Some(Half::of_system(why).await) } else { None };
        let session = if self.session { Some(Half::of_session(why).await) } else { None };
        Answer { system, session }
    }
}

impl Inhibitor {
    /// Whether the system does not go to sleep by itself.
    pub fn keeps_awake(&self) -> bool {
        self.halves().into_iter().any(|half| half.keeps_awake && !half.lost)
    }

    /// What was got.
    pub fn got(&self) -> String {
        self.halves()
            .map(|half| half.got.join("; "))
            .into_iter()
            .filter(|got| !got.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// What was refused, or is not there, and why, in English.
    pub fn refused(&self) -> String {
        self.halves()
            .into_iter()
            .flat_map(|half| half.refused.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Whether some of it is gone, or somebody has come who may give more.
    pub fn is_lost(&self) -> bool {
        self.halves().into_iter().any(|half| half.lost)
    }

    /// Where it is worth asking again; `None` = nowhere.
    pub fn missing(&self) -> Option<Missing> {
        let asleep = !self.keeps_awake();
        let missing = |half: &Half| asleep || half.lost || half.late;
        let missing = Missing { system: missing(&self.system), session: missing(&self.session) };
        (missing.system || missing.session).then_some(missing)
    }

    /// Takes what came of asking again in the place of what is held there, unless that is more and still holds; what is
    /// not held on to is let go of behind that.
    pub async fn take(&mut self, answer: Answer) {
        for (held, asked) in [(&mut self.system, answer.system), (&mut self.session, answer.session)] {
            let Some(asked) = asked else { continue };
            let is_more = !held.lost && held.rank() > asked.rank();
            if is_more { asked } else { std::mem::replace(held, asked) }.release().await;
        }
    }

    /// Waits until the system goes down; `false` = it is time to ask again: a bus or a service is gone, and so is what was
    /// got there, or one has come that had not given anything.
    pub async fn goes_down(&mut self) -> bool {
        tokio::select! {
            // What goes down first and is lost then is not only lost.
            biased;
            down = self.system.ends() => down,
            down = self.session.ends() => down,
        }
    }

    /// Lets go of everything.
    pub async fn release(self) {
        self.system.release().await;
        self.session.release().await;
    }

    fn halves(&self) -> [&Half; 2] {
        [&self.system, &self.session]
    }
}

impl Half {
    async fn of_system(why: &str) -> Self {
        let mut half = Self::default();
        match bus(connection::Builder::system()).await {
            Ok(bus) => {
                if let Err(reason) = in_time(half.ask_logind(&bus, why)).await {
                    half.refused.push(format!("logind: {reason}"));
                    half.late = true;
                }
                half.watch(&bus, LOGIND.0, !half.locks.is_empty()).await;
                half.bus = Some(bus);
            }
            Err(absent) => {
                half.refused.push(format!("no system bus{absent}"));
                // Nobody tells of a bus that comes.
                half.late = true;
            }
        }
        half
    }

    async fn of_session(why: &str) -> Self {
        let mut half = Self::default();
        match bus(connection::Builder::session()).await {
            Ok(bus) => match ask_session(&bus, why).await {
                Ok((held, by)) => {
                    half.got.push(format!("logout, sleep, idle ({by})"));
                    let name = if matches!(held, Held::Cookie(..)) { SESSION.0 } else { PORTAL.0 };
                    (half.held, half.keeps_awake) = (Some(held), true);
                    half.watch(&bus, name, true).await;
                }
                Err(reason) => {
                    half.refused.push(reason);
                    half.watch(&bus, SESSION.0, false).await;
                    half.watch(&bus, PORTAL.0, false).await;
                }
            },
            Err(absent) => half.refused.push(format!("no session bus{absent}")),
        }
        half
    }

    /// What is more is held on to.
    fn rank(&self) -> (bool, bool, usize) {
        (self.keeps_awake, self.shutdown.is_some(), self.locks.len())
    }

    /// Hears from here on who answers to `name`. Behind the question, because that may have started who answers.
    async fn watch(&mut self, bus: &Connection, name: &str, held: bool) {
        let changes = async {
            let proxy = Builder::<zbus::Proxy<'static>>::new(bus).destination(BUS.0)?.path(BUS.1)?;
            let proxy = proxy.interface(BUS.2)?.cache_properties(CacheProperties::No).build().await?;
            proxy.receive_signal_with_args("NameOwnerChanged", &[(0, name)]).await
        };
        match in_time(changes).await {
            Ok(changes) => self.owners.push(Owners { changes, held }),
            Err(reason) => tracing::debug!(name, reason, "a bus does not tell who answers on it"),
        }
    }

    async fn ask_logind(&mut self, bus: &Connection, why: &str) -> zbus::Result<()> {
        let lock = async |what: &str, mode: &str| -> zbus::Result<OwnedFd> {
            call(bus, LOGIND, "Inhibit", &(what, WHO, why, mode)).await?.body().deserialize()
        };
        match lock(&WHATS.join(":"), "block").await {
            Ok(held) => {
                self.locks.push(held);
                self.got.push(format!("{} (logind)", WHATS.join(", ")));
                self.keeps_awake = true;
            }
            Err(zbus::Error::MethodError(..)) => {
                for what in WHATS {
                    match lock(what, "block").await {
                        Ok(held) => {
                            self.locks.push(held);
                            self.got.push(format!("{what} (logind)"));
                            self.keeps_awake |= what == "sleep";
                        }
                        Err(error) => self.refused.push(format!("{what}: {}", words(&error))),
                    }
                }
            }
            Err(error) => return Err(error),
        }
        // Who may force a shutdown is heard before it begins, and waited for some seconds.
        let manager = Builder::<zbus::Proxy<'static>>::new(bus).destination(LOGIND.0)?.path(LOGIND.1)?;
        let manager = manager.interface(LOGIND.2)?.cache_properties(CacheProperties::No).build().await?;
        self.shutdown = Some(manager.receive_signal("PrepareForShutdown").await?);
        match lock("shutdown", "delay").await {
            Ok(held) => self.locks.push(held),
            Err(error) => {
                self.refused.push(format!("time before a shutdown: {}", words(&error)));
                self.late = true;
            }
        }
        Ok(())
    }

    /// The same for one bus, once.
    async fn ends(&mut self) -> bool {
        if self.lost {
            return std::future::pending().await;
        }
        let session = self.held.as_ref().map(|held| match held {
            Held::Cookie(bus, _) | Held::Request(bus, _) => MessageStream::from(bus),
        });
        let lost = async {
            let Some(mut messages) = session else { return std::future::pending().await };
            while messages.next().await.is_some_and(|message| message.is_ok()) {}
        };
        let shutdown = &mut self.shutdown;
        let down = async {
            let Some(signals) = shutdown else { return std::future::pending().await };
            while let Some(signal) = signals.next().await {
                if signal.body().deserialize::<bool>().unwrap_or(false) {
                    return true;
                }
            }
            false
        };
        let mut owners = select_all(self.owners.iter_mut().map(|Owners { changes, held }| {
            let held = *held;
            changes.filter(move |change| std::future::ready(held || names_an_owner(change)))
        }));
        let changed = async {
            if owners.next().await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        let down = tokio::select! {
            biased;
            down = down => down,
            () = lost => false,
            () = changed => false,
        };
        self.lost = !down;
        down
    }

    /// Lets go of it.
    async fn release(self) {
        drop((self.locks, self.shutdown, self.bus));
        let released = match &self.held {
            None => return,
            Some(Held::Cookie(bus, cookie)) => in_time(call(bus, SESSION, "Uninhibit", &(cookie,))).await,
            Some(Held::Request(bus, request)) => {
                let close =
                    bus.call_method(Some(PORTAL.0), request, Some("org.freedesktop.portal.Request"), "Close", &());
                in_time(close).await
            }
        };
        if let Err(reason) = released {
            // It ends with the connection.
            tracing::debug!(reason, "the session was not told that it may sleep again");
        }
    }
}

/// Whether somebody answers to a name now.
fn names_an_owner(change: &Message) -> bool {
    let named = change.body().deserialize::<(String, String, String)>();
    named.is_ok_and(|(_, _, owner)| !owner.is_empty())
}

/// The session's manager, and the portal where there is none: both speak for the same desktop.
async fn ask_session(bus: &Connection, why: &str) -> Result<(Held, &'static str), String> {
    let session = async {
        let reply = call(bus, SESSION, "Inhibit", &(APP, 0u32, why, FLAGS)).await?;
        Ok(Held::Cookie(bus.clone(), reply.body().deserialize()?))
    };
    let first = match in_time(session).await {
        Ok(held) => return Ok((held, "session manager")),
        Err(reason) => reason,
    };
    let portal = async {
        let options = std::collections::HashMap::from([("reason", Value::from(why))]);
        let reply = call(bus, PORTAL, "Inhibit", &("", FLAGS, options)).await?;
        Ok(Held::Request(bus.clone(), reply.body().deserialize()?))
    };
    let held = in_time(portal).await.map_err(|reason| format!("session manager: {first}; portal: {reason}"))?;
    Ok((held, "portal"))
}

/// A connection of our own; `Err` = there is no bus, with what is worth to be added to that.
async fn bus(builder: zbus::Result<connection::Builder<'_>>) -> Result<Connection, &'static str> {
    let connected = async { builder?.method_timeout(ANSWERS_WITHIN).build().await };
    match tokio::time::timeout(ANSWERS_WITHIN, connected).await {
        Ok(Ok(bus)) => Ok(bus),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a bus is not there");
            Err("")
        }
        Err(_) => Err(" that answers"),
    }
}

async fn call<B>(bus: &Connection, (name, path, interface): Place, method: &str, body: &B) -> zbus::Result<Message>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    bus.call_method(Some(name), path, Some(interface), method, body).await
}

/// What `asked` comes to, or why not, in English.
async fn in_time<T>(asked: impl Future<Output = zbus::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWERS_WITHIN, asked).await {
        Ok(answer) => answer.map_err(|error| words(&error)),
        Err(_) => Err(NO_ANSWER.to_owned()),
    }
}

fn words(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(name, text, _) => text.clone().unwrap_or_else(|| name.to_string()),
        // One call took all the time there was; either deadline may be the first to be seen.
        zbus::Error::InputOutput(error) if error.kind() == std::io::ErrorKind::TimedOut => NO_ANSWER.to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
impl Inhibitor {
    /// One that got nothing, for this reason.
    pub fn refused_by(why: &str) -> Self {
        Self { system: Half { refused: vec![why.to_owned()], ..Half::default() }, ..Self::default() }
    }

    /// One that holds something at a session bus, and the other end of that.
    pub async fn of_session() -> (Self, tokio::net::UnixStream) {
        let (ours, theirs) = tokio::net::UnixStream::pair().expect("sockets");
        // A bus that has said its greetings.
        let guid = "0123456789abcdef0123456789abcdef";
        let bus = connection::Builder::authenticated_socket(ours, guid).expect("a bus").build().await.expect("a bus");
        let session = Half { held: Some(Held::Cookie(bus, 1)), keeps_awake: true, ..Half::default() };
        (Self { session, ..Self::default() }, theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn what_is_held_at_the_session_is_lost_with_its_bus() {
        let (mut held, theirs) = Inhibitor::of_session().await;
        assert!(timeout(Duration::from_millis(50), held.goes_down()).await.is_err(), "it is held");
        assert!(held.keeps_awake() && held.missing().is_none());
        drop(theirs);
        assert_eq!(timeout(Duration::from_secs(10), held.goes_down()).await, Ok(false));
        assert!(!held.keeps_awake() && held.is_lost());
        // What the other bus has to say is heard all the same, and that one is not said again.
        assert!(timeout(Duration::from_millis(50), held.goes_down()).await.is_err());
    }

    #[tokio::test]
    async fn what_holds_is_not_let_go_of_for_less() {
        let half = |keeps_awake, got: &str| Half { keeps_awake, got: vec![got.to_owned()], ..Half::default() };
        let mut held = Inhibitor { session: half(true, "before"), ..Inhibitor::default() };
        held.system.late = true;
        assert_eq!(held.missing(), Some(Missing { system: true, session: false }), "what holds is not asked again");
        let answer = |keeps_awake| Answer { system: None, session: Some(half(keeps_awake, "behind")) };
        held.take(answer(false)).await;
        assert_eq!((held.got().as_str(), held.keeps_awake()), ("before", true));
        held.take(answer(true)).await;
        assert_eq!(held.got(), "behind");
        held.session.lost = true;
        assert_eq!(held.missing(), Some(Missing { system: true, session: true }));
        held.take(answer(false)).await;
        assert!(!held.keeps_awake() && !held.is_lost());
    }
}
