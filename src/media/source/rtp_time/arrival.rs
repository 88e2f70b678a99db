//! Where a stream lies, by when it arrives.
//!
//! The jitter buffer places packets picture by picture, in the order of decoding: when one arrives late it begins anew at
//! that time, and the B-frames behind it, which are older, it calls backward and begins anew again (measured beside
//! compilers: times repeated, swapped, hence none to decode at, and `isofmp4mux` ended the file). So the camera's times
//! say how far apart pictures are, and the jitter buffer's only where all of them lie.
//!
//! ```text
//! time = camera's time + shift        shift follows (jitter buffer's time − camera's time):
//!   down slowly, because what travels comes late and never early: the least is the truest
//!   up hardly, until it stayed up: then in one step
//!   anew where the camera's clock was set, and with the second packet: over TCP `rtspsrc` gives the first of each
//!   stream the time of the very first of all
//! ```

use super::share_of;

/// Parts of the stream's time by which the shift may change in it.
const DOWN: f64 = 0.2;
/// The same where the stream began with what a camera had kept, far too early.
const FAR_DOWN: f64 = 0.5;
/// More than this is far.
const FAR_NS: i64 = 500_000_000;
/// Clocks differ by 0.01 % at most, so this follows every one and nearly nothing else, like the B-frames that come late.
const UP: f64 = 0.001;
/// Later than this and for so long is no hold-up, of which a jitter buffer has forgotten all but a little after 2 s: the
/// camera stood still.
const LATE_NS: i64 = 10_000_000;
const LATE_FOR_NS: i64 = 3_000_000_000;
/// A step by this is the camera's: its stream left something out, and lies otherwise to the others than before.
const SLIPPED_NS: i64 = 200_000_000;
/// A step of the camera's clock that arrival knows nothing of; B-frames lie closer to their neighbours.
const CLOCK_SET_NS: i64 = 1_000_000_000;

/// What one stream's packets tell. All in nanoseconds.
#[derive(Debug, Default)]
pub struct Arrival {
    last: Option<Last>,
    shift: i64,
    /// The first and the latest time of the camera.
    first: i64,
    newest: i64,
    /// It has been late.
    late: Option<Late>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    sent: i64,
    arrived: i64,
}

/// Packets that come later than they should, one behind the other.
#[derive(Debug, Clone, Copy)]
struct Late {
    /// Since this time of the camera.
    since: i64,
    /// The shift that would suit the least late of them.
    least: i64,
}

/// What is known once a packet has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// What went before still holds.
    More,
    /// The stream lies otherwise to others than before.
    Slipped,
    /// The camera's clock was set.
    ClockSet,
}

impl Arrival {
    /// A packet the camera says it `sent` then and the jitter buffer would place at `arrived`.
    pub fn take(&mut self, sent: i64, arrived: i64) -> Heard {
        let before = self.last.replace(Last { sent, arrived });
        let clock_set = before.is_some_and(|last| is_set(sent - last.sent, arrived - last.arrived));
        if before.is_none() || clock_set {
            (self.shift, self.first, self.newest, self.late) = (arrived - sent, sent, sent, None);
            return if clock_set { Heard::ClockSet } else { Heard::More };
        }
        let passed = sent - self.newest;
        if passed > 0 && self.newest == self.first {
            self.shift = arrived - sent;
        }
        self.newest = self.newest.max(sent);
        self.follow(sent, arrived - sent, passed.max(0))
    }

    /// From the camera's time to that of arrival.
    pub fn shift(&self) -> i64 {
        self.shift
    }

    fn follow(&mut self, sent: i64, shift: i64, passed: i64) -> Heard {
        let off = shift - self.shift;
        if off <= LATE_NS {
            self.late = None;
        } else {
            let late = self.late.get_or_insert(Late { since: sent, least: shift });
            late.least = late.least.min(shift);
            if sent - late.since >= LATE_FOR_NS {
                let slipped = late.least - self.shift > SLIPPED_NS;
                self.shift = late.least;
                self.late = None;
                return if slipped { Heard::Slipped } else { Heard::More };
            }
        }
        let down = share_of(passed, if off < -FAR_NS { FAR_DOWN } else { DOWN });
        self.shift += off.clamp(-down, share_of(passed, UP));
        Heard::More
    }
}

/// Whether a step of the camera's time is one of its clock.
fn is_set(sent: i64, arrived: i64) -> bool {
    sent.abs() > CLOCK_SET_NS && (sent - arrived).abs() > CLOCK_SET_NS
}
