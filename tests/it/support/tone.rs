//! The phase of a steady tone in a film's sound, for proving that nothing is missing or moved where one film ends and
//! the next begins.
//!
//! Contract: times are presentation times of the film; a phase is measured over a window by correlation with the tone's
//! own frequency, so a shift of the sound shows as phase: 1° of a 550 Hz tone is 5 µs.

use super::process;
use std::f64::consts::TAU;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Decoding a test's film takes seconds; this is for a machine under full load.
const DECODED_WITHIN: Duration = Duration::from_secs(120);
/// Samples per second the sound is measured at.
const RATE: f64 = 48_000.0;

/// The decoded sound of a film, mono.
#[derive(Debug, Clone)]
pub struct Sound(Vec<f64>);

impl Sound {
    /// Decodes `path`; samples land at their media time: what begins late becomes silence, what lies before 0 is cut.
    pub fn decode(path: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let raw = folder.path().join("sound");
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-i"]).arg(path).args(["-map", "0:a:0", "-ac", "1"]);
        command.args(["-af", "aresample=48000:async=1:first_pts=0", "-f", "s16le"]).arg(&raw);
        let output = process::run("ffmpeg", &mut command, folder.path(), DECODED_WITHIN);
        let bytes = std::fs::read(&raw).unwrap_or_default();
        if bytes.is_empty() {
            return Err(format!("{}: no sound: {}", path.display(), output.stderr.trim()));
        }
        Ok(Self(bytes.chunks_exact(2).map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]]))).collect()))
    }

    /// Length in seconds.
    pub fn length(&self) -> f64 {
        self.0.len() as f64 / RATE
    }

    /// Phase in turns (0 to 1) at media time 0 of a tone of `hertz`, measured over `from..to` seconds, and its
    /// amplitude.
    pub fn phase(&self, hertz: f64, from: f64, to: f64) -> (f64, f64) {
        let range = (from.max(0.0) * RATE) as usize..((to * RATE) as usize).min(self.0.len());
        let count = range.len().max(1) as f64;
        // A Hann window keeps a window that is no whole number of periods from leaking into the phase.
        let (re, im) = range.clone().fold((0.0, 0.0), |(re, im), at| {
            let place = (at - range.start) as f64 / count;
            let value = self.0[at] * (1.0 - (TAU * place).cos());
            let turn = TAU * hertz * at as f64 / RATE;
            (re + value * turn.cos(), im - value * turn.sin())
        });
        ((im.atan2(re) / TAU).rem_euclid(1.0), 2.0 * re.hypot(im) / count)
    }
}

/// The smaller way round from one phase to another, in degrees.
pub fn apart_degrees(a: f64, b: f64) -> f64 {
    let apart = (a - b).rem_euclid(1.0);
    360.0 * apart.min(1.0 - apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64, phase: f64, seconds: f64) -> Sound {
        let samples = (0..(seconds * RATE) as usize).map(|n| 3000.0 * (TAU * (hertz * n as f64 / RATE + phase)).cos());
        Sound(samples.collect())
    }

    #[test]
    fn a_known_phase_is_measured_and_a_shift_of_one_sample_is_seen() {
        for phase in [0.0, 0.1, 0.5, 0.93] {
            let sound = tone(550.0, phase, 1.0);
            for (from, to) in [(0.0, 0.2), (0.3, 0.9), (0.811, 1.0)] {
                let (found, amplitude) = sound.phase(550.0, from, to);
                assert!(apart_degrees(found, phase) < 0.5, "{found} for {phase}");
                assert!((amplitude - 3000.0).abs() < 30.0, "{amplitude}");
            }
        }
        let (before, after) = (tone(550.0, 0.2, 1.0), tone(550.0, 0.2 + 550.0 / RATE, 1.0));
        let shift = apart_degrees(before.phase(550.0, 0.1, 0.4).0, after.phase(550.0, 0.1, 0.4).0);
        assert!((shift - 360.0 * 550.0 / RATE).abs() < 0.5, "{shift}");
    }
}
