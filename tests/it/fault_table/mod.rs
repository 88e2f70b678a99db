//! The fault table of the README, kept true: every fault really happens to two inputs that are being recorded, and what
//! the API said meanwhile, and what is missing in the files, is measured by somebody who believes neither.
//!
//! Contract: a fault costs at most what its row promises; nothing is called recording for more than [`LIE`] without a
//! byte, neither by the API nor by a window; whatever happened, Stop is answered and every file with media is sound.
//! `make torture` provokes all of them before a window and prints the table; `make test` those that are quick.

mod disks;
mod measure;
mod processes;

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::disk::Disk;
use crate::support::display::Display;
use crate::support::loss::monotonic;
use crate::support::proc::{Holdfast, find_input, test_inputs};
use crate::support::process::Running;
use crate::support::screen::{HEADER, Screen};
use crate::support::truth::{Seen, Watch};
use measure::{Lost, lost, parts_with_media};
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The input things happen to, and the one beside it.
const VICTIM: &str = "cam1";
const OTHER: &str = "cam2";
const INPUTS: [&str; 2] = [VICTIM, OTHER];
/// Nothing is called recording for longer without a byte: 2 s are promised, the rest is a machine under full load.
const LIE: Duration = Duration::from_millis(2500);
/// What a measurement may be off: a frame, and the moment between a command and the clock.
const SLACK: Duration = Duration::from_millis(150);
/// What is lost longer before a fault than it may cost is not its doing: another test holds that a recording loses nothing
/// of itself.
const BEFORE: Duration = Duration::from_secs(1);

/// What is not recorded any more is watched for longer than [`LIE`]: whoever went on calling it recording would be seen.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// What a fault may do.
pub struct Fault {
    /// As the table calls it.
    name: &'static str,
    /// What the operator sees, and what happens.
    then: &'static str,
    /// Media of the victim, and of the other input, that may be lost.
    costs: (Duration, Duration),
    /// How it is provoked in every check.
    check: Check,
    /// Makes it happen, and undoes it where that belongs to it; where it needs what this machine does not have, it says so.
    provoke: fn(&mut Stage) -> Result<(), String>,
    /// What the library lies on; `None` = the disk of everything else.
    disk: Option<fn(&Path) -> Option<Disk>>,
    /// How it goes on.
    goes_on: GoesOn,
}

/// How a fault is provoked outside `make torture`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Not at all.
    No,
    /// What the API says is looked at.
    Api,
    /// What a window shows as well.
    Screen,
}

/// What becomes of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GoesOn {
    /// Both inputs record again by themselves.
    Recording,
    /// Everything is closed by itself.
    Closed,
    /// Nothing is recorded, and that is said; Stop closes what there is.
    Waiting,
    /// Everything is closed by the next start.
    Recovered,
}

/// A recorder to which something happens.
pub struct Stage {
    /// Dropped before the recorder: nobody can leave whom a frozen disk holds.
    disk: Option<Disk>,
    holdfast: Holdfast,
    session: PathBuf,
    /// When it happened.
    at: Duration,
    /// Parts of the victim that are not at their paths any more.
    elsewhere: Vec<PathBuf>,
}

impl Stage {
    /// It happens now.
    fn now(&mut self) {
        self.at = monotonic();
    }

    fn recording<'a>(snapshot: &'a Value, input: &str) -> &'a Value {
        &find_input(snapshot, input)["recording"]
    }

    /// Waits until both inputs are recorded and have grown by a second.
    fn wait_recording(&self, time: Duration) {
        let media = |snapshot: &Value, input| Self::recording(snapshot, input)["media_ms"].as_u64().unwrap_or(0);
        let records = |snapshot: &Value, input| Self::recording(snapshot, input)["state"] == "recording";
        let from = self
            .holdfast
            .wait_until("both record", time, |snapshot| INPUTS.iter().all(|input| records(snapshot, input)));
        self.holdfast.wait_until("both grow", time, |snapshot| {
            INPUTS.iter().all(|input| records(snapshot, input) && media(snapshot, input) >= media(&from, input) + 1000)
        });
    }

    /// Waits for what becomes of it; until when media is to be there, `None` = until the API said otherwise.
    fn wait_outcome(&self, goes_on: GoesOn) -> Option<Duration> {
        let (holdfast, time) = (&self.holdfast, 2 * RECORDS_WITHIN);
        let all = |snapshot: &Value, states: &[&str]| {
            let state = |input: &str| Self::recording(snapshot, input)["state"].as_str().unwrap_or_default().to_owned();
            INPUTS.iter().all(|input| states.contains(&state(input).as_str()))
        };
        match goes_on {
            GoesOn::Recording => {
                self.wait_recording(time);
                Some(monotonic())
            }
            GoesOn::Closed => {
                holdfast.wait_until("everything is closed", time, |snapshot| {
                    snapshot["session"].is_null() && all(snapshot, &["done", "failed"])
                });
                None
            }
            GoesOn::Waiting => {
                holdfast.wait_until("both say that they do not record", time, |snapshot| all(snapshot, &["stalled"]));
                None
            }
            GoesOn::Recovered => {
                holdfast.wait_until("everything is recovered", time, |snapshot| {
                    snapshot["session"].is_null() && snapshot["last_session"]["state"] == "recovered"
                });
                Some(self.at)
            }
        }
    }

    /// Waits `time`, in which the recorder goes on.
    fn pass(&self, time: Duration) {
        let until = monotonic() + time;
        self.holdfast.wait_until("time passes", time + RECORDS_WITHIN, |_| monotonic() >= until);
    }

    /// Stops what runs, and waits until its manifest is written: behind a repair where the disk needs one.
    fn stop(&mut self, goes_on: GoesOn) {
        let stopped = self.holdfast.cli(&["record", "stop", "--no-wait"]);
        println!("record stop: {:?} {}", stopped.code, stopped.stderr.trim());
        if goes_on == GoesOn::Waiting {
            let everybody = self.holdfast.processes();
            everybody.iter().for_each(|pid| self.holdfast.signal(*pid, Signal::KILL));
            assert!(everybody.iter().all(|pid| self.holdfast.ended(*pid, RECORDS_WITHIN)), "somebody does not end");
            self.holdfast.engine().wait(RECORDS_WITHIN);
            self.disk.as_ref().expect("a disk").restore();
            self.holdfast.spawn_engine();
        }
        let dir = self.session.display().to_string();
        self.holdfast.wait_until("the session is closed", 2 * RECORDS_WITHIN, |snapshot| {
            snapshot["session"].is_null() && snapshot["last_session"]["dir"] == dir
        });
    }
}

/// Somebody who looks at a window, and does nothing else.
struct Onlooker {
    display: Display,
    _window: Running,
}

impl Onlooker {
    /// Its window would start an engine where there is none: here that is what happens to the recorder, so it is given a
    /// configuration no engine runs with.
    fn new(holdfast: &Holdfast) -> Self {
        let nothing = holdfast.root().join("nothing.toml").display().to_string();
        let display = Display::start(holdfast, 1280, 800);
        let window = display.window(holdfast, &["--config", &nothing]);
        Self { display, _window: window }
    }
}

/// What a fault came to.
pub struct Outcome {
    seen: Seen,
    /// What a window showed.
    shown: Option<Seen>,
    /// Until the victim was not called recording any more; `None` = it always was.
    told: Option<Duration>,
    lost: [Lost; 2],
}

/// Lets `fault` happen and measures what it costs; an error says why it cannot be provoked here.
fn happen(fault: &Fault, on_screen: bool) -> Result<Outcome, String> {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let disk = match fault.disk {
        Some(make) => Some(make(&holdfast.library()).ok_or("it needs a disk of its own")?),
        None => None,
    };
    holdfast.spawn_engine();
    let onlooker = on_screen.then(|| Onlooker::new(&holdfast));
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    for input in INPUTS {
        wait_media(&holdfast, input, Duration::from_secs(3));
    }
    let session = holdfast.session();
    let screen = onlooker.as_ref().map(|Onlooker { display, .. }| Screen::start(&holdfast, display, &session, &INPUTS));
    let watch = Watch::start(holdfast.socket(), session.clone(), &INPUTS);
    let mut stage = Stage { disk, holdfast, session, at: monotonic(), elsewhere: Vec::new() };
    (fault.provoke)(&mut stage)?;
    let until = stage.wait_outcome(fault.goes_on);
    match fault.goes_on {
        // A window that had lost contact finds it again.
        GoesOn::Recording => screen.iter().for_each(Screen::wait_recording),
        GoesOn::Closed | GoesOn::Waiting | GoesOn::Recovered => stage.pass(AFTERWARDS),
    }
    let seen = watch.stop();
    let shown = screen.map(Screen::stop);
    drop(onlooker);
    stage.stop(fault.goes_on);
    let Stage { session, at, elsewhere, .. } = &stage;
    let end = |input| until.or_else(|| seen.told_after(input, *at)).unwrap_or_else(monotonic);
    let files = |input| {
        parts_with_media(session, input).into_iter().chain(elsewhere.iter().filter(move |_| input == VICTIM).cloned())
    };
    let since = |costs: Duration| at.saturating_sub(costs + BEFORE);
    let costs = |input| if input == VICTIM { fault.costs.0 } else { fault.costs.1 };
    let lost = INPUTS.map(|input| lost(files(input), since(costs(input)), end(input)));
    let told = seen.told_after(VICTIM, *at).map(|told| told.saturating_sub(*at));
    Ok(Outcome { seen, shown, told, lost })
}

/// One row of the table, measured; fails where a promise is broken.
fn row(fault: &Fault, outcome: &Outcome) -> String {
    let longest = |seen: &Seen| INPUTS.iter().chain([&HEADER]).map(|said| seen.lie(said)).max().unwrap_or_default();
    let (lie, shown) = (longest(&outcome.seen), outcome.shown.as_ref().map(longest));
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let told = outcome.told.map_or("not affected".to_owned(), seconds);
    let [victim, other] = outcome.lost.map(|lost| lost.all());
    let row = format!(
        "| {} | {} | {} | {} ({}) | {} ({}) | {} | {} |",
        fault.name,
        fault.then,
        told,
        seconds(fault.costs.0),
        seconds(victim),
        seconds(fault.costs.1),
        seconds(other),
        seconds(lie),
        shown.map_or("not looked at".to_owned(), seconds)
    );
    println!("{row}\n    {:?}", outcome.lost);
    assert!(lie <= LIE, "{}: something was called recording {lie:?} without a byte", fault.name);
    let shown = shown.unwrap_or_default();
    assert!(shown <= LIE, "{}: something was shown as recording {shown:?} without a byte", fault.name);
    if let Some(screen) = outcome.shown.as_ref().filter(|_| fault.goes_on == GoesOn::Recording) {
        // What grows all the time is denied by the window only where the recorder itself denies it.
        for input in INPUTS.iter().filter(|input| outcome.seen.slander(input).is_none()) {
            assert_eq!(screen.slander(input), None, "{}: {input} was recorded all the time", fault.name);
        }
    }
    for (lost, costs) in [(victim, fault.costs.0), (other, fault.costs.1)] {
        assert!(lost <= costs + SLACK, "{}: {lost:?} are lost, {costs:?} were promised", fault.name);
    }
    row
}

const HEAD: &str = "| Fault | What happens | Seen after | Lost of that input, at most (measured) | of another (measured) \
                    | Longest lie of the API | of the screen |\n|---|---|---|---|---|---|---|";

/// Every fault, in the order of the table.
fn faults() -> impl Iterator<Item = &'static Fault> {
    processes::FAULTS.iter().chain(disks::FAULTS)
}

#[test]
fn every_fault_costs_what_the_table_says_and_no_more() {
    let torture = std::env::var_os("TORTURE").is_some();
    let mut table = Vec::new();
    for fault in faults().filter(|fault| torture || fault.check != Check::No) {
        match happen(fault, torture || fault.check == Check::Screen) {
            Ok(outcome) => table.push(row(fault, &outcome)),
            Err(why) => crate::support::skip::skip(&format!("\"{}\" cannot happen here: {why}", fault.name)),
        }
    }
    println!("{HEAD}\n{}", table.join("\n"));
}

#[test]
fn the_readme_promises_what_is_measured() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a README");
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    for fault in faults() {
        let row = rows.iter().find(|cells| cells.get(1) == Some(&fault.name));
        let row = row.unwrap_or_else(|| panic!("\"{}\" is not in the README", fault.name));
        let promised = |place: usize| row.get(place).and_then(|cell| cell.split(' ').next()?.parse::<f64>().ok());
        assert_eq!(row.get(2), Some(&fault.then), "{}", fault.name);
        assert_eq!(promised(4), Some(fault.costs.0.as_secs_f64()), "{}: {row:?}", fault.name);
        assert_eq!(promised(5), Some(fault.costs.1.as_secs_f64()), "{}: {row:?}", fault.name);
        for lie in [promised(6), promised(7)] {
            assert!(lie.is_some_and(|lie| lie <= LIE.as_secs_f64()), "{}: {row:?}", fault.name);
        }
    }
}
