//! How often pictures are painted: they take at most half of the window's time.
//!
//! Contract: pure. Painting without a graphics processor can take all of a busy core, and everything else the window does
//! (keys, alerts, screen readers) waits behind each picture. So after pictures that took some time to paint the window
//! rests from them for as long; a frame that is not painted costs nothing, the newest one is painted next.

use crate::model::MonoNs;
use std::time::Duration;

/// A window that was stopped, or found no processor, is not punished for that.
const LONGEST_REST: Duration = Duration::from_millis(200);

/// For all tiles of a window, which are painted in one go.
#[derive(Debug, Default)]
pub struct Pace {
    /// Number of the frame that was judged last, and whether pictures are painted in it.
    frame: Option<(i64, bool)>,
    /// When the first new picture was handed over in this frame.
    began: Option<MonoNs>,
    rests_until: MonoNs,
}

impl Pace {
    /// Whether new pictures are painted in frame number `frame` of the frame clock: the same answer for all tiles.
    pub fn paints(&mut self, now: MonoNs, frame: i64) -> bool {
        match self.frame {
            Some((judged, paints)) if judged == frame => paints,
            _ => {
                let paints = now >= self.rests_until;
                self.frame = Some((frame, paints));
                paints
            }
        }
    }

    /// A new picture was handed over.
    pub fn handed_over(&mut self, at: MonoNs) {
        self.began.get_or_insert(at);
    }

    /// The frame was painted.
    pub fn painted(&mut self, now: MonoNs) {
        if let Some(began) = self.began.take() {
            self.rests_until = now.plus(now.since(began).min(LONGEST_REST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    /// Pictures painted within a second by a frame clock of 60 Hz, with four tiles and `costs` ms for each painting.
    fn painted_in_a_second(costs: u64) -> usize {
        let (mut pace, mut now, mut frame, mut count) = (Pace::default(), 0, 0, 0);
        while now < 1000 {
            let paints: Vec<bool> = (0..4).map(|_| pace.paints(ms(now), frame)).collect();
            assert!(paints.iter().all(|one| *one == paints[0]), "some tiles only");
            if paints[0] {
                pace.handed_over(ms(now));
                now += costs;
                count += 1;
            }
            pace.painted(ms(now));
            now += 16 - now % 16;
            frame += 1;
        }
        count
    }

    #[test]
    fn pictures_take_half_of_the_time_at_most() {
        assert_eq!(painted_in_a_second(7), 63, "what is quick is painted with every frame");
        for costs in [20, 50, 150] {
            let share = painted_in_a_second(costs) as u64 * costs;
            assert!((300..=620).contains(&share), "{costs} ms each: {share} ms of a second");
        }
    }

    #[test]
    fn a_window_that_stood_still_shows_pictures_soon_again() {
        let mut pace = Pace::default();
        assert!(pace.paints(ms(10), 1));
        pace.handed_over(ms(10));
        pace.painted(ms(60_010));
        assert!(!pace.paints(ms(60_020), 2));
        assert!(pace.paints(ms(60_210), 3));
        // A frame without new pictures costs nobody a rest.
        pace.painted(ms(60_300));
        assert!(pace.paints(ms(60_310), 4));
    }
}
