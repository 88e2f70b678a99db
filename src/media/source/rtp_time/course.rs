//! The times that were given to a stream.
//!
//! Contract: times keep the order of the camera's, also where B-frames come behind a picture that is shown after them, and
//! whatever is wanted: up at once, down slowly, and behind everything where the clock was set.

/// Part of the stream's time by which its times may be drawn together. Below 1, so that they keep their order.
const FALL: f64 = 0.5;
/// How far behind everything before a stream goes on when its clock was set.
const BEHIND_NS: i64 = 1_000_000;

/// See the module. All in nanoseconds.
#[derive(Debug, Default)]
pub struct Course {
    knots: Option<Knots>,
    latest: i64,
}

/// The last two packets that were newer than all before. What comes later and is older lies between them.
#[derive(Debug, Clone, Copy)]
struct Knots {
    before: Knot,
    last: Knot,
}

#[derive(Debug, Clone, Copy)]
struct Knot {
    sent: i64,
    shift: i64,
}

impl Course {
    /// The time of a packet the camera `sent` then, for which this shift is `wanted`; `anew` where its clock was set.
    pub fn place(&mut self, sent: i64, wanted: i64, anew: bool) -> i64 {
        let shift = match self.knots {
            None => self.begin(sent, wanted),
            Some(_) if anew => self.begin(sent, wanted.max(self.latest + BEHIND_NS - sent)),
            Some(Knots { last, .. }) if sent > last.sent => {
                let least = last.shift - super::share_of(sent - last.sent, FALL);
                let knot = Knot { sent, shift: wanted.max(least) };
                self.knots = Some(Knots { before: last, last: knot });
                knot.shift
            }
            Some(knots) => knots.between(sent),
        };
        let placed = sent + shift;
        self.latest = self.latest.max(placed);
        placed
    }

    fn begin(&mut self, sent: i64, shift: i64) -> i64 {
        let knot = Knot { sent, shift };
        self.knots = Some(Knots { before: knot, last: knot });
        shift
    }
}

impl Knots {
    /// The shift of what was sent between the two.
    fn between(&self, sent: i64) -> i64 {
        let (before, last) = (self.before, self.last);
        let whole = last.sent - before.sent;
        if sent <= before.sent || whole <= 0 {
            return before.shift;
        }
        let part = (sent - before.sent) as f64 / whole as f64;
        before.shift + super::share_of(last.shift - before.shift, part)
    }
}
