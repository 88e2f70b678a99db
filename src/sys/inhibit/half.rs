//! What is held at one bus: asked for, watched and let go of by itself.
//!
//! Contract: that of [`super`], for one bus. One that is lost says so once, and stays lost until it is replaced.

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

/// What came of one bus.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Closed to let go.
    locks: Vec<OwnedFd>,
    /// Says that the system goes down.
    shutdown: Option<SignalStream<'static>>,
    bus: Option<Connection>,
    held: Option<Held>,
    /// Says that somebody else answers to a name, or nobody.
    owners: Vec<Owners>,
    pub(super) got: Vec<String>,
    pub(super) keeps_awake: bool,
    /// Not everything was answered: what is missing may be had yet, above all word of a shutdown.
    pub(super) late: bool,
    pub(super) refused: Vec<String>,
    /// Its bus or its service is gone, and what was got there with it; or one has come that had not given anything.
    pub(super) lost: bool,
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

impl Half {
    /// Asks logind.
    pub(super) async fn of_system(why: &str) -> Self {
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

    /// Asks the session's manager, else the portal.
    pub(super) async fn of_session(why: &str) -> Self {
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

    /// Whose going took with it what was held here, `None` = nothing was, or it holds.
    pub(super) fn gone(&self) -> Option<&'static str> {
        match &self.held {
            _ if !self.lost => None,
            Some(Held::Cookie(..)) => Some(SESSION.0),
            Some(Held::Request(..)) => Some(PORTAL.0),
            None => (!self.locks.is_empty()).then_some(LOGIND.0),
        }
    }

    /// What is more is held on to.
    pub(super) fn rank(&self) -> (bool, bool, usize) {
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
    pub(super) async fn ends(&mut self) -> bool {
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
    pub(super) async fn release(self) {
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
impl Half {
    /// One without a bus.
    pub(super) fn that_got(keeps_awake: bool, got: &[&str], refused: &[&str]) -> Self {
        let [got, refused] = [got, refused].map(|words| words.iter().map(|word| (*word).to_owned()).collect());
        Self { keeps_awake, got, refused, ..Self::default() }
    }

    /// One that holds something at the bus at the other end of `socket`.
    pub(super) async fn that_holds(socket: tokio::net::UnixStream) -> Self {
        // A bus that has said its greetings.
        let guid = "0123456789abcdef0123456789abcdef";
        let bus = connection::Builder::authenticated_socket(socket, guid).expect("a bus").build().await.expect("a bus");
        Self { held: Some(Held::Cookie(bus, 1)), keeps_awake: true, ..Self::default() }
    }
}
