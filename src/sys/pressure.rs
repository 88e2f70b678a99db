//! Pressure on the processors, as the kernel counts it (PSI): time in which somebody who could run did not.
//!
//! Contract: reads memory of the kernel only. A kernel without PSI says `None`, or refuses the trigger.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Of the whole machine.
const CPU: &str = "/proc/pressure/cpu";

/// For how long anybody has waited for a processor since boot; `None` = the kernel does not say.
pub fn cpu_waited() -> Option<Duration> {
    parse(&fs::read_to_string(CPU).ok()?)
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=1234`, in microseconds.
fn parse(text: &str) -> Option<Duration> {
    let row = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = row.split_ascii_whitespace().find_map(|field| field.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

/// Tells at once when somebody has waited for a processor for some time within a window.
#[derive(Debug)]
pub struct Trigger(AsyncFd<OwnedFd>);

impl Trigger {
    /// Fires once per `window` (500 ms to 10 s; for ordinary users a multiple of 2 s) in which somebody has waited for
    /// `waited`. To be called within a runtime; it lasts until it is dropped.
    #[allow(unsafe_code, reason = "the runtime wants the descriptor to be vouched for")]
    pub fn new(waited: Duration, window: Duration) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        // Not blocking, because the runtime waits for it.
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let mut file = options.open(CPU)?;
        // The kernel wants the zero at the end.
        file.write_all(format!("some {} {}\0", waited.as_micros(), window.as_micros()).as_bytes())?;
        let file = OwnedFd::from(file);
        // SAFETY: the descriptor is ours alone and moves in; nothing closes or replaces it while it is owned there.
        let registered = unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY) };
        Ok(Self(registered.map_err(io::Error::from)?))
    }

    /// Waits until it fires. To be dropped at any time.
    pub async fn fired(&self) -> io::Result<()> {
        let mut ready = self.0.ready(Interest::PRIORITY).await?;
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_those_who_wait_is_read() {
        let text = "some avg10=79.94 avg60=34.27 avg300=13.99 total=20358839316\nfull avg10=0.00 total=7\n";
        assert_eq!(parse(text), Some(Duration::from_micros(20_358_839_316)));
        assert_eq!(parse("full avg10=0.00 total=7\n"), None);
        assert_eq!(parse("some avg10=0.00\n"), None);
    }
}
