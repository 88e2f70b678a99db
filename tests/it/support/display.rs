//! A screen nobody sees, a session bus of its own, and eyes and hands for the window on it.
//!
//! Contract: the display number is free, whoever else uses the machine; the bus and everything it starts carry the
//! mark of the recorder they belong to and end with it.

use super::proc::Holdfast;
use super::process::{self, Output, Running};
use super::rtsp::PYTHON;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ATSPI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/atspi.py");
/// Both are up within a second; this is for a machine under full load.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// A picture takes some 100 ms, an accessibility tree less; this is for a machine under full load.
const DONE_WITHIN: Duration = Duration::from_secs(30);

/// A display with a session bus; both end when dropped.
#[derive(Debug)]
pub struct Display {
    number: String,
    bus: String,
    shots: u32,
    _servers: [Running; 2],
}

/// What X was told to show, read back: 8-bit RGB without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Three bytes per pixel.
    pub rgb: Vec<u8>,
    /// The same as a PNG file, to be looked at.
    pub file: PathBuf,
}

/// A rectangle of a [`Shot`] in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
}

impl Display {
    /// A display of `width`×`height` for `holdfast`.
    pub fn start(holdfast: &Holdfast, width: u32, height: u32) -> Self {
        let log = |name: &str| process::log_file(&holdfast.root().join(name));
        let mut xvfb = holdfast.command("Xvfb");
        // Its standard output is where it says which number it took.
        xvfb.args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", &format!("{width}x{height}x24")]);
        let (xvfb, number) = Running::start_and_hear("Xvfb", xvfb.stderr(log("xvfb.log")), UP_WITHIN);
        let mut bus = holdfast.command("dbus-daemon");
        bus.args(["--session", "--nofork", "--nopidfile", "--print-address=1"]);
        // What the bus starts (the accessibility bus) must find the display too.
        bus.env("DISPLAY", format!(":{number}"));
        let (bus, address) = Running::start_and_hear("dbus-daemon", bus.stderr(log("bus.log")), UP_WITHIN);
        let display = Self { number, bus: address, shots: 0, _servers: [bus, xvfb] };
        // Brings the accessibility bus up before anybody needs it: a program that starts while it does may go without.
        let nobody = display.atspi(holdfast, &["--within", "0.2", "tree"]);
        assert_eq!(nobody.code, Some(1), "the desktop is empty: {nobody:?}");
        display
    }

    /// Lets `command` show itself here, drawn by the CPU alone.
    pub fn attach<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let display = format!(":{}", self.number);
        command.env("DISPLAY", display).env("DBUS_SESSION_BUS_ADDRESS", &self.bus);
        command.env("GDK_BACKEND", "x11").env("GSK_RENDERER", "cairo").env("NO_AT_BRIDGE", "0")
    }

    /// Starts the window with `args`; its output goes to `window.log`.
    pub fn window(&self, holdfast: &Holdfast, args: &[&str]) -> Running {
        let log = holdfast.root().join("window.log");
        let mut command = holdfast.command(super::proc::BINARY);
        self.attach(&mut command).args(args).stdout(process::log_file(&log)).stderr(process::log_file(&log));
        Running::start("the window", &mut command)
    }

    /// The same with `env` besides, and without arguments.
    pub fn window_with(&self, holdfast: &Holdfast, env: &[(&str, &str)]) -> Running {
        let log = holdfast.root().join("window.log");
        let mut command = holdfast.command(super::proc::BINARY);
        self.attach(&mut command).envs(env.iter().copied());
        command.stdout(process::log_file(&log)).stderr(process::log_file(&log));
        Running::start("the window", &mut command)
    }

    /// Asks the accessibility tree: `["press", "Record"]`, `["wait", NAME]`, `["gone", NAME]`, `["text", NAME]`, `["tree"]`.
    pub fn atspi(&self, holdfast: &Holdfast, args: &[&str]) -> Output {
        let mut command = holdfast.command(PYTHON);
        self.attach(&mut command).arg(ATSPI).args(args);
        process::run(&format!("atspi {args:?}"), &mut command, holdfast.root(), DONE_WITHIN)
    }

    /// The same, expecting success; returns what it printed.
    pub fn atspi_ok(&self, holdfast: &Holdfast, args: &[&str]) -> String {
        let output = self.atspi(holdfast, args);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        output.stdout.trim_end().to_owned()
    }

    /// Clicks at a place of the screen, as a finger would.
    pub fn click(&self, holdfast: &Holdfast, (x, y): (u32, u32)) {
        let mut xdotool = holdfast.command("xdotool");
        // Through a place beside it: a pointer that does not move is not noticed by a new window.
        let aside = ["mousemove".to_owned(), (x - 40).to_string(), (y + 40).to_string()];
        let there = ["mousemove".to_owned(), x.to_string(), y.to_string(), "click".to_owned(), "1".to_owned()];
        self.attach(&mut xdotool).args(aside).args(there);
        let output = process::run("xdotool", &mut xdotool, holdfast.root(), DONE_WITHIN);
        assert_eq!(output.code, Some(0), "{output:?}");
    }

    /// Where something lies by its accessible name: the middle of it.
    pub fn place(&self, holdfast: &Holdfast, name: &str) -> (u32, u32) {
        let said = self.atspi_ok(holdfast, &["where", name]);
        let numbers: Vec<u32> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [x, y, width, height] = numbers[..] else { panic!("{name} lies at {said:?}") };
        (x + width / 2, y + height / 2)
    }

    /// Puts a finger on a place, moves it on to another one when that is said, and lifts it after so many seconds.
    pub fn hold(&self, holdfast: &Holdfast, (x, y): (u32, u32), on: Option<(u32, u32)>, seconds: &str) {
        let mut xdotool = holdfast.command("xdotool");
        let there = |(x, y): (u32, u32)| ["mousemove".to_owned(), x.to_string(), y.to_string()];
        self.attach(&mut xdotool).args(there((x - 3, y))).args(there((x, y))).args(["mousedown", "1"]);
        if let Some(on) = on {
            xdotool.args(["sleep", "0.1"]).args(there(on));
        }
        xdotool.args(["sleep", seconds, "mouseup", "1"]);
        let output = process::run("xdotool", &mut xdotool, holdfast.root(), DONE_WITHIN);
        assert_eq!(output.code, Some(0), "{output:?}");
    }

    /// Takes what is at one place to another one, as a finger would.
    pub fn drag(&self, holdfast: &Holdfast, from: (u32, u32), to: (u32, u32)) {
        let mut xdotool = holdfast.command("xdotool");
        let there = |(x, y): (u32, u32)| ["mousemove".to_owned(), x.to_string(), y.to_string()];
        let half = ((from.0 + to.0) / 2, (from.1 + to.1) / 2);
        self.attach(&mut xdotool).args(there((from.0 - 20, from.1))).args(there(from)).args(["mousedown", "1"]);
        // A drag begins with a small step, and its target is told on the way.
        for place in [(from.0 + 30, from.1), half, (to.0 - 10, to.1), to] {
            xdotool.args(["sleep", "0.1"]).args(there(place));
        }
        xdotool.args(["sleep", "0.2", "mouseup", "1"]);
        let output = process::run("xdotool", &mut xdotool, holdfast.root(), DONE_WITHIN);
        assert_eq!(output.code, Some(0), "{output:?}");
    }

    /// Presses keys, one behind the other, as a keyboard would: `["ctrl+l", "Tab"]`.
    pub fn key(&self, holdfast: &Holdfast, keys: &[&str]) {
        let mut xdotool = holdfast.command("xdotool");
        self.attach(&mut xdotool).arg("key").args(["--delay", "60"]).args(keys);
        let output = process::run("xdotool", &mut xdotool, holdfast.root(), DONE_WITHIN);
        assert_eq!(output.code, Some(0), "{output:?}");
    }

    /// Adds a stand-in of `bus_services.py` to its session bus.
    pub fn service(&self, holdfast: &Holdfast, role: &str) -> Running {
        super::bus::stand_in(holdfast, role, &self.bus)
    }

    /// Takes a picture of the whole screen.
    pub fn shot(&mut self, holdfast: &Holdfast) -> Shot {
        self.shots += 1;
        let file = holdfast.root().join(format!("shot{}.png", self.shots));
        let mut import = holdfast.command("import");
        self.attach(&mut import).args(["-window", "root"]).arg(&file);
        let output = process::run("import", &mut import, holdfast.root(), DONE_WITHIN);
        assert_eq!(output.code, Some(0), "{output:?}");
        Shot::read(holdfast, &file)
    }
}

impl Shot {
    /// Reads a picture file.
    pub fn read(holdfast: &Holdfast, file: &Path) -> Self {
        let raw = holdfast.root().join("pixels.ppm");
        let mut convert = holdfast.command("convert");
        convert.arg(file).args(["-depth", "8"]).arg(&raw);
        let output = process::run("convert", &mut convert, holdfast.root(), DONE_WITHIN);
        assert_eq!(output.code, Some(0), "{output:?}");
        let bytes = std::fs::read(&raw).expect("convert wrote it");
        let (width, height, start) = ppm_header(&bytes).expect("convert writes PPM");
        Self { width, height, rgb: bytes[start..].to_vec(), file: file.to_owned() }
    }

    /// The pixels of `region`.
    pub fn crop(&self, region: Region) -> Vec<u8> {
        assert!(region.x + region.width <= self.width && region.y + region.height <= self.height, "{region:?}");
        let row = |y: usize| {
            let start = 3 * (y * self.width + region.x);
            &self.rgb[start..start + 3 * region.width]
        };
        (region.y..region.y + region.height).flat_map(row).copied().collect()
    }

    /// Share of pixels of `region` (0 to 1) that differ by more than a shade from those of `other`.
    pub fn changed(&self, other: &Shot, region: Region) -> f64 {
        difference(&self.crop(region), &other.crop(region))
    }
}

/// Share of pixels (0 to 1) that differ by more than a shade between two crops of one size.
pub fn difference(one: &[u8], other: &[u8]) -> f64 {
    /// Dithering and rounding stay below.
    const SHADE: u8 = 16;
    assert_eq!(one.len(), other.len(), "crops of one size are compared");
    let pairs = one.chunks_exact(3).zip(other.chunks_exact(3));
    let differs = |(a, b): &(&[u8], &[u8])| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) > SHADE);
    let differing = u32::try_from(pairs.filter(differs).count()).expect("a screen is small");
    f64::from(differing) / f64::from(u32::try_from(one.len() / 3).expect("a screen is small"))
}

/// `P6 <width> <height> 255 <pixels>`: width, height, where the pixels begin.
fn ppm_header(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_whitespace()).map(|(at, _)| at);
    let ends = [ends.next()?, ends.next()?, ends.next()?, ends.next()?];
    let number = |from: usize, to: usize| std::str::from_utf8(&bytes[from + 1..to]).ok()?.parse().ok();
    bytes.starts_with(b"P6").then_some((number(ends[0], ends[1])?, number(ends[1], ends[2])?, ends[3] + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_seen_and_pressed_by_name() {
        const SCRIPT: &str = "
import gi
gi.require_version('Gtk', '4.0')
from gi.repository import Gtk
def on_activate(app):
    button = Gtk.Button(label='Press me')
    button.connect('clicked', lambda button: button.set_label('Pressed'))
    window = Gtk.ApplicationWindow(application=app, title='planted', default_width=300, default_height=200)
    window.set_child(button)
    window.present()
app = Gtk.Application(application_id='io.github.holdfast.Planted')
app.connect('activate', on_activate)
app.run()
";
        let holdfast = Holdfast::new("");
        let mut display = Display::start(&holdfast, 640, 480);
        let empty = display.shot(&holdfast);
        assert_eq!((empty.width, empty.height, empty.rgb.len()), (640, 480, 640 * 480 * 3));
        let mut command = holdfast.command(PYTHON);
        let _window = Running::start("a window", display.attach(&mut command).args(["-c", SCRIPT]));
        display.atspi_ok(&holdfast, &["--within", "20", "press", "Press me"]);
        display.atspi_ok(&holdfast, &["wait", "Pressed"]);
        display.atspi_ok(&holdfast, &["gone", "Press me"]);
        assert!(display.atspi_ok(&holdfast, &["tree"]).contains("\tpush button\tPressed\t"));
        assert_eq!(display.atspi(&holdfast, &["--within", "0.2", "press", "Nothing"]).code, Some(1));
        let whole = Region { x: 0, y: 0, width: 640, height: 480 };
        let shown = display.shot(&holdfast);
        assert!(shown.changed(&empty, whole) > 0.05 && shown.changed(&shown, whole) < f64::EPSILON);
    }

    #[test]
    fn only_what_differs_visibly_counts() {
        assert!(difference(&[0, 0, 0, 9, 9, 9], &[1, 1, 1, 9, 9, 99]).total_cmp(&0.5).is_eq());
        assert_eq!(ppm_header(b"P6\n64 48\n255\nxxx"), Some((64, 48, 13)));
    }
}
