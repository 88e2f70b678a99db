//! The pulse of a recording, beaten on a thread of its own because every beat waits for the disk.
//!
//! Contract: from 300 ms on while a [`Pulse`] lives there is a beat every 140 ms, rarer on a disk that syncs slowly
//! ([`Pace`]); each says itself how long its successor may take. A disk that does not answer makes beats late and nothing else: nobody
//! waits for this thread, also not when it is to end. It shares the hold of the session: nobody closes a session, and
//! removes its pulses, while one may still be written.

use crate::model::InputId;
use crate::storage::pulse::{Beat, PulseFile};
use crate::sys::clock;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// A stated loss is true to 100 ms: half of this, the frame it falls into, and what the disk adds. Each beat costs 0.12 ms
/// of a processor, nearly all of it in the kernel's flush (measured; neither `O_DSYNC` nor `O_DIRECT` costs less), so that
/// at ten per second a pulse alone would cost what supervision may (R-SUP-10).
const INTERVAL: Duration = Duration::from_millis(140);
/// A beat is made after this many times as long as a sync costs: 5 % of the time belong to a pulse at most.
const REST: u32 = 20;
/// So many syncs are remembered: about a second.
const KNOWN: usize = 8;
/// The first beat comes this long behind the start, whose own files are created and synced in the first moments; they
/// shall not wait for this one. What is lost before it is stated as an upper bound.
const FIRST: Duration = Duration::from_millis(300);
/// A disk that refused a beat is asked again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// A session that is held, and the pulse that beats meanwhile; dropping it ends both.
#[derive(Debug)]
pub struct Pulse {
    _hold: Arc<File>,
    _stop: SyncSender<Infallible>,
}

impl Pulse {
    /// Begins the pulse of `input` in the session folder `dir`, which `hold` holds. Without a thread there is none: a loss
    /// is then stated as an upper bound.
    pub fn start(input: InputId, dir: PathBuf, hold: File) -> Self {
        let (stop, stopped) = sync_channel(0);
        let hold = Arc::new(hold);
        let shared = hold.clone();
        let beat = move || {
            let _hold = shared;
            if let Err(error) = clock::boot_id().and_then(|boot_id| beat_until(&stopped, &input, &dir, &boot_id)) {
                tracing::warn!(%input, %error, "there is no pulse: what a power cut costs will be known less well");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("pulse".to_owned()).spawn(beat) {
            tracing::warn!(%error, "no thread for a pulse: what a power cut costs will be known less well");
        }
        Self { _hold: hold, _stop: stop }
    }
}

fn beat_until(stopped: &Receiver<Infallible>, input: &InputId, dir: &Path, boot_id: &str) -> io::Result<()> {
    let mut pace = Pace::default();
    let mut file: Option<PulseFile> = None;
    let mut refused = false;
    let mut next = clock::mono_now().plus(FIRST);
    loop {
        match stopped.recv_timeout(next.since(clock::mono_now())) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(never) => match never {},
        }
        let at = clock::mono_now();
        let beat = Beat { boot_id: boot_id.to_owned(), at, window: pace.window() };
        let result = match &file {
            Some(file) => file.beat(&beat),
            None => PulseFile::begin(dir, input, &beat).map(|begun| file = Some(begun)),
        };
        next = match result {
            Ok(()) => {
                let next = at.plus(pace.interval());
                pace.synced(clock::mono_now().since(at));
                next
            }
            Err(error) => {
                if !std::mem::replace(&mut refused, true) {
                    tracing::warn!(%input, %error, "the disk refuses the pulse; it is tried again");
                }
                file = None;
                clock::mono_now().plus(RETRY)
            }
        };
    }
}

/// How often it beats: the disk belongs to the recordings.
#[derive(Debug, Default)]
struct Pace {
    /// How long the last syncs took, the newest last.
    syncs: VecDeque<Duration>,
}

impl Pace {
    /// From one beat to the next. The quickest of some syncs is what one costs the disk; what others took longer, they
    /// waited for somebody else, and silence would help nobody.
    fn interval(&self) -> Duration {
        let full = self.syncs.len() == KNOWN;
        let cost = self.syncs.iter().min().filter(|_| full).copied().unwrap_or_default();
        INTERVAL.max(cost * REST)
    }

    /// Until the next beat is on the disk.
    fn window(&self) -> Duration {
        self.interval() + self.syncs.iter().rev().take(2).max().copied().unwrap_or_default()
    }

    fn synced(&mut self, took: Duration) {
        if self.syncs.len() == KNOWN {
            self.syncs.pop_front();
        }
        self.syncs.push_back(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_is_left_in_peace_and_a_busy_one_is_no_slow_one() {
        let ms = Duration::from_millis;
        let mut pace = Pace::default();
        assert_eq!((pace.interval(), pace.window()), (ms(140), ms(140)));
        pace.synced(ms(2));
        (0..KNOWN - 1).for_each(|_| pace.synced(ms(60)));
        assert_eq!((pace.interval(), pace.window()), (ms(140), ms(200)));
        (0..KNOWN).for_each(|_| pace.synced(ms(10)));
        pace.synced(ms(30));
        assert_eq!((pace.interval(), pace.window()), (ms(200), ms(230)));
        pace.synced(ms(2));
        assert_eq!((pace.interval(), pace.window()), (ms(140), ms(170)));
    }
}
