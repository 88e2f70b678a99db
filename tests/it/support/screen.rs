//! What the window says beside what really reaches the files, read through the accessibility tree by somebody who believes
//! neither.
//!
//! Contract: a [`Screen`] reads the window's tiles and its state word again and again (`atspi.py follow`) and looks at the
//! files twenty times a second, until it is stopped; its thread ends with the reader. What is shown is shown until
//! something else was read, also while the window does not answer: whatever holds up who watches makes a lie longer, never
//! shorter. A tile without contact says nothing.

use super::display::{ATSPI, Display};
use super::loss::monotonic;
use super::proc::{Holdfast, find_input};
use super::process::{self, Running, readable};
use super::rtsp::PYTHON;
use super::truth::{Look, Seen, growing};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{PipeReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Distance between two looks at the files.
const LOOK: Duration = Duration::from_millis(50);
/// How long a reader reads at most.
const READS_S: &str = "600";
/// Every input is shown as recording by then: a window takes two seconds to come up, the rest is a busy machine.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);
/// A reader that has not said anything for so long is not one: no question is open for longer than 5 s.
const HEARD_WITHIN: Duration = Duration::from_secs(6);
/// Looks that are kept: beyond those of ten minutes.
const LOOKS: usize = 24_000;
/// The state word of the window, among the inputs: it says "Recording" as long as any file grows.
pub const HEADER: &str = "the header";

/// What a [`Look`] calls what is shown as recording.
const RECORDING: &str = "recording";
/// The window's words.
const REC: &str = "● REC";
const NO_CONTACT: &str = "no contact with the recorder";
const HEADER_RECORDING: &str = "Recording";
const HEADER_SILENT: [&str; 2] = ["No contact", "Connecting"];
const HEADER_OTHER: [&str; 5] = ["Ready", "Starting", "Stopping", "Not recording", "Failed"];
const HEADER_CHECKING: &str = "Checking ";

/// Reads one window.
#[derive(Debug)]
pub struct Screen {
    reader: Running,
    thread: JoinHandle<Followed>,
    /// Whenever everything is shown as recording.
    shown: Receiver<()>,
    log: PathBuf,
}

impl Screen {
    /// Reads what the window on `display` shows of `inputs`, whose files lie in `session`, from when it shows all of them
    /// as recording.
    pub fn start(holdfast: &Holdfast, display: &Display, session: &Path, inputs: &[&str]) -> Self {
        let (words, output) = std::io::pipe().expect("a pipe");
        let log = holdfast.root().join("screen.log");
        let mut command = holdfast.command(PYTHON);
        display.attach(&mut command).arg(ATSPI).args(["--within", READS_S, "follow"]);
        command.stdout(output).stderr(process::log_file(&log));
        let reader = Running::start("atspi follow", &mut command);
        // The command keeps the writing end.
        drop(command);
        let status = holdfast.status();
        let name = |id: &str| find_input(&status, id)["name"].as_str().expect("an input has a name").to_owned();
        let inputs = inputs.iter().map(|&id| (id.to_owned(), name(id))).collect();
        let session = session.to_owned();
        let (say, shown) = sync_channel(1);
        let thread = std::thread::spawn(move || follow(words, session, inputs, &say));
        let this = Self { reader, thread, shown, log };
        this.wait_recording();
        this
    }

    /// Waits until everything is shown as recording (again).
    pub fn wait_recording(&self) {
        // What was said earlier does not count.
        self.shown.try_iter().for_each(drop);
        let in_time = self.shown.recv_timeout(SHOWN_WITHIN).is_ok();
        assert!(in_time, "not everything is shown as recording:\n{}", process::tail(&self.log, 20));
    }

    /// Everything that was shown, by input, and in the [`HEADER`].
    pub fn stop(mut self) -> Seen {
        let now = monotonic();
        self.reader.kill();
        let followed = self.thread.join().expect("it does not panic");
        let silent = now.saturating_sub(followed.heard);
        assert!(silent < HEARD_WITHIN, "nobody has read the screen for {silent:?}");
        Seen(followed.looks)
    }
}

/// One line of the reader.
#[derive(Debug, Deserialize)]
struct Line {
    /// CLOCK_MONOTONIC in seconds.
    before: f64,
    after: f64,
    /// Everything that has a name, parents first.
    seen: Vec<Thing>,
}

/// Something visible.
#[derive(Debug, Deserialize)]
struct Thing {
    depth: u32,
    name: String,
    /// CLOCK_MONOTONIC in seconds when it had been read.
    at: f64,
}

/// Reads until the reader is gone; says so whenever every input is shown as recording.
fn follow(mut words: PipeReader, session: PathBuf, inputs: Vec<(String, String)>, shown: &SyncSender<()>) -> Followed {
    let ids: Vec<String> = inputs.iter().map(|(id, _)| id.clone()).collect();
    let mut followed = Followed::new(inputs, monotonic());
    let (mut sizes, mut text, mut buffer) = (BTreeMap::new(), Vec::new(), vec![0; 1 << 16]);
    loop {
        if readable(&words, LOOK) {
            match words.read(&mut buffer) {
                Ok(0) | Err(_) => return followed,
                Ok(count) => text.extend_from_slice(&buffer[..count]),
            }
        }
        while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            followed.read(&serde_json::from_slice(&line).expect("the reader prints JSON"));
        }
        // Behind the words, as with the API: what they are about had grown before they were said.
        let grown = growing(&session, &ids, &mut sizes);
        followed.grew(&grown, monotonic());
        if followed.shows_all() {
            // It is known already, or nobody waits for it.
            let _ = shown.try_send(());
        }
    }
}

/// What was read of something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Words {
    /// It says that it does not know.
    Silent,
    /// What it calls itself.
    Said(String),
}

impl Words {
    fn said(said: &str) -> Self {
        Self::Said(said.to_owned())
    }

    fn is_recording(&self) -> bool {
        matches!(self, Self::Said(said) if said == RECORDING)
    }

    fn state(&self) -> Option<String> {
        match self {
            Self::Said(said) => Some(said.clone()),
            Self::Silent => None,
        }
    }
}

impl Line {
    /// The tile of `name`, which is called so and holds its name, and what it holds.
    fn tile(&self, name: &str) -> Option<(&Thing, &[Thing])> {
        let spoken = format!("{name}, ");
        self.seen.iter().enumerate().find_map(|(place, thing)| {
            let below = &self.seen[place + 1..];
            let end = below.iter().position(|inner| inner.depth <= thing.depth).unwrap_or(below.len());
            let held = &below[..end];
            let holds = held.iter().any(|inner| inner.name == name);
            (holds && (thing.name == name || thing.name.starts_with(&spoken))).then_some((thing, held))
        })
    }

    /// What the tile of `name` says, and when that had been read. It says REC to the eye and "recording" to the ear:
    /// either counts.
    fn words_of(&self, name: &str) -> Option<(Words, f64)> {
        let (tile, held) = self.tile(name)?;
        let shows = |wanted: &str| held.iter().any(|thing| thing.name == wanted);
        let words = if shows(REC) || tile.name.split(", ").any(|part| part == RECORDING) {
            Words::said(RECORDING)
        } else if shows(NO_CONTACT) || tile.name.contains(NO_CONTACT) {
            Words::Silent
        } else {
            Words::said(&tile.name)
        };
        Some((words, held.last()?.at))
    }

    fn words_of_header(&self) -> Option<(Words, f64)> {
        self.seen.iter().find_map(|thing| {
            let words = match thing.name.as_str() {
                HEADER_RECORDING => Words::said(RECORDING),
                name if HEADER_SILENT.contains(&name) => Words::Silent,
                name if HEADER_OTHER.contains(&name) || name.starts_with(HEADER_CHECKING) => Words::said(name),
                _ => return None,
            };
            Some((words, thing.at))
        })
    }
}

/// What was read so far. Pure.
#[derive(Debug)]
struct Followed {
    /// Id and name.
    inputs: Vec<(String, String)>,
    looks: BTreeMap<String, Vec<Look>>,
    /// What each shows.
    shown: BTreeMap<String, Words>,
    /// Since when that is known, while the files were not looked at behind it.
    fresh: BTreeMap<String, Duration>,
    grown: BTreeMap<String, Duration>,
    began: Duration,
    /// When something was read last.
    heard: Duration,
}

impl Followed {
    fn new(inputs: Vec<(String, String)>, began: Duration) -> Self {
        let (looks, shown, fresh, grown) = Default::default();
        Self { inputs, looks, shown, fresh, grown, began, heard: began }
    }

    /// The window was read. What was not found did not answer: what it showed before stands there.
    fn read(&mut self, line: &Line) {
        let seconds = Duration::from_secs_f64;
        self.heard = seconds(line.after);
        let tiles = self.inputs.iter().map(|(id, name)| (id.clone(), line.words_of(name)));
        let all: Vec<_> = tiles.chain([(HEADER.to_owned(), line.words_of_header())]).collect();
        for (id, (words, at)) in all.into_iter().filter_map(|(id, read)| Some((id, read?))) {
            let at = seconds(at);
            let recorded = self.shown.get(&id).is_some_and(Words::is_recording);
            if recorded && !words.is_recording() {
                // At some moment since it was read last: not later than this.
                let look = self.look(&id, at, at, Some(RECORDING.to_owned()));
                self.keep(&id, look);
            }
            self.fresh.insert(id.clone(), if words.is_recording() { at } else { seconds(line.before) });
            self.shown.insert(id, words);
        }
    }

    /// The files were looked at: those of `grown` had grown.
    fn grew(&mut self, grown: &[String], now: Duration) {
        self.grown.extend(grown.iter().map(|id| (id.clone(), now)));
        if !grown.is_empty() {
            self.grown.insert(HEADER.to_owned(), now);
        }
        for (id, words) in self.shown.clone() {
            let fresh = self.fresh.remove(&id);
            // What was read earlier is not known to stand there still, and counts where it may be wrong.
            let state = words.state().filter(|_| fresh.is_some() || words.is_recording());
            let look = self.look(&id, fresh.unwrap_or(now), now, state);
            self.keep(&id, look);
        }
    }

    fn look(&self, id: &str, asked: Duration, at: Duration, state: Option<String>) -> Look {
        Look { asked, at, state, grown: self.grown.get(id).copied().unwrap_or(self.began) }
    }

    fn keep(&mut self, id: &str, look: Look) {
        let looks = self.looks.entry(id.to_owned()).or_default();
        assert!(looks.len() < LOOKS, "a screen is read for ten minutes");
        looks.push(look);
    }

    fn shows_all(&self) -> bool {
        self.inputs.iter().all(|(id, _)| self.shown.get(id).is_some_and(Words::is_recording))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// What a window shows whose tile is called `spoken` and shows `shown`, read 100 ms behind `before`.
    fn line(before_ms: u64, header: &str, spoken: &str, shown: &[&str]) -> Line {
        let (before, after) = (MS(before_ms).as_secs_f64(), MS(before_ms + 100).as_secs_f64());
        let thing = |depth, name: &str| Thing { depth, name: name.to_owned(), at: after };
        let mut seen = vec![thing(1, "Holdfast"), thing(11, header), thing(9, spoken)];
        seen.extend(shown.iter().map(|words| thing(12, words)));
        seen.push(thing(9, "Camera 10, recording"));
        Line { before, after, seen }
    }

    fn recording(before_ms: u64) -> Line {
        line(before_ms, "Recording", "Camera 1, recording, 00:00:03", &["Camera 1", REC, "00:00:03"])
    }

    fn followed() -> Followed {
        Followed::new(vec![("cam1".to_owned(), "Camera 1".to_owned())], MS(0))
    }

    #[test]
    fn a_tile_is_read_as_a_person_reads_it() {
        let words = |spoken, shown: &[&str]| Some(line(0, "Recording", spoken, shown).words_of("Camera 1")?.0);
        let other = "Camera 1, preview lost, recording goes on";
        let rec = Some(Words::said("recording"));
        assert_eq!(words("Camera 1, recording", &["Camera 1", REC]), rec);
        assert_eq!(words("Camera 1, recording", &["Camera 1"]), rec, "to the ear alone");
        assert_eq!(words("Camera 1", &["Camera 1", REC]), rec, "to the eye alone");
        assert_eq!(words(other, &["Camera 1"]), Some(Words::said(other)));
        let lost = "Camera 1, no contact with the recorder, --:--:--";
        assert_eq!(words(lost, &["Camera 1"]), Some(Words::Silent));
        assert_eq!(words("Camera 1, recording", &[]), None, "it did not answer to its end");
        assert_eq!(words("Camera 2, recording", &["Camera 2"]), None);
        let header = |word| Some(line(0, word, "Camera 1", &[]).words_of_header()?.0);
        assert_eq!(header("Recording"), rec);
        assert_eq!(header("No contact"), Some(Words::Silent));
        for other in ["Not recording", "Checking 7 %"] {
            assert_eq!(header(other), Some(Words::said(other)));
        }
        assert_eq!(header("Menu"), None);
    }

    #[test]
    fn what_is_shown_is_shown_until_something_else_was_read() {
        let mut screen = followed();
        screen.grew(&[], MS(50));
        screen.read(&recording(100));
        screen.grew(&["cam1".to_owned()], MS(210));
        assert!(screen.shows_all());
        assert_eq!(Seen(screen.looks.clone()).lie("cam1"), MS(0), "it grew behind the words");
        // The window is not heard of for a while, and has changed by the time it is.
        screen.grew(&[], MS(1700));
        assert_eq!(Seen(screen.looks.clone()).lie("cam1"), MS(1490));
        screen.read(&line(1000, "Recording", "Camera 1", &[]));
        screen.grew(&[], MS(1900));
        assert_eq!(Seen(screen.looks.clone()).lie("cam1"), MS(1690), "it was not read");
        screen.read(&line(2100, "Not recording", "Camera 1, not writing", &["Camera 1"]));
        screen.grew(&["cam1".to_owned()], MS(2250));
        screen.grew(&[], MS(9000));
        let seen = Seen(screen.looks);
        assert_eq!(seen.lie("cam1"), MS(1990));
        assert_eq!(seen.lie(HEADER), MS(1990));
        assert_eq!(seen.told_after("cam1", MS(0)), Some(MS(2100)));
    }

    #[test]
    fn a_window_that_has_no_contact_says_nothing_and_slanders_nobody() {
        let mut screen = followed();
        for n in 0..100 {
            let before = 100 * n;
            screen.read(&match n {
                0..40 => recording(before),
                _ => line(before, "No contact", "Camera 1, no contact with the recorder", &["Camera 1"]),
            });
            let grown = if n % 5 == 0 { vec!["cam1".to_owned()] } else { Vec::new() };
            screen.grew(&grown, MS(before + 105));
        }
        let seen = Seen(screen.looks);
        assert!(seen.lie("cam1") <= MS(600), "{:?}", seen.lie("cam1"));
        assert_eq!(seen.slander("cam1"), None);
    }
}
