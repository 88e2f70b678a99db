//! How far sound and picture of a film are apart: flashes in one, ticks in the other, both once a second.
//!
//! Contract: times are presentation times of the film; a flash begins with the first bright picture, a tick with
//! the first loud millisecond, so one measurement is true to one frame period, and the median of several to less.

use super::frames::each_picture;
use super::process;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Decoding a test's film takes seconds; this is for a machine under full load.
const DECODED_WITHIN: Duration = Duration::from_secs(120);
/// Samples per second the sound is measured at.
const RATE: u32 = 48_000;
/// One step of the sound's envelope in samples (1 ms).
const STEP: usize = 48;
/// Two events closer than this are one.
const APART_S: f64 = 0.5;

/// The begins of flashes and ticks in seconds of media time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Marks {
    /// First bright pictures.
    pub flashes: Vec<f64>,
    /// First loud milliseconds.
    pub ticks: Vec<f64>,
}

impl Marks {
    /// Median of [`Marks::offsets_ms`]. `None` without a pair.
    pub fn offset_ms(&self) -> Option<f64> {
        let mut apart = self.offsets_ms();
        apart.sort_by(f64::total_cmp);
        apart.get(apart.len() / 2).copied()
    }

    /// Tick − flash of every pair in ms: positive = the sound comes late.
    pub fn offsets_ms(&self) -> Vec<f64> {
        let nearest = |flash: &f64| {
            let apart = self.ticks.iter().map(|tick| tick - flash);
            apart.min_by(|a, b| a.abs().total_cmp(&b.abs())).filter(|apart| apart.abs() < APART_S)
        };
        self.flashes.iter().filter_map(nearest).map(|seconds| seconds * 1000.0).collect()
    }
}

/// Finds the flashes and ticks of `path`.
pub fn marks(path: &Path) -> Result<Marks, String> {
    let mut light = Vec::new();
    each_picture(path, |picture| light.push(picture.mean()))?;
    let mut times = picture_times(path);
    times.truncate(light.len());
    Ok(Marks { flashes: begins(&times, &light), ticks: ticks(path)? })
}

/// Presentation times of the pictures in the order of showing.
fn picture_times(path: &Path) -> Vec<f64> {
    let mut pts = super::demux::ffprobe(path).video.pts;
    pts.sort_by(f64::total_cmp);
    pts
}

fn ticks(path: &Path) -> Result<Vec<f64>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let raw = folder.path().join("sound");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path).args(["-map", "0:a:0", "-ac", "1"]);
    // Samples land at their media time: a late begin or a gap becomes silence, an early begin (priming) is cut.
    let resample = format!("aresample={RATE}:async=1:first_pts=0");
    command.args(["-af", &resample, "-f", "s16le"]).arg(&raw);
    let output = process::run("ffmpeg", &mut command, folder.path(), DECODED_WITHIN);
    let bytes = std::fs::read(&raw).unwrap_or_default();
    if bytes.is_empty() {
        return Err(format!("{}: no sound: {}", path.display(), output.stderr.trim()));
    }
    let loudest = |step: &[u8]| {
        let samples = step.chunks_exact(2).map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])).abs());
        samples.fold(0.0, f64::max)
    };
    let envelope: Vec<f64> = bytes.chunks(2 * STEP).map(loudest).collect();
    let times: Vec<f64> = (0u32..).take(envelope.len()).map(|step| f64::from(step) / 1000.0).collect();
    Ok(begins(&times, &envelope))
}

/// Times at which `level` rises above the middle between its lowest and highest value.
fn begins(times: &[f64], level: &[f64]) -> Vec<f64> {
    let low = level.iter().copied().fold(f64::MAX, f64::min);
    let high = level.iter().copied().fold(0.0, f64::max);
    let middle = f64::midpoint(low, high);
    let mut found: Vec<f64> = Vec::new();
    for at in 1..level.len().min(times.len()) {
        let rises = level[at - 1] <= middle && level[at] > middle && high - low > 1.0;
        if rises && found.last().is_none_or(|last| times[at] - last > APART_S) {
            found.push(times[at]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::media_file;
    use super::*;

    #[test]
    fn a_known_offset_is_measured() {
        let folder = tempfile::tempdir().expect("a folder");
        let (film, late) = (folder.path().join("film.mp4"), folder.path().join("late.mp4"));
        media_file::camera(&film, 5);
        let found = marks(&film).expect("both are there");
        assert_eq!((found.flashes.len(), found.ticks.len()), (4, 4), "the one at 0 has no begin: {found:?}");
        let offset = found.offset_ms().expect("pairs");
        assert!(offset.abs() < 5.0, "{offset} ms");
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-i"]).arg(&film).args(["-itsoffset", "0.1", "-i"]).arg(&film);
        command.args(["-map", "0:v", "-map", "1:a", "-c", "copy"]).arg(&late);
        assert_eq!(process::run("ffmpeg", &mut command, folder.path(), DECODED_WITHIN).code, Some(0));
        let offset = marks(&late).expect("both are there").offset_ms().expect("pairs");
        assert!((offset - 100.0).abs() < 5.0, "{offset} ms");
    }

    #[test]
    fn no_pair_is_no_offset() {
        assert_eq!(Marks { flashes: vec![1.0], ticks: vec![3.0] }.offset_ms(), None);
    }
}
