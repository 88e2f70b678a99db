//! Words to the service manager that started this process, if one did: the protocol of sd_notify(3).
//!
//! Contract: never waits. Words for which its queue has no room are refused and can be said again; a manager that is
//! gone hears nothing, and nobody is kept by that.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The manager that waits to hear from this process.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that the environment names; `None` = nobody waits.
    pub fn of_environment() -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET")?;
        let manager = Self::at(&name, watchdog());
        manager.inspect_err(|error| tracing::warn!(?name, %error, "the service manager cannot be told anything")).ok()
    }

    /// The one that listens at `name`; a name that begins with `@` is an abstract one.
    pub fn at(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, watchdog })
    }

    /// It ends this process when it hears no `WATCHDOG=1` for so long.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Says `words`, one assignment per line.
    pub fn say(&self, words: &str) -> io::Result<()> {
        // By address each time: a manager that was executed anew listens behind another socket of that name.
        self.socket.send_to_addr(words.as_bytes(), &self.address).map(|_| ())
    }
}

/// Set for another process, it says nothing to this one.
fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_keeps_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).expect("a socket");
        let manager = Manager::at(path.as_os_str(), None).expect("a manager");
        let refused = (0..10_000).find_map(|_| manager.say("WATCHDOG=1\n").err()).expect("a queue has an end");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        let mut words = [0; 64];
        let count = listener.recv(&mut words).expect("said");
        assert_eq!(&words[..count], b"WATCHDOG=1\n");
        drop(listener);
        assert!(manager.say("WATCHDOG=1\n").is_err());
    }

    #[test]
    fn an_abstract_name_is_understood() {
        let name = format!("@holdfast-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).expect("a name");
        let listener = UnixDatagram::bind_addr(&address).expect("a socket");
        Manager::at(name.as_ref(), None).expect("a manager").say("READY=1\n").expect("heard");
        assert_eq!(listener.recv(&mut [0; 64]).expect("said"), 8);
    }
}
