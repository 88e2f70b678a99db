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
//!   anew where the camera's clock was set
//! ```

/// Parts of the stream's time by which the shift may change in it. Below 1, so that times keep their order.
const DOWN: f64 = 0.2;
/// The same where the stream began with what a camera had kept, far too early.
pub const FAR_DOWN: f64 = 0.5;
/// More than this is far.
const FAR_NS: i64 = 500_000_000;
/// Clocks differ by 0.01 % at most, so this follows every one and nearly nothing else, like the B-frames that come late.
const UP: f64 = 0.001;
/// Later than this and for so long is no hold-up, of which a jitter buffer has forgotten all but a little after 2 s: the
/// camera stood still.
const LATE_NS: i64 = 10_000_000;
const LATE_FOR_NS: i64 = 3_000_000_000;
/// A step of the camera's clock that arrival knows nothing of; B-frames lie closer to their neighbours.
const CLOCK_SET_NS: i64 = 1_000_000_000;

/// What one stream's packets tell. All in nanoseconds.
#[derive(Debug, Default)]
pub struct Arrival {
    last: Option<Last>,
    shift: i64,
    /// The latest time of the camera.
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
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// From the camera's time to that of arrival.
    pub shift: i64,
    /// How far the camera's time went on; 0 for what is older than something before.
    pub passed: i64,
    /// The camera's clock was set: nothing known before is true.
    pub anew: bool,
}

impl Arrival {
    /// A packet the camera says it `sent` then and the jitter buffer would place at `arrived`.
    pub fn take(&mut self, sent: i64, arrived: i64) -> Heard {
        let anew = self.last.is_some_and(|last| is_set(sent - last.sent, arrived - last.arrived));
        let first = self.last.replace(Last { sent, arrived }).is_none();
        if first || anew {
            (self.shift, self.newest, self.late) = (arrived - sent, sent, None);
            return Heard { shift: self.shift, passed: 0, anew };
        }
        let passed = (sent - self.newest).max(0);
        self.newest += passed;
        self.follow(sent, arrived - sent, passed);
        Heard { shift: self.shift, passed, anew }
    }

    fn follow(&mut self, sent: i64, shift: i64, passed: i64) {
        let off = shift - self.shift;
        if off <= LATE_NS {
            self.late = None;
        } else {
            let late = self.late.get_or_insert(Late { since: sent, least: shift });
            late.least = late.least.min(shift);
            if sent - late.since >= LATE_FOR_NS {
                self.shift = late.least;
                self.late = None;
                return;
            }
        }
        let part = |share: f64| share_of(passed, share);
        let down = part(if off < -FAR_NS { FAR_DOWN } else { DOWN });
        self.shift += off.clamp(-down, part(UP));
    }
}

/// A `share` of a time.
pub fn share_of(time: i64, share: f64) -> i64 {
    (time as f64 * share) as i64
}

/// Whether a step of the camera's time is one of its clock.
fn is_set(sent: i64, arrived: i64) -> bool {
    sent.abs() > CLOCK_SET_NS && (sent - arrived).abs() > CLOCK_SET_NS
}
