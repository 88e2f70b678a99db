//! What the recorder says beside what really reaches its files, sampled by somebody who believes neither.
//!
//! Contract: a [`Watch`] asks the API and looks at the files at their paths twenty times a second, until it is stopped.
//! Its *lie* is the longest time that an input was called recording although its files had not grown: 0.5 s and a sync
//! where all is well, because media is written a fragment at a time. While nobody answers nothing is said. An answer is
//! as old as its question, and a file grew when that was seen, behind the answer: whatever holds up who watches makes a
//! lie shorter, never longer.

use super::api;
use super::loss::monotonic;
use super::proc::find_input;
use serde_json::Value;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Distance between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Looks that are kept: ten minutes.
const LOOKS: usize = 12_000;
/// A file that did not grow for this long may be called stalled: 2 s are the rule, a fragment may have been seen late.
const QUIET: Duration = Duration::from_millis(1500);
/// For so long after it grew again: its worker says so twice a second, on a busy machine.
const NEWS: Duration = Duration::from_millis(1500);

/// What was seen of one input at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// CLOCK_MONOTONIC when it was asked: the answer is not older.
    pub asked: Duration,
    /// CLOCK_MONOTONIC when the answer had come.
    pub at: Duration,
    /// What the API called its recording; `None` = no answer, or no recording.
    pub state: Option<String>,
    /// When its files last grew.
    pub grown: Duration,
}

/// Watches one session.
#[derive(Debug)]
pub struct Watch {
    stop: SyncSender<Infallible>,
    thread: JoinHandle<BTreeMap<String, Vec<Look>>>,
}

impl Watch {
    /// Watches `inputs`, whose files lie in `session`, by the API at `socket`.
    pub fn start(socket: PathBuf, session: PathBuf, inputs: &[&str]) -> Self {
        let inputs: Vec<String> = inputs.iter().map(|&input| input.to_owned()).collect();
        let (stop, stopped) = sync_channel(0);
        let watch = move || {
            let mut seen: BTreeMap<String, Vec<Look>> = BTreeMap::new();
            let mut sizes = BTreeMap::new();
            let mut grown: BTreeMap<String, Duration> = BTreeMap::new();
            let began = monotonic();
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let asked = monotonic();
                let snapshot = api::request(&socket, "GET", "/api/v1/status", &[], None).ok();
                let snapshot = snapshot.filter(|reply| reply.status == 200).map(|reply| reply.body);
                let at = monotonic();
                // Behind the answer, which may have taken its time.
                for input in growing(&session, &inputs, &mut sizes) {
                    grown.insert(input, monotonic());
                }
                for input in &inputs {
                    let looks = seen.entry(input.clone()).or_default();
                    let state = snapshot.as_ref().and_then(|snapshot| state_of(snapshot, input));
                    let grown = grown.get(input).copied().unwrap_or(began);
                    if looks.len() < LOOKS {
                        looks.push(Look { asked, at, state, grown });
                    }
                }
            }
            seen
        };
        Self { stop, thread: std::thread::spawn(watch) }
    }

    /// Everything that was seen, by input.
    pub fn stop(self) -> Seen {
        drop(self.stop);
        Seen(self.thread.join().expect("it does not panic"))
    }
}

/// What a [`Watch`] (or a [`Screen`](super::screen::Screen)) saw.
#[derive(Debug)]
pub struct Seen(pub(super) BTreeMap<String, Vec<Look>>);

impl Seen {
    /// The longest time `input` was called recording although its files had not grown.
    pub fn lie(&self, input: &str) -> Duration {
        let lies = self.looks(input).iter().filter(|look| look.state.as_deref() == Some("recording"));
        lies.map(|look| look.asked.saturating_sub(look.grown)).max().unwrap_or_default()
    }

    /// The first look in which `input` was called anything but recording although its files had grown all the time: a
    /// disk that holds them up is no fault of whoever says so. What is not known for certain counts for the recorder.
    pub fn slander(&self, input: &str) -> Option<&Look> {
        let looks = self.looks(input);
        let first = looks.first()?;
        // The last growth is not older than this; the last time that was quiet for long ended here.
        let (mut grown, mut known, mut quiet) = (first.asked, first.grown, None);
        for (before, look) in std::iter::once(first).chain(looks).zip(looks) {
            let now = look.at.max(look.grown);
            if now.saturating_sub(grown) >= QUIET {
                quiet = Some(now);
            }
            if look.grown != known {
                // It grew at any time since the look before.
                (grown, known) = (before.at, look.grown);
            }
            let stalled = quiet.is_some_and(|quiet| look.asked <= quiet + NEWS);
            if look.state.as_deref().is_some_and(|state| state != "recording") && !stalled {
                return Some(look);
            }
        }
        None
    }

    /// The first answer to a question at or after `from` in which `input` was called anything but recording: when it was
    /// asked.
    pub fn told_after(&self, input: &str, from: Duration) -> Option<Duration> {
        let told = |look: &&Look| look.asked >= from && look.state.as_deref().is_some_and(|state| state != "recording");
        self.looks(input).iter().find(told).map(|look| look.asked)
    }

    /// The same in which it was called `state`.
    pub fn called_after(&self, input: &str, state: &str, from: Duration) -> Option<Duration> {
        let called = |look: &&Look| look.asked >= from && look.state.as_deref() == Some(state);
        self.looks(input).iter().find(called).map(|look| look.asked)
    }

    /// The first moment at or after `from` at which `input` was called recording: when the answer had come.
    pub fn recording_after(&self, input: &str, from: Duration) -> Option<Duration> {
        let told = |look: &&Look| look.at >= from && look.state.as_deref() == Some("recording");
        self.looks(input).iter().find(told).map(|look| look.at)
    }

    fn looks(&self, input: &str) -> &[Look] {
        self.0.get(input).map(Vec::as_slice).unwrap_or_default()
    }
}

fn state_of(snapshot: &Value, input: &str) -> Option<String> {
    let recording = &find_input(snapshot, input)["recording"];
    recording["state"].as_str().map(str::to_owned)
}

/// The inputs of which a media file in `session` grew since the last look.
pub(super) fn growing(session: &Path, inputs: &[String], sizes: &mut BTreeMap<PathBuf, u64>) -> Vec<String> {
    let entries = std::fs::read_dir(session).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let media = name.ends_with(".mp4") || name.ends_with(".mkv");
        let input = inputs
            .iter()
            .find(|input| media && name.strip_prefix(input.as_str()).is_some_and(|rest| rest.starts_with('.')));
        let (Some(input), Ok(meta)) = (input, entry.metadata()) else { continue };
        let before = sizes.insert(entry.path(), meta.len()).unwrap_or(0);
        if meta.len() > before {
            found.push(input.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_ms: u64, state: Option<&str>, grown_ms: u64) -> Look {
        let ms = Duration::from_millis;
        Look { asked: ms(at_ms), at: ms(at_ms + 5), state: state.map(str::to_owned), grown: ms(grown_ms) }
    }

    #[test]
    fn a_lie_is_what_is_said_and_not_what_is_kept_back() {
        let looks = vec![
            look(500, Some("recording"), 100),
            look(2600, Some("recording"), 1000),
            look(9000, None, 1000),
            look(9500, Some("stalled"), 1000),
            look(9900, Some("recording"), 9800),
        ];
        let seen = Seen(BTreeMap::from([("cam1".to_owned(), looks)]));
        assert_eq!(seen.lie("cam1"), Duration::from_millis(1600));
        assert_eq!(seen.told_after("cam1", Duration::from_millis(1000)), Some(Duration::from_millis(9500)));
        assert_eq!(seen.recording_after("cam1", Duration::from_millis(9000)), Some(Duration::from_millis(9905)));
        assert_eq!(seen.lie("cam2"), Duration::ZERO);
        let stalled = |from| seen.called_after("cam1", "stalled", Duration::from_millis(from));
        assert_eq!((stalled(0), stalled(9501)), (Some(Duration::from_millis(9500)), None));
    }

    #[test]
    fn slander_is_what_is_said_of_files_that_grow() {
        // A look every 100 ms; a fragment every half second, but for a quiet time; called stalled within `called`.
        let slander = |quiet: std::ops::Range<u64>, called: std::ops::Range<u64>| {
            let mut grown = 0;
            let look = |n: u64| {
                let at = n * 100;
                if at.is_multiple_of(500) && !quiet.contains(&at) {
                    grown = at + 5;
                }
                look(at, Some(if called.contains(&at) { "stalled" } else { "recording" }), grown)
            };
            let looks = (0..100).map(look).collect();
            Seen(BTreeMap::from([("cam1".to_owned(), looks)])).slander("cam1").map(|look| look.asked.as_millis())
        };
        assert_eq!(slander(0..0, 0..0), None);
        assert_eq!(slander(0..0, 3000..3100), Some(3000));
        assert_eq!(slander(3000..4900, 4500..5900), None, "it did not grow, and news takes its time");
        assert_eq!(slander(3000..4900, 3200..5900), Some(3200), "before it was known");
        assert_eq!(slander(3000..4900, 4500..8000), Some(6600), "long after it grew again");
        assert_eq!(slander(3000..3800, 3500..3600), Some(3500), "no longer than a fragment may take");
    }

    #[test]
    fn growth_is_of_the_file_at_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let inputs = ["cam1".to_owned(), "cam10".to_owned()];
        let mut sizes = BTreeMap::new();
        let mut look = || growing(folder.path(), &inputs, &mut sizes);
        assert_eq!(look(), Vec::<String>::new());
        std::fs::write(folder.path().join("cam10.mp4"), "four").expect("a file");
        std::fs::write(folder.path().join("cam1.facts.jsonl"), "facts").expect("a file");
        assert_eq!(look(), ["cam10"]);
        assert_eq!(look(), Vec::<String>::new());
        std::fs::write(folder.path().join("cam10.part2.mp4"), "more").expect("a file");
        assert_eq!(look(), ["cam10"]);
    }
}
